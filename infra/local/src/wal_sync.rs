//! Group commit for SQLite's write-ahead log: one `fdatasync` makes all commits durable that wait for it.
//!
//! With `PRAGMA synchronous = NORMAL` a commit appends its frames to the log and does not wait for the disk. The frames
//! survive the death of the process, but not a power cut. A writer that must survive both waits for
//! [`WalSync::durable`], which costs one `fdatasync` for all writers that arrive while the previous one runs; with
//! `synchronous = FULL` each writer would pay for its own, under SQLite's write lock.
//!
//! After a power cut the log's checksums decide how much of it is valid, as with `FULL`. Source: SQLite, "Write-Ahead
//! Logging".

use std::{
    fs::{File, OpenOptions},
    io,
    path::PathBuf,
    sync::mpsc,
    thread,
};

use tokio::sync::oneshot;

/// Events that an answered write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process and a power cut: each write waits for the disk.
    #[default]
    PowerCut,
    /// Only the death of the process. A power cut may lose the last seconds, whole transactions from the end, and
    /// damages no file.
    ProcessDeath,
}

/// Reason why a commit may not be on the disk.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SyncError {
    /// The disk refused. The kernel may have dropped the pages, so no later sync can be trusted: restart the process.
    #[error("a write did not reach the disk ({0}): restart")]
    Disk(String),
    /// The syncing thread has ended.
    #[error("the database has ended")]
    Ended,
}

type Waiter = oneshot::Sender<Result<(), SyncError>>;

/// Handle to the thread that syncs one log. The thread ends with the last clone.
#[derive(Clone, Debug)]
pub struct WalSync {
    // `None` where commits need not survive a power cut.
    waiters: Option<mpsc::Sender<Waiter>>,
}

impl WalSync {
    /// Makes commits of the file `database` as durable as `durability` requires. SQLite names the log after that file
    /// and keeps it for as long as a connection is open.
    ///
    /// # Errors
    /// Where the system cannot start a thread.
    pub fn start(database: &str, durability: Durability) -> io::Result<Self> {
        if durability == Durability::ProcessDeath {
            return Ok(Self::none());
        }
        let log = PathBuf::from(format!("{database}-wal"));
        let (waiters, queue) = mpsc::channel();
        thread::Builder::new().name("wal-sync".to_owned()).spawn(move || sync(&log, &queue))?;
        Ok(Self { waiters: Some(waiters) })
    }

    /// Syncs nothing: for a database in memory.
    #[must_use]
    pub fn none() -> Self {
        Self { waiters: None }
    }

    /// Returns once every commit that ended before this call is durable.
    ///
    /// # Errors
    /// [`SyncError`]: the commit is visible in this process, and may be lost in a power cut.
    pub async fn durable(&self) -> Result<(), SyncError> {
        let Some(waiters) = &self.waiters else { return Ok(()) };
        let (waiter, done) = oneshot::channel();
        waiters.send(waiter).map_err(|_| SyncError::Ended)?;
        done.await.unwrap_or(Err(SyncError::Ended))
    }
}

/// Serves waiters in groups: all that have arrived when a sync begins.
fn sync(log: &PathBuf, queue: &mpsc::Receiver<Waiter>) {
    let mut file = None;
    let mut broken = None;
    while let Ok(first) = queue.recv() {
        let group: Vec<Waiter> = std::iter::once(first).chain(queue.try_iter()).collect();
        let outcome = match &broken {
            Some(error) => Err(SyncError::clone(error)),
            None => data_sync(log, &mut file).map_err(|error| SyncError::Disk(error.to_string())),
        };
        if let Err(error) = &outcome {
            broken = Some(error.clone());
        }
        for waiter in group {
            // The caller may have given up.
            let _ = waiter.send(outcome.clone());
        }
    }
}

fn data_sync(log: &PathBuf, file: &mut Option<File>) -> io::Result<()> {
    if file.is_none() {
        // `fdatasync` through any descriptor syncs the writes through all others.
        *file = Some(OpenOptions::new().write(true).open(log)?);
    }
    file.as_ref().map_or(Ok(()), File::sync_data)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    fn database() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("some.db").to_str().unwrap().to_owned();
        (folder, database)
    }

    #[tokio::test]
    async fn writers_that_wait_together_are_all_served() {
        let (_folder, database) = database();
        std::fs::write(format!("{database}-wal"), "frames").unwrap();
        let sync = WalSync::start(&database, Durability::PowerCut).unwrap();
        for outcome in join_all((0..100).map(|_| sync.durable())).await {
            outcome.unwrap();
        }
    }

    #[tokio::test]
    async fn after_one_failure_every_later_write_fails_too() {
        let (_folder, database) = database();
        let sync = WalSync::start(&database, Durability::PowerCut).unwrap();
        assert!(matches!(sync.durable().await, Err(SyncError::Disk(_))), "no log is there");
        std::fs::write(format!("{database}-wal"), "frames").unwrap();
        assert!(matches!(sync.durable().await, Err(SyncError::Disk(_))), "pages may have been dropped");
    }

    #[tokio::test]
    async fn a_write_that_need_not_survive_a_power_cut_waits_for_no_disk() {
        let (_folder, database) = database();
        WalSync::start(&database, Durability::ProcessDeath).unwrap().durable().await.unwrap();
        WalSync::none().durable().await.unwrap();
    }
}
