//! The program that an operator starts.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// Longest wait of a test for an expected event.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The program, with its output.
pub struct Program {
    pub child: Child,
    pub lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub fn start(home: &Path, arguments: &[&str]) -> Self {
        // The test runner may ignore a signal, as nohup does, and child processes inherit that.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP,INT,QUIT,TERM", env!("CARGO_BIN_EXE_local")]).args(arguments);
        Self::spawn(home, command)
    }

    /// Starts the program with a command that is it, or becomes it.
    pub fn spawn(home: &Path, mut command: Command) -> Self {
        let mut child = command
            .current_dir(home)
            .env_clear()
            .env("TMPDIR", home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Returns the next line that contains `text`.
    pub async fn line(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.next_line().await.unwrap().unwrap_or_else(|| panic!("no line holds {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Ends the program, and waits until it has ended.
    pub async fn terminate(&mut self) {
        self.end_with("TERM").await;
    }

    /// Ends the program with this signal, and waits until it has ended.
    pub async fn end_with(&mut self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        Command::new("kill").args([&format!("-{signal}"), &id]).status().await.unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap_or_else(|_| panic!("{signal} does not end it"));
        assert!(status.unwrap().success(), "{signal}");
    }
}
