//! Tests of launched processes and their descendants, within the test's own process.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::{collections::BTreeMap, ffi::OsString, io::Write, process::Stdio, time::Duration};

use portcullis_sidecar::{
    launcher::{Launcher, Start},
    openclaw::{OpenClaw, RunError},
    own_program::OwnProgram,
    proc::Stat,
    process::{Launch, Process},
    record::{Found, Identity, Record, Started},
    tree,
    user::User,
};
use portcullis_tests::system::eventually;
use tokio::sync::{Mutex, MutexGuard};

/// Makes this process a child subreaper, as the sidecar is, and allows one child at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    let guard = ALONE.lock().await;
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    guard
}

fn launcher() -> Launcher {
    Launcher::at(env!("CARGO_BIN_EXE_portcullis-sidecar"))
}

fn environment() -> BTreeMap<OsString, OsString> {
    [("PATH".into(), "/usr/bin:/bin".into())].into()
}

fn words(command: &[&str]) -> Vec<OsString> {
    command.iter().map(OsString::from).collect()
}

#[tokio::test]
async fn a_failed_start_is_reported_with_its_reason() {
    let _alone = alone().await;
    let (user, environment) = (User::own(), environment());
    for (command, folder, reason) in [
        (&["./no-such-program"][..], "/", "its program: No such file or directory"),
        (&["/etc/passwd"], "/", "its program: Permission denied"),
        (&[], "/", "its command: "),
        (&["true"], "/no/such/folder", "the folder that it starts in: No such file"),
    ] {
        let command = words(command);
        let start = Start { command: &command, user: &user, folder: folder.as_ref(), environment: &environment };
        let error = launcher().start(&start, Stdio::null(), Stdio::null()).await.unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    }
    let broken = Launcher::at("/no/such/launcher");
    let command = words(&["true"]);
    let start = Start { command: &command, user: &user, folder: "/".as_ref(), environment: &environment };
    broken.start(&start, Stdio::null(), Stdio::null()).await.unwrap_err();
}

#[tokio::test]
async fn a_child_is_known_again_until_it_ends_and_what_it_left_ends_then() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let record = Record::in_folder(folder.path(), "pool-1");
    let user = User::own();
    let command = words(&["sh", "-c", "sleep 600 & echo $! > left.new; mv left.new left; exec sleep 600"]);
    let launch = Launch {
        launcher: &launcher(),
        drain: &OwnProgram::at(env!("CARGO_BIN_EXE_portcullis-sidecar").as_ref(), User::own()),
        command: &command,
        user: &user,
        folder: folder.path().to_owned(),
        environment: environment(),
        token_ends: Some(1),
        token_generation: Some(2),
    };
    let process = Process::start(launch, &record).await.unwrap();
    let identity = Identity::of(process.id()).unwrap();
    let left = || std::fs::read_to_string(folder.path().join("left")).ok()?.trim().parse::<u32>().ok();
    eventually("something is left", async || left().is_some()).await;
    let left = left().unwrap();
    let Some(Found::Running(started)) = record.find(user.uid()) else { panic!("it is not found") };
    assert_eq!(
        (started.identity.clone(), started.session, started.token_ends, started.token_generation),
        (identity.clone(), process.id(), Some(1), Some(2))
    );
    // Simulates a crashed sidecar: no destructor runs.
    std::mem::forget(process);
    let _ = std::process::Command::new("kill").args(["-KILL", &identity.pid.to_string()]).status();
    eventually("it has ended", async || !identity.is_alive()).await;
    assert!(Identity::of(left).is_some());
    assert_eq!(record.find(user.uid()), Some(Found::Ended(started)));
    assert!(Process::adopt(&record, &user).await.is_none());
    assert!(Identity::of(left).is_none(), "what it left is ended by the next sidecar");
    assert_eq!(record.find(user.uid()), None);
}

#[tokio::test]
async fn a_command_that_hangs_or_prints_without_end_is_ended_with_all_that_it_started() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    for (script, is_expected) in [
        ("sleep 600", (|error| matches!(error, RunError::TooLong)) as fn(&RunError) -> bool),
        ("cat /dev/zero", |error| matches!(error, RunError::TooMuch)),
    ] {
        let path = folder.path().join("openclaw");
        std::fs::write(&path, format!("setsid sleep 600 & echo $! $$ > pids; {script}")).unwrap();
        let openclaw = OpenClaw {
            launcher: launcher(),
            command: words(&["sh", path.to_str().unwrap(), "gateway"]),
            user: User::own(),
            folder: folder.path().to_owned(),
            environment: environment(),
        };
        // Long enough for the script to begin; only scripts that sleep are to reach the time-out.
        let limit = if script.starts_with("sleep") { Duration::from_secs(2) } else { Duration::from_hours(1) };
        let error = openclaw.run(&[], BTreeMap::new(), limit, Stdio::null()).await.unwrap_err();
        assert!(is_expected(&error), "{script}: {error}");
        for pid in std::fs::read_to_string(folder.path().join("pids")).unwrap_or_default().split_ascii_whitespace() {
            assert!(Identity::of(pid.parse().unwrap()).is_none(), "{script}: {pid} has ended");
        }
    }
}

#[tokio::test]
async fn processes_that_a_command_leaves_cannot_hold_its_output_open() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw");
    std::fs::write(&path, "echo 2026.9.6; (trap '' HUP TERM; exec setsid sleep 600) & echo $! > pid").unwrap();
    let openclaw = OpenClaw {
        launcher: launcher(),
        command: words(&["sh", path.to_str().unwrap(), "gateway"]),
        user: User::own(),
        folder: folder.path().to_owned(),
        environment: environment(),
    };
    let ended = openclaw.run(&["--version"], BTreeMap::new(), Duration::from_hours(1), Stdio::null()).await.unwrap();
    assert!(ended.is_success);
    assert_eq!(ended.output, b"2026.9.6\n");
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    assert!(Identity::of(pid.trim().parse().unwrap()).is_none());
}

#[tokio::test]
async fn a_zombie_that_nobody_waits_for_is_reaped_and_an_exit_code_that_is_waited_for_is_not_taken() {
    let _alone = alone().await;
    let ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::child()).unwrap();
    let reaping = tokio::spawn(tree::keep_reaping(ended, Duration::from_secs(1)));
    // A process in the sidecar's session without a waiter, as one that was started before the sidecar.
    #[expect(clippy::zombie_processes, reason = "that is what this is about")]
    let forgotten = std::process::Command::new("true").spawn().unwrap();
    let (user, environment, command) = (User::own(), environment(), words(&["sh", "-c", "exit 7"]));
    let start = Start { command: &command, user: &user, folder: "/".as_ref(), environment: &environment };
    let (mut child, mut tree) = launcher().start(&start, Stdio::null(), Stdio::null()).await.unwrap();
    eventually("it has ended", async || Stat::of(child.id().unwrap()).is_none_or(|stat| stat.is_zombie)).await;
    eventually("the other is reaped", async || Stat::of(forgotten.id()).is_none()).await;
    assert_eq!(child.wait().await.unwrap().code(), Some(7));
    tree.end().await;
    reaping.abort();
}

#[tokio::test]
async fn a_child_is_written_down_before_its_stage_has_any_orders() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let record = Record::in_folder(folder.path(), "pool-1");
    let user = User::own();
    // The launcher reads the record at the first byte of the orders, and then becomes the stage.
    let script = format!(
        r#"#!/usr/bin/env python3
import json, os, socket
with socket.socket(fileno=os.dup(0)) as orders:
    has_orders = orders.recv(1, socket.MSG_PEEK) != b""
try:
    noted = json.load(open("{0}/openclaw-process.json"))["identity"]["pid"] == os.getpid()
except OSError:
    noted = False
open("{0}/seen", "w").write(f"{{has_orders}} {{noted}}")
os.execv("{1}", ["portcullis-sidecar", "launch-as-told-on-stdin"])
"#,
        folder.path().display(),
        env!("CARGO_BIN_EXE_portcullis-sidecar")
    );
    let program = folder.path().join("launcher");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut environment = environment();
    environment.insert("A".into(), "b".into());
    let launch = |command| Launch {
        launcher: Box::leak(Box::new(Launcher::at(&program))),
        drain: Box::leak(Box::new(OwnProgram::at(env!("CARGO_BIN_EXE_portcullis-sidecar").as_ref(), User::own()))),
        command,
        user: &user,
        folder: folder.path().to_owned(),
        environment: environment.clone(),
        token_ends: None,
        token_generation: None,
    };
    let command = words(&["sleep", "600"]);
    let mut process = Process::start(launch(&command), &record).await.unwrap();
    let seen = || std::fs::read_to_string(folder.path().join("seen")).unwrap();
    assert_eq!(seen(), "True True");
    assert!(record.find(user.uid()).is_some());
    process.end(Duration::from_mins(1)).await;
    record.clear();
    // The record of a failed start is removed.
    let command = words(&["./no-such-program"]);
    Process::start(launch(&command), &record).await.unwrap_err();
    assert_eq!((seen().as_str(), record.exists()), ("True True", false));
    // An interrupted start has ended its process.
    let command = words(&["sleep", "600"]);
    let mut start = std::pin::pin!(Process::start(launch(&command), &record));
    tokio::select! {
        biased;
        _ = &mut start => panic!("it has not even been polled for long"),
        () = async { while !record.exists() { tokio::task::yield_now().await } } => {}
    }
    let noted = std::fs::read_to_string(folder.path().join("openclaw-process.json")).unwrap();
    let pid = serde_json::from_str::<serde_json::Value>(&noted).unwrap()["identity"]["pid"].as_u64().unwrap();
    start.set(Process::start(launch(&command), &record));
    assert!(!record.exists());
    eventually("it has ended", async || Identity::of(u32::try_from(pid).unwrap()).is_none()).await;
}

#[tokio::test]
async fn a_child_whose_sidecar_was_killed_during_the_start_is_adopted_once_it_is_there() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let record = Record::in_folder(folder.path(), "pool-1");
    let user = User::own();
    let stage = || {
        let (ours, its) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis-sidecar"));
        command.arg("launch-as-told-on-stdin").env_clear().stdin(Stdio::from(std::os::fd::OwnedFd::from(its)));
        let process = command.spawn().unwrap();
        let (identity, session) = (Identity::of(process.id()).unwrap(), process.id());
        let (pool, uid) = ("pool-1".to_owned(), user.uid());
        record
            .write(&Started { identity, token_ends: None, token_generation: None, pool, uid, session, cgroup: None })
            .unwrap();
        (ours, process)
    };
    let bytes = |text: &str| serde_json::json!({ "Unix": text.as_bytes() });
    let orders = serde_json::json!({ "user": null, "task": { "Launch": {
        "cgroup": null, "folder": bytes("/"), "command": [bytes("/bin/sleep"), bytes("600")], "environment": [],
    } } });
    let orders = orders.to_string();

    let (mut channel, mut process) = stage();
    eventually("it is the stage", async || record.is_launching()).await;
    let hand_over = async {
        tokio::task::yield_now().await;
        channel.write_all(orders.as_bytes()).unwrap();
        drop(channel);
    };
    let (adopted, ()) = tokio::join!(Process::adopt(&record, &user), hand_over);
    assert_eq!(adopted.map(|adopted| adopted.id()), Some(process.id()), "it is waited for");
    process.kill().unwrap();
    process.wait().unwrap();

    // A stage with truncated orders starts nothing.
    let (mut channel, mut process) = stage();
    channel.write_all(&orders.as_bytes()[..40]).unwrap();
    drop(channel);
    assert!(!process.wait().unwrap().success());
    assert!(Process::adopt(&record, &user).await.is_none() && !record.exists());
}
