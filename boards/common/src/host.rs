//! The host that an emulator or debugger offers by semihosting: a console, the image, a place for the label map.
//!
//! Something must serve these calls. Without it a call is an exception that nobody handles, and the program stops there.

use core::ffi::CStr;

use semihosting::process::exit;

use crate::descriptor::{Descriptor, Mode};
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
pub struct HostConsole(Option<Descriptor>);

impl HostConsole {
    /// Opens it. If the host refuses, what is written is lost.
    #[must_use]
    pub fn open() -> Self {
        // The name that stands for the console.
        Self(Descriptor::open(c":tt", Mode::Write))
    }
}

impl Console for HostConsole {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(out) = &mut self.0 {
            let _ = out.write(bytes);
        }
    }
}

/// A file of the host as a camera.
#[derive(Debug, Default)]
pub struct FileRows(Option<Descriptor>);

impl RowSource for FileRows {
    type Error = FileError;

    fn start(&mut self) -> Result<(), FileError> {
        self.0 = Some(Descriptor::open(IMAGE, Mode::Read).ok_or(FileError::Open)?);
        Ok(())
    }

    fn next_row(&mut self, row: &mut [u8]) -> Result<(), FileError> {
        let file = self.0.as_mut().ok_or(FileError::Open)?;
        if file.read(row) {
            Ok(())
        } else {
            Err(FileError::Read)
        }
    }
}

/// A file of the host as the place for labels.
#[derive(Debug)]
pub struct FileLabels {
    path: &'static CStr,
    file: Option<Descriptor>,
}

impl FileLabels {
    /// The file at `path`.
    #[must_use]
    pub const fn at(path: &'static CStr) -> Self {
        Self { path, file: None }
    }
}

impl Default for FileLabels {
    /// The file [`LABELS`].
    fn default() -> Self {
        Self::at(LABELS)
    }
}

impl LabelSink for FileLabels {
    type Error = FileError;

    fn start(&mut self) -> Result<(), FileError> {
        self.file = Some(Descriptor::open(self.path, Mode::Write).ok_or(FileError::Open)?);
        Ok(())
    }

    fn put_row(&mut self, labels: &[u8]) -> Result<(), FileError> {
        let file = self.file.as_mut().ok_or(FileError::Open)?;
        if file.write(labels) {
            Ok(())
        } else {
            Err(FileError::Write)
        }
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
