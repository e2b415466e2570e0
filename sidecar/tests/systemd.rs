//! The sidecar as a service of systemd, which the test simulates: notifications, the watchdog and adoption of the
//! child. `tests/systemd/run` does the same with systemd itself.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            net::{SocketAddr, UnixDatagram},
            process::ExitStatusExt,
        },
    },
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use portcullis_tests::system::eventually;
use support::{Gateway, Machine, is_alive, mode, signal};

/// systemd's notification socket, and all messages to it.
struct Systemd {
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Systemd {
    /// Opens the socket, and prepares a sidecar for it that starts a child from an earlier run's files.
    async fn with_machine() -> (Self, Gateway, Machine) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let gateway = Gateway::start().await;
        // Nothing listens at this address.
        let mut machine = Machine::new("http://127.0.0.1:9", "a-token", &gateway);
        fs::create_dir_all(machine.state()).unwrap();
        fs::write(machine.state().join("openclaw.json"), "{}").unwrap();
        if let Some(user) = machine.environment.get("PORTCULLIS_CHILD_USER").map(|user| user.parse().unwrap()) {
            for path in [machine.state(), machine.state().join("openclaw.json")] {
                std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
            }
        }
        let name = format!("portcullis-systemd-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        machine.set("NOTIFY_SOCKET", &format!("@{name}"));
        (Self { socket, told: Vec::new() }, gateway, machine)
    }

    fn look(&mut self) {
        let mut text = [0; 4096];
        while let Ok(count) = self.socket.recv(&mut text) {
            self.told.push(String::from_utf8(text[..count].to_vec()).unwrap());
        }
    }

    fn is_told(&mut self, line: &str) -> bool {
        self.look();
        self.told.iter().any(|told| told.lines().any(|one| one.starts_with(line)))
    }

    async fn wait_for(&mut self, line: &str) {
        eventually(line, async || self.is_told(line)).await;
    }
}

#[tokio::test]
async fn systemd_is_told_when_the_sidecar_supervises_how_it_is_and_when_it_ends() {
    let (mut systemd, gateway, machine) = Systemd::with_machine().await;
    let mut sidecar = machine.start();
    systemd.wait_for("READY=1").await;
    machine.wait_for_child().await;
    systemd.wait_for("STATUS=active: OpenClaw answers").await;
    gateway.be_well(false);
    systemd.wait_for("STATUS=degraded").await;
    let environment = machine.child_environment();
    assert!(!environment.keys().any(|name| name.starts_with("NOTIFY_") || name.starts_with("WATCHDOG_")));
    assert!(!systemd.is_told("STOPPING=1") && !systemd.is_told("WATCHDOG=1"));
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    // The child's 30 s, and the margin for killing.
    assert!(systemd.is_told("STOPPING=1") && systemd.is_told("EXTEND_TIMEOUT_USEC=120000000"), "{:?}", systemd.told);
}

#[tokio::test]
async fn a_sidecar_that_cannot_supervise_is_never_ready() {
    let (mut systemd, _gateway, mut machine) = Systemd::with_machine().await;
    let run = machine.environment["PORTCULLIS_RUN_DIR"].clone();
    for (name, value) in [("PORTCULLIS_PASS_ENV", "SKILL_API_TOKEN"), ("PORTCULLIS_RUN_DIR", "/dev/null")] {
        machine.set(name, value);
        let mut sidecar = machine.start();
        assert!(!sidecar.wait().await.success());
        machine.environment.remove("PORTCULLIS_PASS_ENV");
    }
    machine.set("PORTCULLIS_RUN_DIR", &run);
    let _first = machine.start();
    systemd.wait_for("READY=1").await;
    let count = systemd.told.concat().matches("READY=1").count();
    assert_eq!(count, 1);
    let mut second = machine.start();
    assert!(!second.wait().await.success(), "the run folder is taken");
    systemd.look();
    assert_eq!(systemd.told.concat().matches("READY=1").count(), 1);
}

#[tokio::test]
async fn the_watchdog_hears_of_a_sidecar_that_runs_and_not_of_one_that_hangs() {
    let (mut systemd, _gateway, mut machine) = Systemd::with_machine().await;
    machine.set("WATCHDOG_USEC", "100000");
    let sidecar = machine.start();
    let child = machine.wait_for_child().await;
    for _ in 0..3 {
        systemd.look();
        systemd.told.clear();
        systemd.wait_for("WATCHDOG=1").await;
    }
    signal(sidecar.id(), "STOP");
    let stat = || fs::read_to_string(format!("/proc/{}/stat", sidecar.id())).unwrap();
    eventually("it is stopped", async || stat().contains(") T ")).await;
    systemd.look();
    systemd.told.clear();
    assert!(!systemd.is_told("WATCHDOG=1"));
    // systemd aborts a service that hangs and starts another, which adopts the child.
    signal(sidecar.id(), "ABRT");
    sidecar.kill();
    assert!(is_alive(child));
    let mut next = machine.start();
    systemd.wait_for("WATCHDOG=1").await;
    eventually("it is adopted", async || machine.log().contains("adopted the running OpenClaw")).await;
    assert_eq!(machine.child(), Some(child));
    next.terminate();
    assert!(next.wait().await.success() && !is_alive(child));

    // The variables of another process's watchdog are ignored.
    machine.set("WATCHDOG_PID", "1");
    systemd.look();
    systemd.told.clear();
    let mut sidecar = machine.start();
    systemd.wait_for("READY=1").await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert!(!systemd.is_told("WATCHDOG=1"));
}

/// Runs `portcullis-sidecar end` to its end.
async fn end(machine: &Machine) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis-sidecar"));
    let log = fs::File::options().append(true).open(machine.root().join("log")).unwrap();
    command.arg("end").env_clear().envs(&machine.environment).stderr(log);
    tokio::task::spawn_blocking(move || command.status().unwrap().success()).await.unwrap()
}

#[tokio::test]
async fn a_child_that_outlived_its_sidecar_is_ended_by_the_command_for_it_and_no_other_is() {
    let (_systemd, _gateway, mut machine) = Systemd::with_machine().await;
    let script = r"sleep 600 & echo $! > left; trap '' TERM; echo $$ > pid; while :; do sleep 1; done";
    machine.command = ["sh", "-c", script].map(str::to_owned).into();
    machine.set("PORTCULLIS_STOP_SECONDS", "1");
    let sidecar = machine.start();
    let child = machine.wait_for_child().await;
    let left: u32 = machine.text("left").unwrap().trim().parse().unwrap();
    assert!(end(&machine).await && is_alive(child), "a sidecar runs");
    sidecar.kill();
    assert!(is_alive(child) && is_alive(left));
    assert!(end(&machine).await, "{}", machine.log());
    assert!(!is_alive(child) && !is_alive(left) && machine.processes().is_empty() && machine.record().is_none());
    assert!(end(&machine).await, "there is nothing to be ended");
    let mut next = machine.start();
    machine.wait_for_child().await;
    next.terminate();
    let status = next.wait().await;
    assert!(status.success() && status.signal().is_none());
}

#[tokio::test]
async fn a_socket_that_is_away_or_full_holds_nothing_up() {
    let (systemd, _gateway, mut machine) = Systemd::with_machine().await;
    // A socket that nobody reads, which holds some hundred messages at most.
    machine.set("WATCHDOG_USEC", "200");
    let mut sidecar = machine.start();
    machine.wait_for_child().await;
    eventually("it is full", async || machine.log().contains("systemd cannot be notified")).await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    drop(systemd);
    let folder = machine.root().join("folder");
    fs::create_dir(&folder).unwrap();
    mode(&folder, 0o700);
    machine.environment.remove("WATCHDOG_USEC");
    machine.set("NOTIFY_SOCKET", folder.join("nobody").to_str().unwrap());
    let mut sidecar = machine.start();
    machine.wait_for_child().await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
}
