//! Data folder of `--data`.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const DATABASE_FILE: &str = "portcullis.db";
const QUEUE_FILE: &str = "queue.db";
const LOCK_FILE: &str = "lock";
/// Owner-only: queued events lie in the folder unencrypted.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Reason why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another process uses it.
    #[error("{} is in use by another process: end that one first", .0.display())]
    InUse(PathBuf),
    /// The folder does not exist, or was never used.
    #[error("{} has no data: it is not a folder that `cargo local --data` has used", .0.display())]
    Unused(PathBuf),
    /// The folder cannot be created, opened or locked.
    #[error("{} cannot be used: {problem}", folder.display())]
    Unusable {
        /// Path of the folder.
        folder: PathBuf,
        /// The operating system's error.
        problem: io::Error,
    },
}

/// A data folder that this process has locked; the lock lasts as long as this value.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    // The lock ends with the open file, however the process ends.
    _lock: File,
}

impl DataFolder {
    /// Locks a folder, and creates it if it is missing.
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

    /// Checks that a folder was used before; creates nothing.
    ///
    /// # Errors
    /// [`DataFolderError::Unused`].
    pub fn check_used(path: &Path) -> Result<(), DataFolderError> {
        if path.join(DATABASE_FILE).is_file() { Ok(()) } else { Err(DataFolderError::Unused(path.to_owned())) }
    }

    /// Path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the engine's file.
    pub(super) fn database_file(&self) -> Result<String, DataFolderError> {
        self.file(DATABASE_FILE)
    }

    /// Path of the queue's file.
    ///
    /// # Errors
    /// [`DataFolderError::Unusable`].
    pub fn queue_file(&self) -> Result<String, DataFolderError> {
        self.file(QUEUE_FILE)
    }

    /// Path of a file as text, which SQLite requires. The file is created here, so that it is owner-only from the
    /// start.
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
