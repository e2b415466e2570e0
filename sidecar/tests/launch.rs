//! What a launched process keeps, and what becomes of what it starts; in this process.

use std::{collections::BTreeMap, ffi::OsString, process::Stdio, time::Duration};

use portcullis_sidecar::{
    launcher::{Launcher, Start},
    openclaw::{OpenClaw, RunError},
    own_program::OwnProgram,
    proc::Stat,
    process::{Launch, Process},
    record::{Found, Identity, Record},
    tree,
    user::User,
};
use portcullis_tests::system::eventually;
use tokio::sync::{Mutex, MutexGuard};

/// Makes this process a child subreaper, as the sidecar is, which has one child at a time.
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
async fn what_could_not_be_started_is_told_with_its_reason() {
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
    // As a sidecar that breaks: nothing is done for it.
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
        // Long enough for the script to begin: the time-out is what this is about.
        let limit = if script.starts_with("sleep") { Duration::from_secs(2) } else { Duration::from_hours(1) };
        let error = openclaw.run(&[], BTreeMap::new(), limit, Stdio::null()).await.unwrap_err();
        assert!(is_expected(&error), "{script}: {error}");
        for pid in std::fs::read_to_string(folder.path().join("pids")).unwrap_or_default().split_ascii_whitespace() {
            assert!(Identity::of(pid.parse().unwrap()).is_none(), "{script}: {pid} has ended");
        }
    }
}

#[tokio::test]
async fn what_a_command_leaves_behind_cannot_hold_its_output_open() {
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
    // As what was started before the sidecar: in its session, and nobody's.
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
