//! Output files that are whole or not there at all.
//!
//! A file is written under a temporary name in its folder, flushed to the disk, and renamed: whenever the program is
//! killed, the power fails or the disk is full, the name stands for the old file or for the new one. Only a program
//! that is killed leaves the temporary file (`.cfm-...`) behind.
//!
//! Files that belong together are a [`Batch`]. All of them are on the disk before the first gets its name, and the last
//! one, by which readers know that the set is complete, is taken away first and named last.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

/// Why a file of a [`Batch`] cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct FileError {
    /// The file, or the folder that cannot be made.
    pub path: PathBuf,
    /// What went wrong.
    pub error: io::Error,
}

impl FileError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |error| Self { path, error }
    }
}

/// Writes a file that is whole or not there at all. What exists and is no regular file (a pipe, a terminal, a device)
/// is written to directly.
///
/// # Errors
/// What the file system reports; the old file is intact and nothing is left behind then.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays a link: what it points to is replaced.
    let path = &linked(path);
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, bytes);
    }
    temporary(path, bytes)?
        .persist(path)
        .map_err(|error| error.error)?;
    sync_folder(folder(path))
}

/// Files that belong together: either all of them are replaced, or the last one is missing, or nothing has changed.
#[derive(Debug, Default)]
pub struct Batch {
    files: Vec<(TempPath, PathBuf)>,
    /// What they are called, whatever way there was named.
    names: HashSet<PathBuf>,
    /// Folders that were made for the files, the outermost first.
    folders: Vec<PathBuf>,
    /// What is read, and must not be replaced.
    kept: HashSet<PathBuf>,
}

impl Batch {
    /// No file yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses to replace any of `inputs` from now on, by whatever name.
    pub fn keep(&mut self, inputs: impl IntoIterator<Item: AsRef<Path>>) {
        // One that is not there is in no danger.
        let real = inputs.into_iter().flat_map(fs::canonicalize);
        self.kept.extend(real);
    }

    /// Refuses a file that is one of those to [keep](Self::keep).
    ///
    /// # Errors
    /// A [`FileError`] that names the file.
    pub fn check_kept(&self, path: &Path) -> Result<(), FileError> {
        if fs::canonicalize(path).is_ok_and(|path| self.kept.contains(&path)) {
            let error = io::Error::other("it is what is read; give the output another name");
            return Err(FileError::at(path)(error));
        }
        Ok(())
    }

    /// Writes a file under a temporary name; its folder is made if it is not there.
    ///
    /// # Errors
    /// A [`FileError`] that names the file, also when it is one that the batch has already, or one to keep.
    pub fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        self.make_folder(folder(path))?;
        if path.is_dir() {
            return Err(FileError::at(path)(io::ErrorKind::IsADirectory.into()));
        }
        self.check_kept(path)?;
        let name = real_name(path).map_err(FileError::at(path))?;
        if !self.names.insert(name) {
            let error = io::Error::other("it is written twice, for two things");
            return Err(FileError::at(path)(error));
        }
        let file = temporary(path, bytes).map_err(FileError::at(path))?;
        self.files.push((file.into_temp_path(), path.to_owned()));
        Ok(())
    }

    fn make_folder(&mut self, folder: &Path) -> Result<(), FileError> {
        if folder.exists() && !folder.is_dir() {
            return Err(FileError::at(folder)(io::ErrorKind::NotADirectory.into()));
        }
        let missing: Vec<&Path> = folder
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        for folder in missing.into_iter().rev() {
            fs::create_dir(folder).map_err(FileError::at(folder))?;
            self.folders.push(folder.to_owned());
        }
        Ok(())
    }

    /// Gives all files their names, the last one last; what had its name is taken away before.
    ///
    /// # Errors
    /// A [`FileError`] that names the file. Everything is as it was when it is the first file that cannot have its name;
    /// otherwise the last file of the set is missing.
    pub fn commit(mut self) -> Result<(), FileError> {
        let mut old = match self.files.as_slice() {
            [_, .., (_, last)] => put_aside(last).map_err(FileError::at(last))?,
            _ => None,
        };
        let mut synced: Option<PathBuf> = None;
        let count = self.files.len();
        for (at, (file, path)) in std::mem::take(&mut self.files).into_iter().enumerate() {
            let folder = folder(&path);
            // The names before are on the disk when the last one gets there.
            if (at + 1 == count || synced.as_deref() != Some(folder))
                && let Some(folder) = synced.replace(folder.to_owned())
            {
                sync_folder(&folder).map_err(FileError::at(&folder))?;
            }
            if let Err(error) = file.persist(&path) {
                if at == 0
                    && let Some((old, last)) = old.take()
                {
                    put_back(old, &last);
                }
                return Err(FileError::at(&path)(error.error));
            }
        }
        if let Some(folder) = synced {
            sync_folder(&folder).map_err(FileError::at(&folder))?;
        }
        self.folders.clear();
        Ok(())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.files.clear();
        for folder in self.folders.iter().rev() {
            // One that somebody else uses by now stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// What a name stands for when links are followed, though there may be no file yet.
#[must_use]
pub fn linked(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(target) => path = folder(&path).join(target),
            Err(_) => break,
        }
    }
    path
}

/// A file's name in its folder, without links on the way there: two paths are of one file if these are equal.
///
/// # Errors
/// What the file system reports of the folder.
pub fn real_name(path: &Path) -> io::Result<PathBuf> {
    let folder = fs::canonicalize(folder(path))?;
    Ok(path
        .file_name()
        .map_or_else(|| folder.clone(), |name| folder.join(name)))
}

/// Takes a file out of the way, under a temporary name that goes with what is returned, beside its own name; `None` if
/// there is no such file.
fn put_aside(path: &Path) -> io::Result<Option<(TempPath, PathBuf)>> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let aside = empty(folder(path))?.into_temp_path();
    fs::rename(path, &aside)?;
    if let Err(error) = sync_folder(folder(path)) {
        put_back(aside, path);
        return Err(error);
    }
    Ok(Some((aside, path.to_owned())))
}

/// Undoes [`put_aside`]. Where that fails, the old file stays under the temporary name, which is better than nothing.
fn put_back(aside: TempPath, path: &Path) {
    if let Err(error) = aside.persist(path) {
        let _ = error.path.keep();
    }
}

/// A new file with these bytes, on the disk, in the folder of `path`.
fn temporary(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = empty(folder(path))?;
    file.as_file_mut().write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// A new file without bytes, under a temporary name. It may be read by whom the user's mask leaves to, as any other new
/// file.
fn empty(folder: &Path) -> io::Result<NamedTempFile> {
    let mut system = None;
    let mut open = |path: &Path| {
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(path);
        file.inspect_err(|error| system = error.raw_os_error())
    };
    let made = tempfile::Builder::new()
        .prefix(".cfm-")
        .make_in(folder, &mut open);
    // Without the temporary name, which tells nobody anything.
    made.map_err(|error| system.map_or(error, io::Error::from_raw_os_error))
}

/// Whether a file can be made in the folder of `path`, before there is anything to write.
///
/// # Errors
/// What the file system reports.
pub fn check_writable(path: &Path) -> io::Result<()> {
    empty(folder(path)).map(drop)
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Puts the names in a folder on the disk, where folders can be flushed.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.bin");
        write(&path, b"first, and longer").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["out.bin"]);
    }

    #[test]
    fn failures_leave_nothing_behind_and_name_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("no/such/folder/out");
        for error in [
            write(&nowhere, b"x").unwrap_err(),
            check_writable(&nowhere).unwrap_err(),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert!(error.raw_os_error().is_some(), "{error}");
            assert!(!error.to_string().contains(".cfm-"), "{error}");
        }
        assert!(write(folder.path(), b"x").is_err());
        check_writable(&folder.path().join("out")).unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_name_that_cannot_be_had_costs_no_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (first, last) = (root.join("first"), root.join("last"));
        // No folder has this name, so that only the renaming fails.
        let nowhere = root.join("new/");
        fs::write(&last, b"old").unwrap();
        let mut batch = Batch::new();
        batch.add(&nowhere, b"x").unwrap();
        batch.add(&last, b"new").unwrap();
        assert_eq!(batch.commit().unwrap_err().path, nowhere);
        assert_eq!(names(root), ["last"]);
        assert_eq!(fs::read(&last).unwrap(), b"old");
        // Behind a file that has its name already, the set is incomplete.
        let mut batch = Batch::new();
        batch.add(&first, b"x").unwrap();
        batch.add(&nowhere, b"x").unwrap();
        batch.add(&last, b"new").unwrap();
        assert_eq!(batch.commit().unwrap_err().path, nowhere);
        assert_eq!(names(root), ["first"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_survive() {
        let folder = tempfile::tempdir().unwrap();
        let ahead = folder.path().join("ahead");
        std::os::unix::fs::symlink("not/yet", &ahead).unwrap();
        fs::create_dir(folder.path().join("not")).unwrap();
        write(&ahead, b"there").unwrap();
        assert!(fs::symlink_metadata(&ahead).unwrap().is_symlink());
        assert_eq!(fs::read(folder.path().join("not/yet")).unwrap(), b"there");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_batch_appears_with_its_last_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new/set");
        let mut batch = Batch::new();
        for name in ["a", "deep/b", "c", "last"] {
            batch.add(&root.join(name), name.as_bytes()).unwrap();
            assert!(!root.join(name).exists());
        }
        batch.commit().unwrap();
        assert_eq!(names(&root), ["a", "c", "deep", "last"]);
        assert_eq!(names(&root.join("deep")), ["b"]);
        assert_eq!(fs::read(root.join("last")).unwrap(), b"last");
    }

    #[test]
    fn two_files_with_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("x")).unwrap();
        let mut batch = Batch::new();
        batch.add(&root.join("a"), b"first").unwrap();
        batch.add(&root.join("x/a"), b"another").unwrap();
        let again = root.join("x/../a");
        assert_eq!(batch.add(&again, b"second").unwrap_err().path, again);
        drop(batch);
        assert_eq!(names(root), ["x"]);
    }

    #[test]
    fn what_is_read_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let input = root.join("in");
        fs::write(&input, b"old").unwrap();
        fs::create_dir(root.join("x")).unwrap();
        let mut batch = Batch::new();
        batch.keep([&input, &root.join("not there")]);
        for name in [input.clone(), root.join("x/../in")] {
            assert_eq!(batch.check_kept(&name).unwrap_err().path, name);
            assert_eq!(batch.add(&name, b"new").unwrap_err().path, name);
        }
        batch.add(&root.join("out"), b"new").unwrap();
        batch.commit().unwrap();
        assert_eq!(fs::read(&input).unwrap(), b"old");
        assert_eq!(names(root), ["in", "out", "x"]);
    }

    #[test]
    fn a_batch_that_is_given_up_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("last"), b"old").unwrap();
        fs::create_dir(root.join("taken")).unwrap();
        let mut batch = Batch::new();
        batch.add(&root.join("new/a"), b"a").unwrap();
        batch.add(&root.join("last"), b"new").unwrap();
        let error = batch.add(&root.join("taken"), b"x").unwrap_err();
        assert_eq!(error.path, root.join("taken"));
        drop(batch);
        assert_eq!(names(root), ["last", "taken"]);
        assert_eq!(fs::read(root.join("last")).unwrap(), b"old");
    }

    #[test]
    fn a_batch_that_breaks_off_lacks_its_last_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["a", "b", "last"] {
            fs::write(root.join(name), b"old").unwrap();
        }
        let mut batch = Batch::new();
        for name in ["a", "b", "last"] {
            batch.add(&root.join(name), b"new").unwrap();
        }
        // Somebody puts a folder there in the meantime.
        fs::remove_file(root.join("b")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
        let error = batch.commit().unwrap_err();
        assert_eq!(error.path, root.join("b"));
        assert_eq!(names(root), ["a", "b"]);
        assert_eq!(fs::read(root.join("a")).unwrap(), b"new");
    }
}
