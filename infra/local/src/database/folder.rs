//! The folder that `--data` names.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const DATABASE_FILE: &str = "portcullis.db";
const QUEUE_FILE: &str = "queue.db";
const LOCK_FILE: &str = "lock";
/// Only its owner may look into the folder: queued events lie in it as they came.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another process uses it now.
    #[error("{} is in use by another process: end that one first", .0.display())]
    InUse(PathBuf),
    /// It is not there, or nothing was ever kept in it.
    #[error("{} has no data: it is not a folder that `cargo local --data` has used", .0.display())]
    Unused(PathBuf),
    /// It cannot be made, opened or locked.
    #[error("{} cannot be used: {problem}", folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        problem: io::Error,
    },
}

/// A data folder that this process alone uses, for as long as this lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    // The lock ends with the open file, however the process ends.
    _lock: File,
}

impl DataFolder {
    /// Takes a folder, made where it is not there yet.
    ///
    /// # Errors
    /// [`DataFolderError`].
    pub fn take(path: &Path) -> Result<Self, DataFolderError> {
        let unusable = |problem| DataFolderError::Unusable { folder: path.to_owned(), problem };
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(unusable)?;
        let path = fs::canonicalize(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(FILE_MODE);
        let lock = options.open(path.join(LOCK_FILE)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataFolderError::InUse(path)),
            Err(TryLockError::Error(problem)) => Err(unusable(problem)),
        }
    }

    /// Makes sure that a folder has been used before, and makes nothing.
    ///
    /// # Errors
    /// [`DataFolderError::Unused`].
    pub fn check_used(path: &Path) -> Result<(), DataFolderError> {
        if path.join(DATABASE_FILE).is_file() { Ok(()) } else { Err(DataFolderError::Unused(path.to_owned())) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The engine's file.
    pub(super) fn database_file(&self) -> Result<String, DataFolderError> {
        self.file(DATABASE_FILE)
    }

    /// The queue's file.
    ///
    /// # Errors
    /// [`DataFolderError::Unusable`].
    pub fn queue_file(&self) -> Result<String, DataFolderError> {
        self.file(QUEUE_FILE)
    }

    /// A file by its name as text, which SQLite wants, made here so that it is its owner's alone from the start.
    fn file(&self, name: &str) -> Result<String, DataFolderError> {
        let unusable = |problem| DataFolderError::Unusable { folder: self.path.clone(), problem };
        let file = self.path.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(FILE_MODE).open(&file).map_err(unusable)?;
        file.into_os_string()
            .into_string()
            .map_err(|_| unusable(io::Error::new(io::ErrorKind::InvalidFilename, "its name is not UTF-8")))
    }
}
