//! Whole files in memory, unless they are absurdly long.
//!
//! Nothing is believed of what the directory says: `/dev/zero` ends like any other file that is too long.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The bytes of a file of at most `most` bytes; `None` if it is longer, whatever its directory entry says.
///
/// # Errors
/// What the file system reports.
pub fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// The bytes of a file of at most `most` bytes.
///
/// # Errors
/// What the file system reports, and [`io::ErrorKind::FileTooLarge`] for a longer file.
pub fn read_whole(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read(path, most)?.ok_or_else(|| {
        let text = format!("the file is longer than {} KiB", most >> 10);
        io::Error::new(io::ErrorKind::FileTooLarge, text)
    })
}

/// The text of a file of at most `most` bytes.
///
/// # Errors
/// As [`read_whole`], and [`io::ErrorKind::InvalidData`] for a file that is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_whole(path, most)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_longest_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"four").unwrap();
        assert_eq!(read(&path, u64::MAX).unwrap().unwrap(), b"four");
        assert_eq!(read(&path, 4).unwrap().unwrap(), b"four");
        assert_eq!(read(&path, 3).unwrap(), None);
        assert!(read(folder.path(), 9).is_err());
    }

    #[test]
    fn text_is_utf_8_within_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "f\u{fc}nf").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "f\u{fc}nf");
        let kind = |most| read_text(&path, most).unwrap_err().kind();
        assert_eq!(kind(4), io::ErrorKind::FileTooLarge);
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(kind(4), io::ErrorKind::InvalidData);
    }

    #[cfg(unix)]
    #[test]
    fn endless_files_end() {
        assert_eq!(read(Path::new("/dev/zero"), 1000).unwrap(), None);
    }
}
