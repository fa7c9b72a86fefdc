//! Whole files in memory, unless they are absurdly long.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The bytes of a file of at most `most` bytes; `None` if it is longer, whatever its directory entry says.
///
/// # Errors
/// What the file system reports.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
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

    #[cfg(unix)]
    #[test]
    fn endless_files_end() {
        assert_eq!(read(Path::new("/dev/zero"), 1000).unwrap(), None);
    }
}
