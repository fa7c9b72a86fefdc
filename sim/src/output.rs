//! Output files that are whole or not there at all.

use std::fs;
use std::io::{self, Cursor};
use std::path::Path;

use image::{ImageError, ImageFormat, RgbImage};

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

/// Writes a picture as PNG.
///
/// # Errors
/// An [`OutputError`] that names the file.
pub fn write_picture(path: &Path, picture: &RgbImage) -> Result<(), OutputError> {
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(OutputProblem::from)
        .and_then(|()| Ok(write(path, bytes.get_ref())?))
        .map_err(|problem| problem.at(path))
}

/// Writes a label map as 8-bit grey PNG, or as binary PGM (a short header, then the bytes) where the name ends in `.pgm`.
///
/// # Errors
/// An [`OutputError`] that names the file.
pub fn write_labels(path: &Path, labels: &LabelMap) -> Result<(), OutputError> {
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|ending| ending == "pgm") {
        let (width, height) = (labels.width(), labels.height());
        bytes.extend_from_slice(format!("P5\n{width} {height}\n255\n").as_bytes());
        bytes.extend_from_slice(labels.labels());
        return write(path, &bytes).map_err(|error| OutputProblem::from(error).at(path));
    }
    labels
        .encode(&mut bytes)
        .map_err(OutputProblem::from)
        .and_then(|()| Ok(write(path, &bytes)?))
        .map_err(|problem| problem.at(path))
}

/// Writes a file under a temporary name in the same folder and renames it, so that nobody ever sees half of it. What
/// exists and is no regular file (a pipe, a terminal, a device) is written to directly.
///
/// # Errors
/// What the file system reports; nothing is left behind then.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays a link: what it points to is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, bytes);
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What the user's mask leaves of it, as for any other new file.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.prefix(".cfm-").tempfile_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.bin");
        write(&path, b"first, and longer").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn failures_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(&folder.path().join("no/such/folder/out"), b"x").is_err());
        assert!(write(folder.path(), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_survive() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
