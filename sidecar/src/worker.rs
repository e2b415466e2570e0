//! `portcullis-sidecar serve-files`: a short-lived process of the child's user that handles one request about files
//! that the child can touch, and the supervising process's client of it.
//!
//! The child can put anything in the place of a file, and can make an open hang. The supervising process therefore
//! opens none of them: it sends a request to this process on its standard input, reads a bounded answer from its
//! standard output, and kills it at a deadline. The child could control the process, so its answer is checked like any
//! other foreign input.

mod serve;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use portcullis_crypto::Digest;
use portcullis_openclaw::FilePath;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

use crate::{
    api::Template,
    files::{
        check::{Changes, Expectation},
        list::List,
    },
    own_program::{FILES, OwnProgram},
};

pub use serve::main;

/// Additional time for each file of a request: a slow disk syncs each.
const DEADLINE_PER_FILE: Duration = Duration::from_millis(20);

/// Upper limit of that additional time.
const MOST_FOR_FILES: Duration = Duration::from_mins(5);

/// Time-out for reaping a killed worker. One that cannot be killed is reaped later.
const REAP: Duration = Duration::from_secs(1);

/// Largest answer that is read, in bytes.
const ANSWER_LIMIT: u64 = 1024 * 1024;

/// Longest error text that is kept, in characters.
const FAILURE_LIMIT: usize = 300;

/// A request: the folder of `OpenClaw`'s state, and the work.
#[derive(Serialize, Deserialize)]
struct Request<W> {
    state: PathBuf,
    work: W,
}

/// Work of one request. Paths are absolute. It holds credentials, and so has no `Debug`.
#[derive(Serialize, Deserialize)]
pub enum Work {
    /// Create the state folder.
    MakeState,
    /// Check whether a plain file exists.
    Look(PathBuf),
    /// Compare files with their expectation, and remove copies of the configuration.
    Check(Expectation),
    /// Write whole files, in this order.
    Write(Vec<(PathBuf, String)>),
    /// Write the skills, and remove listed files that are not wanted.
    Skills {
        /// Texts by file.
        wanted: BTreeMap<FilePath, String>,
        /// Files that were written before; `None` reads an older sidecar's list.
        listed: Option<List>,
    },
    /// Write the templates of an agent's workspace.
    Templates {
        /// Id of the agent.
        agent: String,
        /// Templates by file.
        wanted: BTreeMap<FilePath, Template>,
        /// Files that were written before; `None` reads an older sidecar's list.
        listed: Option<List>,
    },
    /// Identify the program that a start would run, and the configuration that it would read.
    Find {
        /// Candidate paths of the program, in order of preference.
        candidates: Vec<PathBuf>,
        /// Path of the configuration.
        config: PathBuf,
    },
    /// Read the plugins and platforms that a configuration enables.
    Enabled(PathBuf),
    /// Create a folder with an empty configuration in the state folder.
    MakeScratch(String),
    /// Remove such a folder.
    RemoveScratch(String),
}

impl Work {
    fn files(&self) -> usize {
        match self {
            Self::Check(expected) => {
                expected.files.len() + expected.skills.len() + expected.templates.len() * expected.agents.len()
            }
            Self::Write(files) => files.len(),
            Self::Skills { wanted, listed } => wanted.len() + listed.as_ref().map_or(0, |list| list.files.len()),
            Self::Templates { wanted, .. } => wanted.len(),
            _ => 0,
        }
    }
}

/// Identity of a program's file, which changes when it is replaced: device, inode and change time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFile(u64, u64, i64);

/// Snapshot of what a start depends on. After a failed start, only a change of it makes another one worth trying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// Digest of the configuration; `None` if it cannot be read.
    pub config: Option<Digest>,
    /// The program; `None` if the child's user cannot run any candidate.
    pub program: Option<ProgramFile>,
}

/// Plugins and platforms that a configuration enables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enabled {
    /// Ids of plugins that the configuration names.
    pub plugins: BTreeSet<String>,
    /// Ids of platforms, the plugins among them.
    pub platforms: BTreeSet<String>,
}

/// Answer to a request.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Done,
    Found(bool),
    Changes(Changes),
    /// The files that are listed now and were not wanted, and the first failure.
    Synced(List, Option<String>),
    Ground(Ground),
    Enabled(Option<Enabled>),
    Failed(String),
}

/// Why files were not written, read or checked. It is retried.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The worker could not be started.
    #[error("the process that handles files could not be started: {0}")]
    NotStarted(io::Error),
    /// The worker was killed at its deadline.
    #[error("files were not handled within {} s: something holds the child's file system", .0.as_secs())]
    TooLate(Duration),
    /// The worker ended without an answer.
    #[error("the process that handles files ended without an answer")]
    Ended,
    /// The answer does not fit the request.
    #[error("the process that handles files gave an answer that is not understood")]
    NotUnderstood,
    /// The request cannot be serialized.
    #[error("a path is not UTF-8")]
    Path,
    /// A file could not be handled.
    #[error("a file could not be written: {0}")]
    Failed(String),
    /// The list in the run folder could not be written.
    #[error("the list of files in the run folder could not be written: {0}")]
    List(io::Error),
}

/// Client of the worker; starts a process for each request.
#[derive(Clone, Debug)]
pub struct Worker {
    program: OwnProgram,
    state: PathBuf,
    deadline: Duration,
}

impl Worker {
    /// Creates a client for this state folder.
    #[must_use]
    pub fn new(program: OwnProgram, state: &Path, deadline: Duration) -> Self {
        Self { program, state: state.to_owned(), deadline }
    }

    /// Program of the worker.
    #[must_use]
    pub fn program(&self) -> &OwnProgram {
        &self.program
    }

    /// Creates the state folder.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn make_state(&self) -> Result<(), FileError> {
        self.done(Work::MakeState).await
    }

    /// Runs work that is answered by success alone.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn done(&self, work: Work) -> Result<(), FileError> {
        match self.ask(work).await? {
            Answer::Done => Ok(()),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// Whether a plain file exists at `path`.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn is_file(&self, path: &Path) -> Result<bool, FileError> {
        match self.ask(Work::Look(path.to_owned())).await? {
            Answer::Found(found) => Ok(found),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// Compares files with `expected`.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn check(&self, expected: Expectation) -> Result<Changes, FileError> {
        match self.ask(Work::Check(expected)).await? {
            Answer::Changes(changes) => Ok(changes),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// Writes skills or templates. Returns the listed files that were not wanted, and the first failure.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn sync(&self, work: Work) -> Result<(List, Option<FileError>), FileError> {
        match self.ask(work).await? {
            Answer::Synced(list, failed) => Ok((list, failed.as_deref().map(failure))),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// Takes a snapshot of what a start depends on.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn find(&self, candidates: Vec<PathBuf>, config: &Path) -> Result<Ground, FileError> {
        match self.ask(Work::Find { candidates, config: config.to_owned() }).await? {
            Answer::Ground(ground) => Ok(ground),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// Reads what a configuration enables; `None` if it cannot be read.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn enabled(&self, config: &Path) -> Result<Option<Enabled>, FileError> {
        match self.ask(Work::Enabled(config.to_owned())).await? {
            Answer::Enabled(enabled) => Ok(enabled),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// Runs a worker for one request. It has ended when this returns, or is reaped later.
    async fn ask(&self, work: Work) -> Result<Answer, FileError> {
        let files = u32::try_from(work.files()).unwrap_or(u32::MAX);
        let more = DEADLINE_PER_FILE.saturating_mul(files).min(MOST_FOR_FILES);
        let deadline = self.deadline.saturating_add(more);
        let request = serde_json::to_vec(&Request { state: self.state.clone(), work }).map_err(|_| FileError::Path)?;
        let mut command = self.program.command(FILES);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Command::from(command).kill_on_drop(true).spawn().map_err(FileError::NotStarted)?;
        let outcome = tokio::time::timeout(deadline, exchange(&mut child, request)).await;
        // Killed even after its answer: it has nothing left to do.
        let _ = child.start_kill();
        let _ = tokio::time::timeout(REAP, child.wait()).await;
        match outcome.map_err(|_| FileError::TooLate(deadline))?? {
            Answer::Failed(why) => Err(failure(&why)),
            answer => Ok(answer),
        }
    }
}

async fn exchange(child: &mut Child, request: Vec<u8>) -> Result<Answer, FileError> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(FileError::Ended);
    };
    let send = async move {
        // A worker that has ended is noticed by its missing answer.
        let _ = input.write_all(&request).await;
    };
    let receive = async move {
        let mut bytes = Vec::new();
        output.take(ANSWER_LIMIT + 1).read_to_end(&mut bytes).await.map(|_| bytes)
    };
    let ((), received) = tokio::join!(send, receive);
    let bytes = received.map_err(|_| FileError::Ended)?;
    if bytes.is_empty() {
        return Err(FileError::Ended);
    }
    if bytes.len() as u64 > ANSWER_LIMIT {
        return Err(FileError::NotUnderstood);
    }
    serde_json::from_slice(&bytes).map_err(|_| FileError::NotUnderstood)
}

/// Bounds the text, which comes from a process that the child may control; the log escapes it.
fn failure(why: &str) -> FileError {
    FileError::Failed(why.chars().take(FAILURE_LIMIT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::User;

    /// Error of a request that this program, whose first argument is the mode, should answer.
    async fn outcome(program: &str, deadline: Duration) -> FileError {
        let program = OwnProgram::at(Path::new(program), User::own());
        Worker::new(program, Path::new("/no/such/state"), deadline).is_file(Path::new("/x")).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_process_that_ends_floods_or_answers_anything_else_is_an_error() {
        let long = Duration::from_hours(1);
        assert!(matches!(outcome("/no/such/program", long).await, FileError::NotStarted(_)));
        assert!(matches!(outcome("/bin/true", long).await, FileError::Ended));
        assert!(matches!(outcome("/bin/echo", long).await, FileError::NotUnderstood));
        assert!(matches!(outcome("/usr/bin/yes", long).await, FileError::NotUnderstood));
    }

    #[tokio::test]
    async fn a_process_that_is_not_done_at_its_deadline_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("silent");
        // Never answers and never ends, however slow the machine is.
        std::fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        loop {
            match outcome(program.to_str().unwrap(), Duration::ZERO).await {
                // A process that another test starts at this moment still has the file open for writing.
                FileError::NotStarted(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                outcome => {
                    assert!(matches!(outcome, FileError::TooLate(_)), "{outcome}");
                    return;
                }
            }
        }
    }

    #[test]
    fn a_request_has_longer_for_more_files_and_a_failures_words_are_bounded() {
        let files = |count: usize| Work::Write(vec![("/x".into(), String::new()); count]).files();
        assert_eq!((files(0), files(10_000)), (0, 10_000));
        assert!(failure(&"x".repeat(100_000)).to_string().len() < 400);
    }
}
