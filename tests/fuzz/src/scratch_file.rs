//! Bytes as a file, for readers that take a path.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs, process, thread};

/// Calls `read` with a file whose name has this ending and which holds these bytes.
///
/// # Panics
/// When the folder for temporary files cannot be written.
pub fn with_file<T>(ending: &str, bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = env::temp_dir().join(format!("cfm-fuzz-{}", process::id()));
        fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        folder
    });
    // A file for each thread of the tests.
    let path = FOLDER.join(format!("{:?}.{ending}", thread::current().id()));
    fs::write(&path, bytes).expect("the folder for temporary files can be written");
    read(&path)
}
