//! The program that an operator starts.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The program, with what it has printed so far.
pub struct Program {
    pub child: Child,
    pub lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub fn start(home: &Path, arguments: &[&str]) -> Self {
        // Whoever runs the tests may ignore a signal, as nohup does, and what is ignored stays so in whatever is started.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP,INT,QUIT,TERM", env!("CARGO_BIN_EXE_local")]).args(arguments);
        Self::spawn(home, command)
    }

    /// Starts it with a command that is it, or becomes it.
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

    /// The next line that holds `text`.
    pub async fn line(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.next_line().await.unwrap().unwrap_or_else(|| panic!("no line holds {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Ends it, and waits until it has.
    pub async fn terminate(&mut self) {
        self.end_with("TERM").await;
    }

    /// Ends it with this signal, and waits until it has.
    pub async fn end_with(&mut self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        Command::new("kill").args([&format!("-{signal}"), &id]).status().await.unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap_or_else(|_| panic!("{signal} does not end it"));
        assert!(status.unwrap().success(), "{signal}");
    }
}
