//! `portcullis-sidecar serve-files`: a short-lived process of the child's user that does one thing with files that the child
//! can touch, and the supervising process's side of it.
//!
//! The child can put anything in the place of a file, and can hang whoever opens it. The supervising process therefore opens
//! none: it hands a request to this process on its standard input, reads a bounded answer from its standard output, and kills
//! it at a deadline. The process is the child's equal, so that its answer is checked like any other foreign input.

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

/// How much longer a request may take for each file that it names: a slow disk syncs each.
const DEADLINE_PER_FILE: Duration = Duration::from_millis(20);

/// The most that all of its files may add to it.
const MOST_FOR_FILES: Duration = Duration::from_mins(5);

/// How long the end of a killed process is waited for. One that can't be killed is reaped later.
const REAP: Duration = Duration::from_secs(1);

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: u64 = 1024 * 1024;

/// The longest text of a failure that is kept, in characters.
const FAILURE_LIMIT: usize = 300;

/// A request: the folder of `OpenClaw`'s state, and the work.
#[derive(Serialize, Deserialize)]
struct Request<W> {
    state: PathBuf,
    work: W,
}

/// What is to be done. Paths in it are absolute. It holds credentials, and so has no `Debug`.
#[derive(Serialize, Deserialize)]
pub enum Work {
    /// Make the folder of the state.
    MakeState,
    /// Tell whether there is a plain file.
    Look(PathBuf),
    /// Compare what is there with what was written, and remove copies of the configuration.
    Check(Expectation),
    /// Write whole files, in this order.
    Write(Vec<(PathBuf, String)>),
    /// Write the skills, and remove those that are listed and not wanted.
    Skills {
        /// The files' texts.
        wanted: BTreeMap<FilePath, String>,
        /// The files that are there; `None` where only an older sidecar's list tells.
        listed: Option<List>,
    },
    /// Write the templates of an agent's workspace.
    Templates {
        /// The agent.
        agent: String,
        /// The templates, by their files.
        wanted: BTreeMap<FilePath, Template>,
        /// The files that are there; `None` where only an older sidecar's list tells.
        listed: Option<List>,
    },
    /// Tell which program a start would run, and the configuration that it would read.
    Find {
        /// Where the program may be, the first choice first.
        candidates: Vec<PathBuf>,
        /// The configuration.
        config: PathBuf,
    },
    /// Tell what the configuration enables.
    Enabled(PathBuf),
    /// Make a folder with an empty configuration in the state's folder.
    MakeScratch(String),
    /// Remove it again.
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

/// A program's file, told from the one that replaces it: device, inode and time of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFile(u64, u64, i64);

/// What a start depends on. Where a child can't start, nothing but a change of it can help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// Of the configuration's file; `None` where it can't be read.
    pub config: Option<Digest>,
    /// The program; `None` where there is none that the child's user can run.
    pub program: Option<ProgramFile>,
}

/// What a configuration enables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enabled {
    /// Plugins that it names.
    pub plugins: BTreeSet<String>,
    /// Platforms, the plugins among them.
    pub platforms: BTreeSet<String>,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Done,
    Found(bool),
    Changes(Changes),
    /// The files that are listed now, but for those that were wanted, and the first failure.
    Synced(List, Option<String>),
    Ground(Ground),
    Enabled(Option<Enabled>),
    Failed(String),
}

/// Why files were not written, read or checked. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The process could not be started.
    #[error("the process that handles files could not be started: {0}")]
    NotStarted(io::Error),
    /// It was killed at its deadline.
    #[error("files were not handled within {} s: something holds the child's file system", .0.as_secs())]
    TooLate(Duration),
    /// It ended without an answer.
    #[error("the process that handles files ended without an answer")]
    Ended,
    /// It answered something else than was asked.
    #[error("the process that handles files gave an answer that is not understood")]
    NotUnderstood,
    /// The request has no form.
    #[error("a path is not UTF-8")]
    Path,
    /// A file could not be handled.
    #[error("a file could not be written: {0}")]
    Failed(String),
    /// The list in the run folder could not be written.
    #[error("the list of files in the run folder could not be written: {0}")]
    List(io::Error),
}

/// Starts a process for each request.
#[derive(Clone, Debug)]
pub struct Worker {
    program: OwnProgram,
    state: PathBuf,
    deadline: Duration,
}

impl Worker {
    /// A worker on this state's folder.
    #[must_use]
    pub fn new(program: OwnProgram, state: &Path, deadline: Duration) -> Self {
        Self { program, state: state.to_owned(), deadline }
    }

    /// The program that it runs.
    #[must_use]
    pub fn program(&self) -> &OwnProgram {
        &self.program
    }

    /// Makes the folder of the state.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn make_state(&self) -> Result<(), FileError> {
        self.done(Work::MakeState).await
    }

    /// Does work that has no answer but success.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn done(&self, work: Work) -> Result<(), FileError> {
        match self.ask(work).await? {
            Answer::Done => Ok(()),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// Whether there is a plain file.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn is_file(&self, path: &Path) -> Result<bool, FileError> {
        match self.ask(Work::Look(path.to_owned())).await? {
            Answer::Found(found) => Ok(found),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// Compares what is there with `expected`.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn check(&self, expected: Expectation) -> Result<Changes, FileError> {
        match self.ask(Work::Check(expected)).await? {
            Answer::Changes(changes) => Ok(changes),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// Writes skills or templates. Returns what is listed beside what was wanted, and the first failure.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn sync(&self, work: Work) -> Result<(List, Option<FileError>), FileError> {
        match self.ask(work).await? {
            Answer::Synced(list, failed) => Ok((list, failed.as_deref().map(failure))),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// What a start depends on.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn find(&self, candidates: Vec<PathBuf>, config: &Path) -> Result<Ground, FileError> {
        match self.ask(Work::Find { candidates, config: config.to_owned() }).await? {
            Answer::Ground(ground) => Ok(ground),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// What a configuration enables; `None` where there is none that can be read.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn enabled(&self, config: &Path) -> Result<Option<Enabled>, FileError> {
        match self.ask(Work::Enabled(config.to_owned())).await? {
            Answer::Enabled(enabled) => Ok(enabled),
            _ => Err(FileError::NotUnderstood),
        }
    }

    /// Runs a process for one request. It has ended when this returns, or is reaped when it can be.
    async fn ask(&self, work: Work) -> Result<Answer, FileError> {
        let files = u32::try_from(work.files()).unwrap_or(u32::MAX);
        let more = DEADLINE_PER_FILE.saturating_mul(files).min(MOST_FOR_FILES);
        let deadline = self.deadline.saturating_add(more);
        let request = serde_json::to_vec(&Request { state: self.state.clone(), work }).map_err(|_| FileError::Path)?;
        let mut command = self.program.command(FILES);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Command::from(command).kill_on_drop(true).spawn().map_err(FileError::NotStarted)?;
        let outcome = tokio::time::timeout(deadline, exchange(&mut child, request)).await;
        // Whatever it does after its answer is none of its work.
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
        // One that has ended is told from its answer.
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

/// The words come from a process that the child may control: they are bounded, and the log escapes them.
fn failure(why: &str) -> FileError {
    FileError::Failed(why.chars().take(FAILURE_LIMIT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::User;

    /// What comes of a request that this program is to answer, whose first argument is the mode.
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
        // It says nothing and does not end, however slow the machine is.
        std::fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        loop {
            match outcome(program.to_str().unwrap(), Duration::ZERO).await {
                // A process that another test starts at this moment still has the file open as it was written.
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
