//! A running sidecar for a test, with its machine and its child's gateway.

#![allow(dead_code, reason = "each suite uses a part of it")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::Router;
use http::StatusCode;
use portcullis_sidecar::{
    cgroup::Cgroup,
    proc::{self, Rights},
};
use portcullis_tests::{
    System,
    system::{eventually, pause, send},
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A gateway's `/health`, with the answer that a test sets.
pub struct Gateway {
    pub address: String,
    well: Arc<AtomicBool>,
}

impl Gateway {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let well = Arc::new(AtomicBool::new(true));
        let answered = Arc::clone(&well);
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(async move || {
            if answered.load(Ordering::Relaxed) { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
        });
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { address, well }
    }

    pub fn be_well(&self, well: bool) {
        self.well.store(well, Ordering::Relaxed);
    }
}

/// Folders and settings of a sidecar. They outlive it, so that another sidecar can follow.
pub struct Machine {
    folder: TempDir,
    pub environment: BTreeMap<String, String>,
    pub command: Vec<String>,
    /// User id of the child, unique among tests.
    user: Option<u32>,
}

/// Script of a child that records its environment and process id, and runs on.
const CHILD: &str =
    r#"env -0 > "$OPENCLAW_STATE_DIR/environment"; echo $$ > "$OPENCLAW_STATE_DIR/pid"; exec sleep 600"#;

impl Machine {
    /// Creates a machine of `pool-1` of this control plane, with the token in a file.
    pub fn new(api: &str, token: &str, gateway: &Gateway) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        // The child may enter the folder, but the token file is root's.
        mode(folder.path(), 0o755);
        fs::write(folder.path().join("token"), token).unwrap();
        mode(&folder.path().join("token"), 0o600);
        fs::create_dir(folder.path().join("home")).unwrap();
        let mut environment: BTreeMap<String, String> = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("HOME", path("home")),
            ("PORTCULLIS_API_URL", api.to_owned()),
            ("PORTCULLIS_POOL_ID", "pool-1".to_owned()),
            ("PORTCULLIS_TOKEN_FILE", path("token")),
            ("PORTCULLIS_RUN_DIR", path("run")),
            ("PORTCULLIS_GATEWAY", gateway.address.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let user = is_root().then(free_user);
        if let Some(user) = user {
            chown(folder.path().join("home"), Some(user), Some(user)).unwrap();
            environment.insert("PORTCULLIS_CHILD_USER".to_owned(), user.to_string());
            environment.insert("OPENCLAW_STATE_DIR".to_owned(), path("home/.openclaw"));
        }
        let command = ["sh", "-c", CHILD].map(str::to_owned).into();
        Self { folder, environment, command, user }
    }

    /// Creates a machine of `pool-1` of a system.
    pub async fn of(system: &System, gateway: &Gateway) -> Self {
        let path = "/api/internal/pools/pool-1/runtime-tokens";
        let answer = send(system.internal(Method::POST, path).json(&json!({ "ttlSeconds": 3600 }))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Self::new(&system.stack.base_url(), answer.json()["token"].as_str().unwrap(), gateway)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        let own = self.environment.get("OPENCLAW_STATE_DIR").map(PathBuf::from);
        own.unwrap_or_else(|| self.folder.path().join("home/.openclaw"))
    }

    pub fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.state().join(path)).ok()
    }

    pub fn json(&self, path: &str) -> Option<Value> {
        self.text(path).map(|text| serde_json::from_str(&text).expect("a file is never half written"))
    }

    /// Process id that the child recorded.
    pub fn child(&self) -> Option<u32> {
        self.text("pid").and_then(|pid| pid.trim().parse().ok())
    }

    /// Environment that the child recorded.
    pub fn child_environment(&self) -> BTreeMap<String, String> {
        let text = self.text("environment").unwrap();
        let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Process ids of the child's user, which is unique; none if the child runs as the sidecar's own user.
    pub fn processes(&self) -> Vec<u32> {
        let all = proc::all().unwrap();
        let alive = all.values().filter(|process| !process.is_zombie).map(|process| process.pid);
        alive.filter(|pid| self.is_of_child(*pid)).collect()
    }

    fn is_of_child(&self, pid: u32) -> bool {
        let user = self.environment.get("PORTCULLIS_CHILD_USER");
        user.is_some_and(|user| Rights::of(pid).is_some_and(|rights| rights.uid.to_string() == *user))
    }

    /// Whether the child's user has a process in any of 50 scans, each of the newest ones too: a chain of processes,
    /// each of which ends once it has started the next, is seen in few of them.
    pub async fn has_processes(&self) -> bool {
        for _ in 0..50 {
            let newest = proc::newest().into_iter().filter(|process| !process.is_zombie).map(|process| process.pid);
            if !self.processes().is_empty() || newest.into_iter().any(|pid| self.is_of_child(pid)) {
                return true;
            }
            pause(Duration::from_millis(10)).await;
        }
        false
    }

    /// Log of all sidecars of this machine.
    pub fn log(&self) -> String {
        fs::read_to_string(self.root().join("log")).unwrap_or_default()
    }

    /// Lines of the log, as JSON.
    pub fn log_lines(&self) -> Vec<Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub fn start(&self) -> Sidecar {
        self.start_by(&[])
    }

    /// Starts a sidecar through a command that ends by executing its further arguments.
    pub fn start_by(&self, wrapper: &[&str]) -> Sidecar {
        let log = fs::File::options().create(true).append(true).open(self.root().join("log")).unwrap();
        self.spawn(wrapper, log.try_clone().unwrap(), log)
    }

    /// Starts a sidecar with this output and this log.
    pub fn start_with(&self, output: impl Into<Stdio>, log: impl Into<Stdio>) -> Sidecar {
        self.spawn(&[], output, log)
    }

    fn spawn(&self, wrapper: &[&str], output: impl Into<Stdio>, log: impl Into<Stdio>) -> Sidecar {
        let words = [wrapper, &[env!("CARGO_BIN_EXE_portcullis-sidecar"), "--"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(&self.command).env_clear().envs(&self.environment).process_group(0);
        let process = command.stdin(Stdio::null()).stdout(output).stderr(log).spawn().unwrap();
        Sidecar { process, record: self.root().join("run/openclaw-process.json") }
    }

    /// Runs `portcullis-sidecar prepare` to its end.
    pub async fn prepare(&self, arguments: &[&str]) -> Prepared {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis-sidecar"));
        command.arg("prepare").args(arguments).env_clear().envs(&self.environment).stdin(Stdio::null());
        // In another thread, because the control plane runs on this one.
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        Prepared { is_success: output.status.success(), log: String::from_utf8(output.stderr).unwrap() }
    }

    /// Record of the sidecar's child.
    pub fn record(&self) -> Option<Value> {
        let record = fs::read(self.root().join("run/openclaw-process.json")).ok()?;
        serde_json::from_slice(&record).ok()
    }

    pub async fn wait_for_child(&self) -> u32 {
        // The record is complete just after the child has started.
        let noted = || self.record()?["identity"]["pid"].as_u64();
        let is_noted = |child: u32| is_alive(child) && noted() == Some(child.into());
        eventually("the child has started", async || self.child().is_some_and(is_noted)).await;
        self.child().unwrap()
    }
}

/// Outcome of `portcullis-sidecar prepare`.
#[derive(Debug)]
pub struct Prepared {
    is_success: bool,
    log: String,
}

impl Prepared {
    pub fn assert_succeeds(&self) {
        assert!(self.is_success, "{self:?}");
    }

    pub fn assert_fails(&self, said: &str) {
        assert!(!self.is_success && self.log.contains(said), "{self:?}");
    }
}

/// Whether the tests run as root, which can start a child as another user.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Whether a test that needs root can run. Otherwise prints that it is skipped, and fails if skipping is not allowed.
#[expect(clippy::disallowed_methods, clippy::print_stderr, reason = "a test's own setting and message")]
pub fn has_root(test: &str) -> bool {
    let must = std::env::var_os("PORTCULLIS_TESTS_NEED_ROOT").is_some_and(|value| value == "1");
    assert!(is_root() || !must, "{test} needs root, and PORTCULLIS_TESTS_NEED_ROOT is set");
    if !is_root() {
        eprintln!("skipped: {test} needs root");
    }
    is_root()
}

/// Returns a user id that no other test uses.
fn free_user() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    200_000 + std::process::id() % 20_000 * 100 + NEXT.fetch_add(1, Ordering::Relaxed)
}

pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Whether a process runs.
pub fn is_alive(pid: u32) -> bool {
    portcullis_sidecar::record::Identity::of(pid).is_some()
}

/// A sidecar's process. Dropping it ends it and its child.
pub struct Sidecar {
    process: std::process::Child,
    record: PathBuf,
}

impl Sidecar {
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Kills the sidecar; its child runs on.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.record = PathBuf::new();
    }

    pub fn terminate(&self) {
        signal(self.id(), "TERM");
    }

    pub async fn wait(&mut self) -> std::process::ExitStatus {
        eventually("the sidecar has ended", async || self.process.try_wait().unwrap().is_some()).await;
        self.process.wait().unwrap()
    }
}

impl Drop for Machine {
    /// Kills all processes of the child's user after a failed test; none that starts meanwhile escapes.
    fn drop(&mut self) {
        if let Some(user) = self.user {
            let _ = Command::new("sh").args(["-c", "kill -9 -1"]).uid(user).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let record: Option<Value> = fs::read(&self.record).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let Some(record) = record else { return };
        if let Some(pid) = record["identity"]["pid"].as_u64() {
            signal(u32::try_from(pid).unwrap(), "KILL");
        }
        if let Some(cgroup) = record["cgroup"].as_str().and_then(|path| Cgroup::recorded(Path::new(path))) {
            cgroup.kill();
            while !cgroup.members().is_empty() {
                std::thread::yield_now();
            }
            cgroup.remove();
        }
    }
}

pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
}
