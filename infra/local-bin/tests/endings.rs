//! However the program ends, every process that it started ends with it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod program;

use std::{path::Path, process::Stdio, time::Duration};

use program::{PATIENCE, Program};
use tokio::{process::Command, time::timeout};

const LOOK: Duration = Duration::from_millis(20);
const DEMO: [&str; 3] = ["--demo", "--port", "0"];

/// A running demonstration, and the port of its stand-in for OpenClaw, which identifies its processes.
async fn demonstration(home: &Path) -> (Program, String) {
    let mut program = Program::start(home, &DEMO);
    let registered = program.line("registered pool-demo at").await;
    program.line("got POST").await;
    let port = registered.rsplit(':').next().unwrap().to_owned();
    assert!(processes(&port).len() >= 2, "the sidecar and the stand-in run");
    (program, port)
}

/// Processes with the stand-in's port among their arguments, by id, and whether each is the sidecar.
fn processes(port: &str) -> Vec<(String, bool)> {
    let found = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let is_ours = arguments.windows(2).any(|pair| pair == [b"stand-in-openclaw" as &[u8], port.as_bytes()]);
        let id = entry.file_name().to_string_lossy().into_owned();
        is_ours.then(|| (id, arguments.get(1) == Some(&(b"sidecar" as &[u8]))))
    });
    found.collect()
}

fn folders(home: &Path) -> usize {
    let entries = std::fs::read_dir(home).unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("portcullis-demo-")).count()
}

async fn until_gone(port: &str) {
    let gone = async {
        while !processes(port).is_empty() {
            let _ = timeout(LOOK, std::future::pending::<()>()).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap_or_else(|_| panic!("still there: {:?}", processes(port)));
}

#[tokio::test]
async fn each_signal_that_ends_it_ends_its_processes_and_removes_their_folder() {
    for signal in ["INT", "TERM", "HUP", "QUIT"] {
        let home = tempfile::tempdir().unwrap();
        let (mut program, port) = demonstration(home.path()).await;
        program.end_with(signal).await;
        assert_eq!((processes(&port), folders(home.path())), (Vec::new(), 0), "{signal}");
    }
}

#[tokio::test]
async fn nohup_keeps_it_when_the_terminal_goes() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" --port 0 --quiet", env!("CARGO_BIN_EXE_local")]);
    let mut program = Program::spawn(home.path(), command);
    let address = program.line("http://").await;
    let id = program.child.id().unwrap().to_string();
    Command::new("kill").args(["-HUP", &id]).status().await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(format!("{address}/health")).send().await.unwrap().status(), 200);
    program.terminate().await;
}

#[tokio::test]
async fn a_killed_demonstration_leaves_no_process_and_the_next_one_removes_its_folder() {
    let home = tempfile::tempdir().unwrap();
    let (mut program, port) = demonstration(home.path()).await;
    program.child.kill().await.unwrap();
    until_gone(&port).await;
    assert_eq!(folders(home.path()), 1);
    let (mut program, _) = demonstration(home.path()).await;
    assert_eq!(folders(home.path()), 1, "its own");
    program.terminate().await;
    assert_eq!(folders(home.path()), 0);
}

#[tokio::test]
async fn a_stand_in_whose_sidecar_was_killed_ends_as_well() {
    let home = tempfile::tempdir().unwrap();
    let (mut program, port) = demonstration(home.path()).await;
    let (sidecar, _) = processes(&port).into_iter().find(|(_, is_sidecar)| *is_sidecar).unwrap();
    Command::new("kill").args(["-KILL", &sidecar]).status().await.unwrap();
    program.child.kill().await.unwrap();
    until_gone(&port).await;
}

#[tokio::test]
async fn a_reader_that_goes_ends_the_demonstration_quietly() {
    let home = tempfile::tempdir().unwrap();
    let (mut program, port) = demonstration(home.path()).await;
    // Nothing is written any more, but the program must end all the same.
    drop(program.lines);
    let status = timeout(PATIENCE, program.child.wait()).await.expect("it ends").unwrap();
    assert!(status.success(), "{status}");
    assert_eq!((processes(&port), folders(home.path())), (Vec::new(), 0));
}

#[tokio::test]
async fn output_that_is_cut_off_by_head_is_no_panic() {
    let home = tempfile::tempdir().unwrap();
    for command in ["\"$0\" --demo --port 0 | head -3", "\"$0\" --demo --port 0 --json | head -1"] {
        let output = Command::new("sh")
            .args(["-c", command, env!("CARGO_BIN_EXE_local")])
            .current_dir(home.path())
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .output();
        let output = timeout(PATIENCE, output).await.expect("all of it ends").unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(!complaints.contains("panicked"), "{complaints}");
        assert!(!output.stdout.is_empty());
        assert_eq!(folders(home.path()), 0);
    }
}

#[test]
fn cargos_own_progress_is_seen() {
    let config = include_str!("../../../.cargo/config.toml");
    let alias = config.lines().find(|line| line.starts_with("local = ")).expect("there is the alias");
    assert!(!alias.contains("-q"), "a first build would print nothing for minutes: {alias}");
}
