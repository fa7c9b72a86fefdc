//! Pictures and label maps as files that are whole or not there at all, and what the programs print.

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};

pub use cfm_model::output::{Batch, FileError, write};
use cfm_model::output::{check_writable, linked, real_name};
use image::{ImageError, ImageFormat, RgbImage};
use serde::Serialize;

use crate::label_map::LabelMap;

/// Why an output file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct OutputError {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub problem: OutputProblem,
}

/// What keeps an output file from being written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputProblem {
    /// The file cannot be written.
    #[error("{0}")]
    Write(#[from] io::Error),
    /// The image cannot be encoded.
    #[error("{0}")]
    Image(#[from] ImageError),
    /// The labels cannot be encoded.
    #[error("{0}")]
    Labels(#[from] png::EncodingError),
}

impl OutputProblem {
    fn at(self, path: &Path) -> OutputError {
        OutputError {
            path: path.display().to_string(),
            problem: self,
        }
    }
}

/// Files that a command writes, together: when one of them cannot be written, all are as they were; when one that is
/// written cannot have its name, so are they if it is the first, and else the last one is missing.
///
/// They are a [`Batch`], with what a user may name besides: a link stays a link, a device or pipe is written to directly
/// (before the files get their names), and a folder that is not there is an error.
#[derive(Debug, Default)]
pub struct OutputFiles {
    files: Batch,
    /// What exists and is no regular file, and what goes there.
    devices: Vec<(PathBuf, Vec<u8>)>,
    /// What is to come, without links on the way there.
    expected: HashSet<PathBuf>,
}

impl OutputFiles {
    /// No file yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses to write over any of `inputs` from now on, by whatever name.
    pub fn keep(&mut self, inputs: impl IntoIterator<Item: AsRef<Path>>) {
        self.files.keep(inputs);
    }

    /// Refuses at once, before the work that makes it, a file that [`add`](Self::add) would refuse then: one that is read,
    /// that cannot be made, or that is expected already.
    ///
    /// # Errors
    /// An [`OutputError`] that names the file.
    pub fn expect(&mut self, path: &Path) -> Result<(), OutputError> {
        if self.is_device(path)? {
            return Ok(());
        }
        let refuse = |error: io::Error| OutputProblem::from(error).at(path);
        let linked = linked(path);
        if linked.is_dir() {
            return Err(refuse(io::ErrorKind::IsADirectory.into()));
        }
        check_writable(&linked).map_err(refuse)?;
        if !self.expected.insert(real_name(&linked).map_err(refuse)?) {
            return Err(refuse(io::Error::other(
                "it is written twice, for two things",
            )));
        }
        Ok(())
    }

    /// Whether a path is of what exists and is no regular file, to which anything may be written.
    ///
    /// # Errors
    /// An [`OutputError`] that names the file, if its folder is not there, or if it is a file that is read.
    fn is_device(&self, path: &Path) -> Result<bool, OutputError> {
        let refuse = |error: io::Error| OutputProblem::from(error).at(path);
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if !fs::metadata(folder.unwrap_or(Path::new(".")))
            .map_err(refuse)?
            .is_dir()
        {
            return Err(refuse(io::ErrorKind::NotADirectory.into()));
        }
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            return Ok(true);
        }
        let kept = self.files.check_kept(path);
        kept.map(|()| false).map_err(|kept| refuse(kept.error))
    }

    /// Adds a file. The last one is that by which readers know that all are there.
    ///
    /// # Errors
    /// An [`OutputError`] that names the file.
    pub fn add(&mut self, path: &Path, bytes: Vec<u8>) -> Result<(), OutputError> {
        let refuse = |error: io::Error| OutputProblem::from(error).at(path);
        if self.is_device(path)? {
            self.devices.push((path.to_owned(), bytes));
            return Ok(());
        }
        let added = self.files.add(&linked(path), &bytes);
        added.map_err(|failed| refuse(failed.error))
    }

    /// Adds a picture as PNG.
    ///
    /// # Errors
    /// An [`OutputError`] that names the file.
    pub fn add_picture(&mut self, path: &Path, picture: &RgbImage) -> Result<(), OutputError> {
        let mut bytes = Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, ImageFormat::Png)
            .map_err(|error| OutputProblem::from(error).at(path))?;
        self.add(path, bytes.into_inner())
    }

    /// Adds a label map as 8-bit grey PNG, or as binary PGM (a short header, then the bytes) where the name ends in `.pgm`
    /// or `.PGM`.
    ///
    /// # Errors
    /// An [`OutputError`] that names the file.
    pub fn add_labels(&mut self, path: &Path, labels: &LabelMap) -> Result<(), OutputError> {
        let mut bytes = Vec::new();
        let ending = path.extension().unwrap_or_default();
        if ending.eq_ignore_ascii_case("pgm") {
            let (width, height) = (labels.width(), labels.height());
            bytes.extend_from_slice(format!("P5\n{width} {height}\n255\n").as_bytes());
            bytes.extend_from_slice(labels.labels());
        } else {
            labels
                .encode(&mut bytes)
                .map_err(|error| OutputProblem::from(error).at(path))?;
        }
        self.add(path, bytes)
    }

    /// Writes all of them, the last one last.
    ///
    /// # Errors
    /// An [`OutputError`] that names the file. The last one is missing then, or every file is as it was.
    pub fn commit(self) -> Result<(), OutputError> {
        for (path, bytes) in &self.devices {
            write(path, bytes).map_err(|error| OutputProblem::from(error).at(path))?;
        }
        let committed = self.files.commit();
        committed.map_err(|failed| OutputProblem::from(failed.error).at(&failed.path))
    }
}

/// Writes a picture as PNG.
///
/// # Errors
/// An [`OutputError`] that names the file.
pub fn write_picture(path: &Path, picture: &RgbImage) -> Result<(), OutputError> {
    let mut files = OutputFiles::new();
    files.add_picture(path, picture)?;
    files.commit()
}

/// Prints a value as indented JSON.
///
/// # Errors
/// What the stream reports.
pub fn print_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    writeln!(out, "{text}")
}

/// A text in one line: white space of any kind, line ends included, is one space.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a write failed because nobody reads any more: the output was a pipe whose reader has seen enough.
#[must_use]
pub fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn files_come_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let picture = RgbImage::from_pixel(3, 2, Rgb([1, 2, 3]));
        let labels = LabelMap::new(3, 2, vec![7; 6]).unwrap();
        let (a, b) = (root.join("a.png"), root.join("b.PGM"));
        let mut files = OutputFiles::new();
        files.add_picture(&a, &picture).unwrap();
        files.add_labels(&b, &labels).unwrap();
        assert!(!a.exists() && !b.exists());
        files.commit().unwrap();
        assert_eq!(image::open(&a).unwrap().into_rgb8(), picture);
        assert_eq!(
            fs::read(&b).unwrap(),
            b"P5\n3 2\n255\n\x07\x07\x07\x07\x07\x07"
        );

        let mut files = OutputFiles::new();
        files.add(&a, b"new".to_vec()).unwrap();
        for nowhere in [root.join("no/such"), a.join("inside"), root.to_owned()] {
            let error = files.add(&nowhere, b"x".to_vec()).unwrap_err();
            assert_eq!(error.path, nowhere.display().to_string());
        }
        drop(files);
        assert_eq!(image::open(&a).unwrap().into_rgb8(), picture);
        assert_eq!(fs::read_dir(root).unwrap().count(), 2);
    }

    #[test]
    fn what_is_read_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.png");
        fs::write(&input, b"old").unwrap();
        let mut files = OutputFiles::new();
        files.keep([&input]);
        let same = folder.path().join(".");
        for path in [&input, &same.join("in.png")] {
            assert!(files.expect(path).is_err());
            assert!(files.add(path, b"new".to_vec()).is_err());
        }
        files
            .add(&folder.path().join("out.png"), b"new".to_vec())
            .unwrap();
        files.commit().unwrap();
        assert_eq!(fs::read(&input).unwrap(), b"old");
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("file"), b"old").unwrap();
        let mut files = OutputFiles::new();
        for name in ["no/such", "file/inside", "sub"] {
            let path = root.join(name);
            let error = files.expect(&path).unwrap_err();
            assert_eq!(error.path, path.display().to_string());
            assert!(!error.to_string().contains(".cfm-"), "{error}");
        }
        files.expect(&root.join("a")).unwrap();
        files.expect(&root.join("sub/a")).unwrap();
        assert!(files.expect(&root.join("sub/../a")).is_err());
        // Nothing was made or changed.
        assert_eq!(fs::read_dir(root).unwrap().count(), 2);
        assert_eq!(fs::read_dir(root.join("sub")).unwrap().count(), 0);
        files.add(&root.join("a"), b"new".to_vec()).unwrap();
        files.commit().unwrap();
        assert_eq!(fs::read(root.join("a")).unwrap(), b"new");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn links_stay_and_full_devices_stop_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let mut files = OutputFiles::new();
        files.add(&link, b"new".to_vec()).unwrap();
        files.add(Path::new("/dev/full"), b"x".to_vec()).unwrap();
        let error = files.commit().unwrap_err();
        assert_eq!(error.path, "/dev/full");
        assert_eq!(fs::read(&target).unwrap(), b"old");
        let mut files = OutputFiles::new();
        files.add(Path::new("/dev/null"), b"x".to_vec()).unwrap();
        files.add(&link, b"new".to_vec()).unwrap();
        files.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }
}
