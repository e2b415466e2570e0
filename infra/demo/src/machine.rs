//! The demonstration's pool: a sidecar in a process of its own, with a stand-in for `OpenClaw` as its child.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
};

use crate::openclaw::Told;

/// A line of the machine's output.
#[derive(Clone, Debug)]
pub enum Line {
    /// Log line of the sidecar.
    Sidecar(String),
    /// Line of the stand-in.
    OpenClaw(Told),
}

/// Prefix of the names of machines' folders.
const FOLDER_PREFIX: &str = "portcullis-demo-";
/// Lock file, locked as long as the folder is in use.
const LOCK_FILE: &str = "lock";

/// Setup of a machine's sidecar and of its child.
pub struct Setup<'a> {
    /// This program, which is also the sidecar and the child.
    pub program: &'a Path,
    /// URL of the control plane.
    pub base_url: &'a str,
    /// Id of the pool.
    pub pool: &'a str,
    /// Runtime token of the pool.
    pub token: &'a SecretString,
    /// Address of the child.
    pub address: SocketAddr,
    /// Base URL of Slack's Web API, for the child's answers.
    pub slack_api: Option<&'a str>,
}

/// A running machine. Its processes end with [`Machine::shutdown`], and also where this process is killed: the kernel
/// then closes the sidecar's input.
pub struct Machine {
    sidecar: Child,
    _input: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<Line>,
    _lock: File,
    _folder: TempDir,
}

/// Returns a loopback address whose port was free just now.
///
/// # Errors
/// Where no port is free.
pub fn free_address() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

impl Machine {
    /// Starts the sidecar of `pool`, whose stand-in listens at `address` and answers messages at `slack_api`. `program`
    /// is this program.
    ///
    /// # Errors
    /// Errors of the file system, and of starting a process.
    pub fn start(setup: &Setup<'_>) -> io::Result<Self> {
        let Setup { program, base_url, pool, token, address, slack_api } = setup;
        remove_abandoned(&std::env::temp_dir());
        let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir()?;
        let lock = lock(folder.path())?;
        let token_file = folder.path().join("token");
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&token_file)?;
        io::Write::write_all(&mut file, token.expose_secret().as_bytes())?;
        let mut sidecar = Command::new(program)
            .args(["sidecar", "--"])
            .arg(program)
            .args(["stand-in-openclaw", &address.port().to_string()])
            .args(slack_api.map(|url| format!("--slack-api={url}")))
            .env_clear()
            .env("HOME", folder.path())
            .env("PORTCULLIS_API_URL", base_url)
            .env("PORTCULLIS_POOL_ID", pool)
            .env("PORTCULLIS_POD_IP", address.to_string())
            .env("PORTCULLIS_GATEWAY", address.to_string())
            .env("PORTCULLIS_RUN_DIR", folder.path().join("run"))
            .env("PORTCULLIS_TOKEN_FILE", &token_file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C must reach only this process, which then ends the sidecar.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let input = sidecar.stdin.take();
        let (sender, lines) = mpsc::unbounded_channel();
        if let Some(output) = sidecar.stderr.take() {
            tokio::spawn(pass_on(output, sender));
        }
        Ok(Self { sidecar, _input: input, lines, _lock: lock, _folder: folder })
    }

    /// Next line of the output; `None` after its end.
    pub async fn next_line(&mut self) -> Option<Line> {
        self.lines.recv().await
    }

    /// Ends the sidecar, which ends its child first.
    pub async fn shutdown(mut self) {
        let pid = self.sidecar.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        if let Some(pid) = pid {
            // An error means that it has ended already.
            let _ = kill(pid, Signal::SIGTERM);
        }
        if let Err(error) = self.sidecar.wait().await {
            tracing::warn!(%error, "the demonstration's sidecar could not be waited for");
        }
    }
}

/// Locks a folder. The lock file gets its name only once it is locked, so that nobody sees it unlocked before.
fn lock(folder: &Path) -> io::Result<File> {
    let draft = folder.join("lock.new");
    let lock = File::create(&draft)?;
    lock.try_lock().map_err(io::Error::from)?;
    fs::rename(draft, folder.join(LOCK_FILE))?;
    Ok(lock)
}

/// Removes the folders of this user's killed demonstrations, whose locks nobody holds.
fn remove_abandoned(parent: &Path) {
    let own = nix::unistd::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER_PREFIX))
            && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own);
        let lock = is_ours.then(|| File::open(entry.path().join(LOCK_FILE)));
        if let Some(Ok(lock)) = lock
            && lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!(%error, "a folder of an earlier demonstration was left");
        }
    }
}

/// Passes on the log, which mixes the child's lines with the sidecar's.
async fn pass_on(output: impl AsyncRead + Unpin, lines: mpsc::UnboundedSender<Line>) {
    let read = |line: &str| serde_json::from_str(line).ok().map(Line::OpenClaw).or_else(|| sidecars_line(line));
    let mut output = BufReader::new(output).lines();
    while let Ok(Some(line)) = output.next_line().await {
        // A closed channel means that the demonstration has ended.
        let _ = read(&line).map(|line| lines.send(line));
    }
}

/// Formats a line of the sidecar's log.
fn sidecars_line(line: &str) -> Option<Line> {
    let line: serde_json::Map<String, Value> = serde_json::from_str(line).ok()?;
    let message = line.get("message")?.as_str()?;
    let facts = line.iter().filter(|(name, _)| !matches!(name.as_str(), "message" | "level" | "timestamp"));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let facts: Vec<String> = facts.map(|(name, value)| format!("{name} {}", text(value))).collect();
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    Some(Line::Sidecar(format!("{message}{facts}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_killed_demonstration_is_removed_and_one_in_use_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = parent.path().join(name);
            fs::create_dir(&folder).unwrap();
            folder
        };
        let (used, killed, other) = (folder("portcullis-demo-a"), folder("portcullis-demo-b"), folder("other"));
        let _held = lock(&used).unwrap();
        drop(lock(&killed).unwrap());
        drop(lock(&other).unwrap());
        fs::write(killed.join("token"), "x").unwrap();
        remove_abandoned(parent.path());
        assert_eq!([&used, &killed, &other].map(|folder| folder.exists()), [true, false, true]);
    }
}
