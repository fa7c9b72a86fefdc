//! Files, console and clock of an operating system, as the boards' programs take them.
#![deny(missing_docs)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Instant;

use cfm_boards::clock::Clock;
use cfm_boards::rows::{LabelSink, RowSource};
use cfm_boards::text::Console;

/// The image in the current folder: samples as the model takes them.
pub const IMAGE: &str = "scene.rgb";
/// Where the label map goes: a class index a pixel.
pub const LABELS: &str = "labels.bin";

/// Standard output.
#[derive(Debug)]
pub struct Out;

impl Console for Out {
    fn write(&mut self, bytes: &[u8]) {
        let _ = io::stdout().write_all(bytes);
    }
}

/// The operating system's clock, in nanoseconds.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn ticks(&mut self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn ticks_per_second(&self) -> u32 {
        1_000_000_000
    }
}

/// A file as a camera.
#[derive(Debug, Default)]
pub struct FileRows(Option<File>);

impl RowSource for FileRows {
    type Error = io::Error;

    fn start(&mut self) -> io::Result<()> {
        self.0 = Some(File::open(Path::new(IMAGE))?);
        Ok(())
    }

    fn next_row(&mut self, row: &mut [u8]) -> io::Result<()> {
        let file = self.0.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact(row)
    }
}

/// A file as the place for labels.
#[derive(Debug, Default)]
pub struct FileLabels(Option<File>);

impl LabelSink for FileLabels {
    type Error = io::Error;

    fn start(&mut self) -> io::Result<()> {
        self.0 = Some(File::create(Path::new(LABELS))?);
        Ok(())
    }

    fn put_row(&mut self, labels: &[u8]) -> io::Result<()> {
        let file = self.0.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.write_all(labels)
    }
}

/// Runs `program` where the memory of an image fits on the stack before it is moved to the heap.
pub fn on_a_large_stack<T: Send + 'static>(
    program: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let thread = thread::Builder::new().stack_size(32 << 20).spawn(program)?;
    thread
        .join()
        .map_err(|_| io::Error::other("the program panicked"))
}
