//! The demonstration's pool: a sidecar in a process of its own, with a stand-in for `OpenClaw` as its child.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
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
    process::{Child, Command},
    sync::mpsc,
};

use super::openclaw::Told;

/// What the machine says.
#[derive(Clone, Debug)]
pub enum Line {
    /// The sidecar, of itself.
    Sidecar(String),
    /// The stand-in.
    OpenClaw(Told),
}

/// A running machine. Its processes end with [`Machine::shutdown`].
pub struct Machine {
    sidecar: Child,
    lines: mpsc::UnboundedReceiver<Line>,
    _folder: TempDir,
}

/// A port of loopback that was free just now.
///
/// # Errors
/// Where there is none.
pub fn free_address() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

impl Machine {
    /// Starts the sidecar of `pool`, whose stand-in listens at `address`. `program` is this program.
    ///
    /// # Errors
    /// Those of the file system, and of starting a process.
    pub fn start(
        program: &Path,
        base_url: &str,
        pool: &str,
        token: &SecretString,
        address: SocketAddr,
    ) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("portcullis-demo-").tempdir()?;
        let token_file = folder.path().join("token");
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&token_file)?;
        io::Write::write_all(&mut file, token.expose_secret().as_bytes())?;
        let mut sidecar = Command::new(program)
            .args(["sidecar", "--"])
            .arg(program)
            .args(["stand-in-openclaw", &address.port().to_string()])
            .env_clear()
            .env("HOME", folder.path())
            .env("PORTCULLIS_API_URL", base_url)
            .env("PORTCULLIS_POOL_ID", pool)
            .env("PORTCULLIS_POD_IP", address.to_string())
            .env("PORTCULLIS_GATEWAY", address.to_string())
            .env("PORTCULLIS_RUN_DIR", folder.path().join("run"))
            .env("PORTCULLIS_TOKEN_FILE", &token_file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for this process, which then ends that one.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (sender, lines) = mpsc::unbounded_channel();
        if let Some(output) = sidecar.stdout.take() {
            tokio::spawn(pass_on(output, sender.clone(), |line| serde_json::from_str(line).ok().map(Line::OpenClaw)));
        }
        if let Some(output) = sidecar.stderr.take() {
            tokio::spawn(pass_on(output, sender, sidecars_line));
        }
        Ok(Self { sidecar, lines, _folder: folder })
    }

    /// What it says next; `None` where it has ended.
    pub async fn next_line(&mut self) -> Option<Line> {
        self.lines.recv().await
    }

    /// Ends the sidecar, which ends its child first.
    pub async fn shutdown(mut self) {
        let pid = self.sidecar.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill(pid, Signal::SIGTERM);
        }
        if let Err(error) = self.sidecar.wait().await {
            tracing::warn!(%error, "the demonstration's sidecar could not be waited for");
        }
    }
}

async fn pass_on(
    output: impl AsyncRead + Unpin,
    lines: mpsc::UnboundedSender<Line>,
    read: impl Fn(&str) -> Option<Line>,
) {
    let mut output = BufReader::new(output).lines();
    while let Ok(Some(line)) = output.next_line().await {
        // Where nobody listens any more, the demonstration has ended.
        let _ = read(&line).map(|line| lines.send(line));
    }
}

/// A line of the sidecar's log, in words.
fn sidecars_line(line: &str) -> Option<Line> {
    let line: serde_json::Map<String, Value> = serde_json::from_str(line).ok()?;
    let message = line.get("message")?.as_str()?;
    let facts = line.iter().filter(|(name, _)| !matches!(name.as_str(), "message" | "level" | "timestamp"));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let facts: Vec<String> = facts.map(|(name, value)| format!("{name} {}", text(value))).collect();
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    Some(Line::Sidecar(format!("{message}{facts}")))
}
