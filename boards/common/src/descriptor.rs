//! Open files of the host: semihosting's `SYS_OPEN`, `SYS_READ` and `SYS_WRITE`.
//!
//! The `semihosting` crate has files, too, but with assertions on descriptors that bring a panic handler into programs
//! that have none otherwise.

use core::ffi::CStr;

use semihosting::sys::arm_compat::syscall::{
    OperationNumber, ParamRegR, ParamRegW, syscall, syscall_readonly,
};

/// An open file; it is closed when the program ends.
#[derive(Debug)]
pub(crate) struct Descriptor(usize);

/// How a file is opened: the C library's modes `rb` and `wb`, as semihosting numbers them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    Read = 1,
    Write = 5,
}

impl Descriptor {
    /// Opens a file, or the console as `:tt`; `None` if the host refuses.
    pub(crate) fn open(path: &CStr, mode: Mode) -> Option<Self> {
        let length = path.count_bytes();
        let block = [
            ParamRegR::c_str(path),
            ParamRegR::usize(mode as usize),
            ParamRegR::usize(length),
        ];
        // SAFETY: `SYS_OPEN` takes address, mode and length of a path that ends in 0, and writes to none of them.
        let result =
            unsafe { syscall_readonly(OperationNumber::SYS_OPEN, ParamRegR::block(&block)) };
        // -1 is failure.
        Some(result.usize())
            .filter(|&file| file != usize::MAX)
            .map(Self)
    }

    /// Fills `bytes`; whether there was as much. A pipe gives what there is, so that it may take several reads.
    pub(crate) fn read(&mut self, mut bytes: &mut [u8]) -> bool {
        while !bytes.is_empty() {
            let length = bytes.len();
            let mut block = [
                ParamRegW::usize(self.0),
                ParamRegW::buf(bytes),
                ParamRegW::usize(length),
            ];
            // SAFETY: `SYS_READ` takes descriptor, address and length, and writes to no more than these bytes, which are
            // borrowed mutably until then.
            let left = unsafe { syscall(OperationNumber::SYS_READ, ParamRegW::block(&mut block)) };
            match length.checked_sub(left.usize()) {
                None | Some(0) => return false,
                Some(read) => bytes = bytes.get_mut(read..).unwrap_or_default(),
            }
        }
        true
    }

    /// Writes `bytes`; whether all were written.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        let block = [
            ParamRegR::usize(self.0),
            ParamRegR::buf(bytes),
            ParamRegR::usize(bytes.len()),
        ];
        // SAFETY: `SYS_WRITE` takes descriptor, address and length, and writes to none of them.
        let left =
            unsafe { syscall_readonly(OperationNumber::SYS_WRITE, ParamRegR::block(&block)) };
        left.usize() == 0
    }
}
