//! Malicious children: limits of their access, and that all their processes end.

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
    io::Read,
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt, chown, symlink},
    },
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use portcullis_sidecar::record::Identity;
use portcullis_tests::{System, seed, system::eventually};
use serde_json::{Value, json};
use support::{Gateway, Machine, has_root, is_alive, is_root, mode, signal};

async fn prepared() -> (System, Gateway, Machine) {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    let bot = seed::bot(&system, "bot-1", &pool).await;
    seed::channel(&system, "channel-1", &bot, &pool, "T0TEAM", "A0APP").await;
    let gateway = Gateway::start().await;
    let machine = Machine::of(&system, &gateway).await;
    (system, gateway, machine)
}

/// Command that starts a sidecar without permission to make cgroups.
const WITHOUT_CGROUPS: [&str; 5] = [
    "unshare",
    "--mount",
    "sh",
    "-c",
    r#"grep ' - cgroup2 ' /proc/self/mountinfo | cut -d' ' -f5 | while read point; do umount -l "$point"; done; exec "$0" "$@""#,
];

/// With cgroups, if this machine has them, and without.
fn wrappers() -> Vec<&'static [&'static str]> {
    if is_root() { vec![&[], &WITHOUT_CGROUPS] } else { vec![&[]] }
}

/// Sets a shell script as the child, started in its state folder.
fn shell(machine: &mut Machine, script: &str) {
    machine.command = ["sh", "-c", script].map(str::to_owned).into();
}

fn python(machine: &mut Machine, script: &str) {
    machine.command = ["python3", "-c", script].map(str::to_owned).into();
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_ascii_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// Script that leaves three processes: one in its own session, one that leads another, and one whose parent ends at
/// once.
const LEAVES: &str = r#"
    if test -e left; then
        for pid in $(cat left); do
            case $(sed -n 's/^State:.//p' /proc/$pid/status 2> /dev/null) in "" | Z* | X*) ;; *) echo $pid >> still-alive ;; esac
        done
    fi
    rm -f left.new may-end
    sleep 600 & echo $! >> left.new
    (trap '' TERM HUP; exec setsid sleep 600) & echo $! >> left.new
    setsid sh -c 'trap "" TERM HUP; sleep 600 & echo $! >> left.new'
    mv left.new left
    trap 'exit 0' TERM
    echo $$ > pid
    until test -e may-end; do sleep 0.1; done
    exit 0"#;

#[tokio::test]
async fn all_processes_of_a_child_end_with_it_however_it_ends() {
    for wrapper in wrappers() {
        let (_system, _gateway, mut machine) = prepared().await;
        shell(&mut machine, LEAVES);
        let mut sidecar = machine.start_by(wrapper);
        let first = machine.wait_for_child().await;
        let is_in_cgroup = machine.record().unwrap()["cgroup"].is_string();
        assert!(wrapper.is_empty() || !is_in_cgroup, "this one is to be without");
        // By a regular exit of the child.
        let left = numbers(&machine.text("left").unwrap());
        assert_eq!(left.len(), 3);
        fs::write(machine.state().join("may-end"), "").unwrap();
        eventually("another has started", async || machine.child() != Some(first)).await;
        assert!(left.iter().all(|pid| !is_alive(*pid)), "{left:?}");
        // By a crash of the child.
        let second = machine.wait_for_child().await;
        let left = numbers(&machine.text("left").unwrap());
        signal(second, "KILL");
        eventually("another has started", async || machine.child() != Some(second)).await;
        assert!(left.iter().all(|pid| !is_alive(*pid)), "{left:?}");
        // Together with the sidecar.
        let third = machine.wait_for_child().await;
        let left = numbers(&machine.text("left").unwrap());
        sidecar.terminate();
        assert!(sidecar.wait().await.success());
        assert!(!is_alive(third) && left.iter().all(|pid| !is_alive(*pid)), "{left:?}");
        assert!(machine.processes().is_empty());
        assert_eq!(machine.text("still-alive"), None, "what is left ends before the next start");
        assert!(!machine.log().contains("could not be ended"));
    }
}

#[tokio::test]
async fn a_child_that_makes_itself_a_daemon_leaves_its_address_free() {
    for wrapper in wrappers() {
        let (_system, _gateway, mut machine) = prepared().await;
        let script = r#"
import os, socket, time
address = socket.socket(socket.AF_UNIX)
try:
    address.bind("\0" + os.environ["OPENCLAW_STATE_DIR"])
except OSError:
    open("address-taken", "w")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("daemons", "a").write(f"{os.getpid()}\n")
        time.sleep(600)
    os._exit(0)
os.wait()
while not os.path.exists("daemons"):
    time.sleep(0.01)
open("starts", "a").write("x\n")
"#;
        python(&mut machine, script);
        let mut sidecar = machine.start_by(wrapper);
        eventually("it was started three times", async || {
            machine.text("starts").is_some_and(|it| it.lines().count() >= 3)
        })
        .await;
        sidecar.terminate();
        assert!(sidecar.wait().await.success());
        assert_eq!(machine.text("address-taken"), None);
        assert!(machine.processes().is_empty());
        assert!(numbers(&machine.text("daemons").unwrap()).into_iter().all(|pid| !is_alive(pid)));
    }
}

#[tokio::test]
async fn a_child_that_will_not_end_is_killed_wherever_it_hides() {
    for wrapper in wrappers() {
        let (_system, _gateway, mut machine) = prepared().await;
        // The child ignores every signal that can be ignored, tries to enter the sidecar's process group itself and through a
        // child, stops its child, and ends its own first thread, which makes it look like a zombie.
        let script = r#"
import ctypes, os, platform, signal, threading, time
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
    signal.signal(number, signal.SIG_IGN)
def enter():
    try:
        os.setpgid(0, os.getpgid(sidecar))
        return "entered\n"
    except OSError as error:
        return f"{error.strerror}\n"
sidecar = os.getppid()
said = enter()
child = os.fork()
if child == 0:
    said = enter()
    open("said.new", "w").write(said)
    os.rename("said.new", "said-by-child")
    time.sleep(600)
    os._exit(0)
open("said", "w").write(said)
while not os.path.exists("said-by-child"):
    time.sleep(0.01)
os.kill(child, signal.SIGSTOP)
open("child", "w").write(str(child))
def live():
    open("pid.new", "w").write(str(os.getpid()))
    os.rename("pid.new", "pid")
    time.sleep(600)
threading.Thread(target=live).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"#;
        python(&mut machine, script);
        machine.set("PORTCULLIS_STOP_SECONDS", "1");
        let mut sidecar = machine.start_by(wrapper);
        let child = machine.wait_for_child().await;
        let grandchild = numbers(&machine.text("child").unwrap())[0];
        assert!(is_alive(child) && is_alive(grandchild));
        let said = [machine.text("said").unwrap(), machine.text("said-by-child").unwrap()];
        assert_eq!(said, ["Operation not permitted\n"; 2]);
        sidecar.terminate();
        assert!(sidecar.wait().await.success());
        assert!(!is_alive(child) && !is_alive(grandchild) && machine.processes().is_empty());
    }
}

#[tokio::test]
async fn a_child_that_never_stops_starting_others_is_ended_with_all_of_them() {
    for wrapper in wrappers() {
        let (_system, _gateway, mut machine) = prepared().await;
        // Chains of processes, each of which ends as soon as it has started the next: one chain in one session, one
        // with a new session for each process.
        let script = r#"
import os, signal, time
for is_in_new_session in [False, True]:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            if os.fork():
                os._exit(0)
            if is_in_new_session:
                os.setsid()
os.wait()
os.wait()
open("pid", "w").write(str(os.getpid()))
time.sleep(600)
"#;
        python(&mut machine, script);
        let mut sidecar = machine.start_by(wrapper);
        machine.wait_for_child().await;
        sidecar.terminate();
        assert!(sidecar.wait().await.success());
        assert!(!machine.has_processes().await && !machine.log().contains("could not be ended"), "{}", machine.log());
    }
}

#[tokio::test]
async fn all_processes_of_an_adopted_child_end_with_it() {
    for wrapper in wrappers() {
        let (_system, _gateway, mut machine) = prepared().await;
        shell(&mut machine, LEAVES);
        let first = machine.start_by(wrapper);
        let child = machine.wait_for_child().await;
        let is_in_cgroup = machine.record().unwrap()["cgroup"].is_string();
        let left = numbers(&machine.text("left").unwrap());
        first.kill();
        assert!(
            is_alive(child) && left.iter().all(|pid| is_alive(*pid)),
            "a sidecar that breaks leaves all of it running"
        );
        let mut second = machine.start_by(wrapper);
        eventually("it is adopted", async || machine.log().contains("adopted the running OpenClaw")).await;
        second.terminate();
        assert!(second.wait().await.success());
        // Without a cgroup, a process that has left the session and lost its parent is not found.
        let ended = if is_in_cgroup { &left[..] } else { &left[..2] };
        assert!(!is_alive(child) && ended.iter().all(|pid| !is_alive(*pid)), "{left:?}");
        for pid in left {
            signal(pid, "KILL");
        }
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_start_leaves_nothing() {
    let (_system, _gateway, mut machine) = prepared().await;
    // A version command that never ends: the sidecar is stopped while it runs.
    let folder = machine.root().join("bin");
    fs::create_dir_all(&folder).unwrap();
    let script = r#"#!/bin/sh
        cd "$OPENCLAW_STATE_DIR"; setsid sleep 600 & echo $! $$ > asked.new; mv asked.new asked; exec sleep 600"#;
    fs::write(folder.join("openclaw"), script).unwrap();
    mode(&folder.join("openclaw"), 0o755);
    machine.set("PATH", &format!("{}:/usr/bin:/bin", folder.display()));
    machine.command = Vec::new();
    let mut sidecar = machine.start();
    eventually("it was asked", async || machine.text("asked").is_some()).await;
    let process = numbers(&machine.text("asked").unwrap())[1];
    let cgroup = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
    let cgroup = cgroup.lines().find_map(|line| line.strip_prefix("0::")).map(|path| cgroup_of_own() + path);
    let cgroup = cgroup.filter(|path| path.contains("portcullis-openclaw-"));
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert!(numbers(&machine.text("asked").unwrap()).into_iter().all(|pid| !is_alive(pid)));
    if let Some(cgroup) = cgroup {
        assert!(!Path::new(&cgroup).exists(), "{cgroup}");
    }
    assert!(machine.processes().is_empty());
}

#[tokio::test]
async fn as_process_1_the_sidecar_reaps_what_falls_to_it() {
    if !has_root("as_process_1_the_sidecar_reaps_what_falls_to_it") {
        return;
    }
    let (_system, _gateway, mut machine) = prepared().await;
    // Each of these loses its parent, and ends later.
    let script = r"
        for n in 1 2 3 4 5 6 7 8 9 10; do setsid sh -c 'sleep 0.1 & echo $! >> orphans'; done
        echo $$ > pid; exec sleep 600";
    shell(&mut machine, script);
    let mut unshare = machine.start_by(&["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]);
    eventually("the child runs", async || machine.text("pid").is_some()).await;
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", unshare.id())).unwrap();
    let sidecar = numbers(&children)[0];
    let zombies = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let stats = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        stats.filter(|stat| stat.contains(&format!(") Z {sidecar} "))).count()
    };
    eventually("all are reaped", async || zombies() == 0 && machine.text("orphans").unwrap().lines().count() == 10)
        .await;
    let started = r#""message":"started OpenClaw""#;
    eventually("it has said that it started", async || machine.log().contains(started)).await;
    assert!(!machine.log().contains("OpenClaw has ended"));
    signal(sidecar, "TERM");
    assert!(unshare.wait().await.success());
}

#[tokio::test]
async fn a_child_has_nothing_of_the_sidecars_but_its_output() {
    let (_system, _gateway, mut machine) = prepared().await;
    let secret = machine.root().join("secret");
    fs::write(&secret, "a secret").unwrap();
    mode(&secret, 0o600);
    let script = r"
        readlink /proc/$$/fd/0 > input; umask > umask
        tr '\0' '\n' < /proc/$$/cmdline > words; cut -d' ' -f6-7 /proc/$$/stat > session; (: < /dev/tty) 2> terminal
        echo $$ > pid; exec sleep 600";
    shell(&mut machine, script);
    let inherits = format!("trap '' HUP USR1 USR2 ALRM WINCH; exec 9< {}; exec \"$0\" \"$@\"", secret.display());
    let _sidecar = machine.start_by(&["sh", "-c", &inherits]);
    let child = machine.wait_for_child().await;
    // The shell has file descriptors of its own, so the test waits for the process that it executes.
    let name = || fs::read_to_string(format!("/proc/{child}/comm")).unwrap();
    eventually("it sleeps", async || name() == "sleep\n").await;
    let open = fs::read_dir(format!("/proc/{child}/fd")).unwrap();
    let mut open: Vec<_> = open.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    open.sort_unstable();
    assert_eq!(open, ["0", "1", "2"]);
    assert_eq!(machine.text("input").unwrap(), "/dev/null\n");
    let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    let word = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap();
    let signals = |name: &str| u64::from_str_radix(word(name), 16).unwrap();
    // Signals 32 and 33 belong to the C library, and nobody else can set their handlers.
    let ignored = signals("SigIgn") & !(0b11 << 31);
    assert_eq!((word("NoNewPrivs"), ignored, signals("SigBlk")), ("1", 0, 0));
    if is_root() {
        for set in ["CapPrm", "CapEff", "CapAmb", "CapInh"] {
            assert_eq!(word(set), "0000000000000000", "{set}");
        }
        let user = machine.environment["PORTCULLIS_CHILD_USER"].clone();
        assert_eq!(word("Uid"), [user.as_str(); 4].join("\t"));
        assert_eq!(word("Gid"), [user.as_str(); 4].join("\t"));
        assert_eq!(word("Groups").trim(), "");
    }
    assert_eq!(machine.text("umask").unwrap().trim(), "0077");
    assert!(machine.text("words").unwrap().starts_with("sh\n-c\n"), "nothing else was on its command line");
    assert_eq!(machine.text("session").unwrap(), format!("{child} 0\n"), "a session of its own, without a terminal");
    assert!(!machine.text("terminal").unwrap().is_empty());
}

#[tokio::test]
async fn a_child_cannot_see_the_sidecars_session_keyring() {
    // A child of the sidecar's own user may read all of that user's keys.
    if !has_root("a_child_cannot_see_the_sidecars_session_keyring") {
        return;
    }
    let (_system, _gateway, mut machine) = prepared().await;
    shell(&mut machine, "cat /proc/keys > keys; echo $$ > pid; exec sleep 600");
    // A keyring belongs to a thread: only this thread's is changed.
    let started = std::thread::scope(|scope| {
        let started = scope.spawn(|| {
            let ring = keyutils_raw::keyctl_join_session_keyring(None).ok()?;
            keyutils_raw::add_key("user", "roots-own-key", b"a secret", ring).ok()?;
            Some(machine.start())
        });
        started.join().unwrap()
    });
    let Some(_sidecar) = started else {
        eprintln!("skipped: the kernel gives no keyrings here");
        return;
    };
    machine.wait_for_child().await;
    let keys = machine.text("keys").unwrap();
    assert!(!keys.contains("roots-own-key"), "{keys}");
}

#[tokio::test]
async fn a_child_types_into_no_terminal() {
    if !has_root("a_child_types_into_no_terminal") {
        return;
    }
    // In a session with the terminal, as from a shell, and with a terminal that has no session yet.
    for wrapper in [&["setsid", "--ctty"][..], &["setsid"]] {
        let (_system, _gateway, mut machine) = prepared().await;
        let script = r#"
import fcntl, os, termios, time
said = []
def attempt(what, descriptor, call):
    try:
        call(descriptor)
        said.append(f"{what} {descriptor}\n")
    except OSError:
        pass
for path in ["/dev/tty", *(f"/proc/self/fd/{number}" for number in range(3))]:
    try:
        os.open(path, os.O_RDWR)
    except OSError:
        pass
for descriptor in range(10):
    attempt("took", descriptor, lambda it: fcntl.ioctl(it, termios.TIOCSCTTY, 0))
    attempt("typed", descriptor, lambda it: [fcntl.ioctl(it, termios.TIOCSTI, bytes([byte])) for byte in b"typed-by-child\n"])
open("said", "w").write("".join(said))
open("pid", "w").write(str(os.getpid()))
time.sleep(600)
"#;
        python(&mut machine, script);
        let terminal = nix::pty::openpty(None, None).unwrap();
        let end = || Stdio::from(terminal.slave.try_clone().unwrap());
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).args([env!("CARGO_BIN_EXE_portcullis-sidecar"), "--"]).args(&machine.command);
        command.env_clear().envs(&machine.environment).stdin(end()).stdout(end()).stderr(end());
        let mut sidecar = command.spawn().unwrap();
        drop(command);
        // Drained by a thread, so that no writer blocks on a full buffer.
        let OwnedTerminal { mut keyboard, mut screen } = OwnedTerminal::of(terminal.master, terminal.slave);
        let shown = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let shown = Arc::clone(&shown);
            move || {
                let mut part = [0; 4096];
                // Reading a closed terminal fails.
                while let Ok(length @ 1..) = screen.read(&mut part) {
                    shown.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..length]));
                }
            }
        });
        machine.wait_for_child().await;
        assert_eq!(machine.text("said").unwrap(), "", "{wrapper:?}");
        // The child may run before the sidecar has logged the start.
        eventually("it has said that it started", async || shown.lock().unwrap().contains("started OpenClaw")).await;
        signal(sidecar.id(), "TERM");
        eventually("it has ended", async || sidecar.try_wait().unwrap().is_some()).await;
        let mut typed = Vec::new();
        let _ = keyboard.read_to_end(&mut typed);
        assert!(typed.is_empty(), "{typed:?}");
        drop(keyboard);
        reader.join().unwrap();
        let shown = shown.lock().unwrap();
        assert!(!shown.contains("typed-by-child"), "{shown}");
    }
}

/// Both ends of a terminal.
struct OwnedTerminal {
    keyboard: fs::File,
    screen: fs::File,
}

impl OwnedTerminal {
    fn of(master: OwnedFd, slave: OwnedFd) -> Self {
        // Typed input is polled, never waited for.
        let flags = nix::fcntl::OFlag::O_NONBLOCK;
        nix::fcntl::fcntl(&slave, nix::fcntl::FcntlArg::F_SETFL(flags)).unwrap();
        Self { keyboard: slave.into(), screen: master.into() }
    }
}

/// Starts a sidecar that must fail. Returns its log.
async fn refused(machine: &Machine, wrapper: &[&str]) -> String {
    let before = machine.log().len();
    let mut sidecar = machine.start_by(wrapper);
    assert!(!sidecar.wait().await.success(), "{}", machine.log());
    assert_eq!(machine.child(), None, "nothing was started");
    machine.log()[before..].to_owned()
}

#[tokio::test]
async fn root_and_users_that_cannot_be_taken_on_are_refused() {
    if !has_root("root_and_users_that_cannot_be_taken_on_are_refused") {
        return;
    }
    let (_system, _gateway, mut machine) = prepared().await;
    let user = machine.environment.remove("PORTCULLIS_CHILD_USER").unwrap();
    let said = refused(&machine, &[]).await;
    assert!(said.contains("PORTCULLIS_CHILD_USER is not set: under root, OpenClaw needs a user of its own"), "{said}");
    machine.prepare(&["slack"]).await.assert_fails("PORTCULLIS_CHILD_USER is not set");
    for root in ["root", "0", "00"] {
        machine.set("PORTCULLIS_CHILD_USER", root);
        let said = refused(&machine, &[]).await;
        assert!(said.contains("PORTCULLIS_CHILD_USER: OpenClaw never runs as root"), "{said}");
        machine.prepare(&["slack"]).await.assert_fails("PORTCULLIS_CHILD_USER: OpenClaw never runs as root");
    }
    machine.set("PORTCULLIS_CHILD_USER", &user);
    for (capability, step) in [("setuid", "setresuid"), ("setgid", "setgroups"), ("kill", "CAP_KILL")] {
        let without = format!("-{capability}");
        let wrapper = ["setpriv", "--bounding-set", &without, "--inh-caps", &without];
        let said = refused(&machine, &wrapper).await;
        assert!(said.contains("PORTCULLIS_CHILD_USER: ") && said.contains(step), "{said}");
    }
    // Capabilities that survive a change of the user.
    let said = refused(&machine, &["setpriv", "--securebits", "+no_setuid_fixup"]).await;
    assert!(said.contains("PORTCULLIS_CHILD_USER: ") && said.contains("rights"), "{said}");
}

#[tokio::test]
async fn a_token_that_the_child_could_read_or_replace_is_refused() {
    if !has_root("a_token_that_the_child_could_read_or_replace_is_refused") {
        return;
    }
    let (_system, _gateway, mut machine) = prepared().await;
    let user: u32 = machine.environment["PORTCULLIS_CHILD_USER"].parse().unwrap();
    let token = machine.root().join("token");
    let owned = |path: &Path, uid: u32, gid: u32, bits: u32| {
        chown(path, Some(uid), Some(gid)).unwrap();
        mode(path, bits);
    };
    for (uid, gid, bits) in [(0, 0, 0o644), (0, user, 0o640), (user, 0, 0o600), (user, 0, 0o000)] {
        owned(&token, uid, gid, bits);
        let said = refused(&machine, &[]).await;
        assert!(said.contains("PORTCULLIS_TOKEN_FILE: OpenClaw's user can open"), "{uid} {gid} {bits:o}: {said}");
    }
    owned(&token, 0, 0, 0o600);
    // Two folders above, and a link in a folder that is the child's.
    let deep = machine.root().join("above/below");
    fs::create_dir_all(&deep).unwrap();
    fs::copy(&token, deep.join("token")).unwrap();
    mode(&deep.join("token"), 0o600);
    machine.set("PORTCULLIS_TOKEN_FILE", deep.join("token").to_str().unwrap());
    let above = machine.root().join("above");
    for (uid, gid, bits) in [(0, 0, 0o777), (0, user, 0o775), (user, 0, 0o755), (user, 0, 0o500)] {
        for folder in [&above, &deep] {
            owned(folder, uid, gid, bits);
            let said = refused(&machine, &[]).await;
            assert!(
                said.contains("PORTCULLIS_TOKEN_FILE: OpenClaw's user can replace"),
                "{uid} {gid} {bits:o}: {said}"
            );
            owned(folder, 0, 0, 0o755);
        }
    }
    let link = machine.root().join("home/link");
    symlink(&token, &link).unwrap();
    machine.set("PORTCULLIS_TOKEN_FILE", link.to_str().unwrap());
    let said = refused(&machine, &[]).await;
    assert!(said.contains("PORTCULLIS_TOKEN_FILE: OpenClaw's user can replace"), "{said}");
    // In a sticky folder, as /tmp is, root's files cannot be replaced.
    owned(&above, 0, 0, 0o1777);
    machine.set("PORTCULLIS_TOKEN_FILE", deep.join("token").to_str().unwrap());
    let _sidecar = machine.start();
    machine.wait_for_child().await;
}

#[tokio::test]
async fn a_second_sidecar_of_a_pool_ends_at_once_and_touches_nothing() {
    let (_system, _gateway, machine) = prepared().await;
    let mut first = machine.start();
    let child = machine.wait_for_child().await;
    let record = machine.record();
    let before = machine.log().len();
    let mut second = machine.start();
    assert!(!second.wait().await.success());
    // Dropping this value would end the first sidecar's child.
    std::mem::forget(second);
    let said = machine.log()[before..].to_owned();
    assert!(said.contains("PORTCULLIS_RUN_DIR: another sidecar runs with"), "{said}");
    assert!(first.is_running() && is_alive(child) && machine.record() == record);
    first.terminate();
    assert!(first.wait().await.success());
    assert!(!is_alive(child));
    // A lock ends with its holder, and is not inherited by the child.
    let third = machine.start();
    let child = machine.wait_for_child().await;
    third.kill();
    let _fourth = machine.start();
    eventually("it is adopted", async || machine.log().contains("adopted the running OpenClaw")).await;
    assert!(is_alive(child));
}

#[tokio::test]
async fn a_child_of_another_pool_is_neither_adopted_nor_ended() {
    let (_system, _gateway, mut machine) = prepared().await;
    let first = machine.start();
    let child = machine.wait_for_child().await;
    first.kill();
    machine.set("PORTCULLIS_POOL_ID", "pool-2");
    let mut second = machine.start();
    eventually("the record is not trusted", async || machine.log().contains("it belongs to another pool")).await;
    second.terminate();
    assert!(second.wait().await.success());
    assert!(is_alive(child) && !machine.log().contains("adopted the running OpenClaw"));
    signal(child, "KILL");
}

#[tokio::test]
async fn a_forged_record_ends_nobody() {
    let (_system, _gateway, machine) = prepared().await;
    let run = machine.root().join("run");
    fs::create_dir_all(&run).unwrap();
    let own = fs::metadata("/proc/self").unwrap().uid();
    let user = machine.environment.get("PORTCULLIS_CHILD_USER").map_or(own, |user| user.parse().unwrap());
    // An unrelated process that leads a session, as a child does.
    let mut stranger = Command::new("setsid").args(["sleep", "600"]).spawn().unwrap();
    let pid = stranger.id();
    eventually("it sleeps", async || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == "sleep\n").await;
    let identity = serde_json::to_value(Identity::of(pid).unwrap()).unwrap();
    let cgroup = cgroup_of_own();
    for (uid, session, cgroup) in [
        (user, pid, Value::Null),
        (own, pid, Value::Null),
        (user, 1, Value::Null),
        (user, pid, json!(cgroup)),
        (user, pid, json!(format!("{cgroup}/portcullis-openclaw-0"))),
    ] {
        let record = json!({
            "identity": identity, "tokenEnds": null, "pool": "pool-1", "uid": uid, "session": session, "cgroup": cgroup,
        });
        fs::write(run.join("openclaw-process.json"), record.to_string()).unwrap();
        let mut sidecar = machine.start();
        let child = machine.wait_for_child().await;
        sidecar.terminate();
        assert!(sidecar.wait().await.success());
        assert!(!is_alive(child) && is_alive(pid), "{record}");
        assert!(!machine.log().contains("adopted"), "{record}");
    }
    // The dead leader of a session that another process leads now.
    let mut dead = identity.clone();
    dead["startTime"] = json!(identity["startTime"].as_u64().unwrap() - 1);
    let record = json!({
        "identity": dead, "tokenEnds": null, "pool": "pool-1", "uid": user, "session": pid, "cgroup": null,
    });
    fs::write(run.join("openclaw-process.json"), record.to_string()).unwrap();
    let mut sidecar = machine.start();
    machine.wait_for_child().await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert!(is_alive(pid));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

fn cgroup_of_own() -> String {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    mount.map_or("/sys/fs/cgroup", |line| line.split(' ').nth(4).unwrap()).to_owned()
}

#[tokio::test]
async fn a_record_that_another_user_wrote_is_not_believed() {
    if !has_root("a_record_that_another_user_wrote_is_not_believed") {
        return;
    }
    let (_system, _gateway, machine) = prepared().await;
    let first = machine.start();
    let child = machine.wait_for_child().await;
    first.kill();
    let record = machine.root().join("run/openclaw-process.json");
    for (uid, bits) in [(65534, 0o600), (0, 0o666), (0, 0o620)] {
        let text = fs::read(&record).unwrap();
        chown(&record, Some(uid), None).unwrap();
        mode(&record, bits);
        let before = machine.log().len();
        let mut sidecar = machine.start();
        eventually("the record is not trusted", async || machine.log()[before..].contains("is not trusted")).await;
        sidecar.terminate();
        assert!(sidecar.wait().await.success());
        // Dropping this value would end the child.
        std::mem::forget(sidecar);
        assert!(is_alive(child), "{uid} {bits:o}");
        fs::remove_file(&record).unwrap_or_default();
        fs::write(&record, text).unwrap();
        mode(&record, 0o600);
    }
    // The original record is accepted.
    let mut sidecar = machine.start();
    eventually("it is adopted", async || machine.log().contains("adopted the running OpenClaw")).await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert!(!is_alive(child));
}

#[tokio::test]
async fn a_run_folder_that_others_could_replace_is_refused() {
    let (_system, _gateway, mut machine) = prepared().await;
    let above = machine.root().join("above");
    let run = above.join("run");
    fs::create_dir_all(&run).unwrap();
    machine.set("PORTCULLIS_RUN_DIR", run.to_str().unwrap());
    for bits in [0o777, 0o775, 0o757] {
        mode(&above, bits);
        let said = refused(&machine, &[]).await;
        assert!(said.contains("PORTCULLIS_RUN_DIR: ") && said.contains("can be written to by others"), "{said}");
    }
    mode(&above, 0o755);
    // Links are resolved before the checks.
    let elsewhere = machine.root().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    mode(&elsewhere, 0o777);
    fs::create_dir(elsewhere.join("run")).unwrap();
    symlink(elsewhere.join("run"), above.join("link")).unwrap();
    machine.set("PORTCULLIS_RUN_DIR", above.join("link").to_str().unwrap());
    let said = refused(&machine, &[]).await;
    assert!(said.contains("PORTCULLIS_RUN_DIR: ") && said.contains("can be written to by others"), "{said}");
    if is_root() {
        machine.set("PORTCULLIS_RUN_DIR", run.to_str().unwrap());
        for folder in [&above, &run] {
            chown(folder, Some(65534), None).unwrap();
            let said = refused(&machine, &[]).await;
            assert!(said.contains("PORTCULLIS_RUN_DIR: ") && said.contains("belongs to another user"), "{said}");
            chown(folder, Some(0), None).unwrap();
        }
    }
    machine.set("PORTCULLIS_RUN_DIR", machine.root().join("run").to_str().unwrap());
    fs::create_dir(machine.root().join("run")).unwrap();
    mode(&machine.root().join("run"), 0o777);
    let _sidecar = machine.start();
    machine.wait_for_child().await;
    assert_eq!(fs::metadata(machine.root().join("run")).unwrap().mode() & 0o777, 0o700);
}
