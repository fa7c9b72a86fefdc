//! The host that an emulator or debugger offers by semihosting: a console, the image, a place for the label map.

use core::ffi::CStr;

use semihosting::fs::File;
use semihosting::io::{Read, Stdout, Write, stdout};
use semihosting::process::exit;

use crate::rows::{LabelSink, RowSource};
use crate::text::Console;

/// The file with the image, in the folder in which the emulator was started: samples as the model takes them.
pub const IMAGE: &CStr = c"scene.rgb";
/// Where the label map goes: a class index a pixel.
pub const LABELS: &CStr = c"labels.bin";

/// What can go wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileError {
    /// It cannot be opened.
    Open,
    /// It is shorter than it should be.
    Read,
    /// It cannot be written.
    Write,
}

/// The host's standard output.
#[derive(Debug)]
pub struct HostConsole(Option<Stdout>);

impl HostConsole {
    /// Opens it. Without a host, what is written is lost.
    #[must_use]
    pub fn open() -> Self {
        Self(stdout().ok())
    }
}

impl Console for HostConsole {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(out) = &mut self.0 {
            let _ = write_all(out, bytes);
        }
    }
}

/// Writes everything. (`Write::write_all` of the crate would do, but for an assertion on the length written.)
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> Result<(), FileError> {
    while !bytes.is_empty() {
        let written = out.write(bytes).map_err(|_| FileError::Write)?;
        bytes = match bytes.get(written..) {
            Some(rest) if written > 0 => rest,
            _ => return Err(FileError::Write),
        };
    }
    Ok(())
}

/// A file of the host as a camera.
#[derive(Debug, Default)]
pub struct FileRows(Option<File>);

impl RowSource for FileRows {
    type Error = FileError;

    fn start(&mut self) -> Result<(), FileError> {
        self.0 = Some(File::open(IMAGE).map_err(|_| FileError::Open)?);
        Ok(())
    }

    fn next_row(&mut self, row: &mut [u8]) -> Result<(), FileError> {
        let file = self.0.as_mut().ok_or(FileError::Open)?;
        let mut rest = row;
        while !rest.is_empty() {
            let read = file.read(rest).map_err(|_| FileError::Read)?;
            rest = match rest.get_mut(read..) {
                Some(rest) if read > 0 => rest,
                _ => return Err(FileError::Read),
            };
        }
        Ok(())
    }
}

/// A file of the host as the place for labels.
#[derive(Debug, Default)]
pub struct FileLabels(Option<File>);

impl LabelSink for FileLabels {
    type Error = FileError;

    fn start(&mut self) -> Result<(), FileError> {
        self.0 = Some(File::create(LABELS).map_err(|_| FileError::Open)?);
        Ok(())
    }

    fn put_row(&mut self, labels: &[u8]) -> Result<(), FileError> {
        write_all(self.0.as_mut().ok_or(FileError::Open)?, labels)
    }
}

/// Ends the emulation: status 0 if `passed`.
pub fn leave(passed: bool) -> ! {
    exit(if passed { 0 } else { 1 })
}

/// What a panic does: says where, and ends the emulation with status 101.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut console = HostConsole::open();
    console.write(b"FAILED: panic in ");
    console.write(info.location().map_or("?", |at| at.file()).as_bytes());
    console.write(b"\n");
    exit(101)
}
