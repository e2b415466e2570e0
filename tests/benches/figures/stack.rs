//! The stack of `cargo local`, in a process of its own beside the load.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use local::{Options, Stack};
use portcullis_runtime::logging::{self, Format, LineSink};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::Failure;

/// What this binary is told to be the stack.
pub const ARGUMENT: &str = "stack";
/// What the stack's tables begin with.
pub const TABLE_PREFIX: &str = "portcullis-local-";

/// Where a stack answers.
#[derive(Deserialize, Serialize)]
pub struct Addresses {
    /// The front door, such as `http://127.0.0.1:40123`.
    pub front: String,
    /// Its DynamoDB.
    pub database: String,
}

/// A stack in another process, which ends with this.
pub struct StackProcess {
    child: Child,
    pub addresses: Addresses,
}

impl StackProcess {
    /// Starts one with these settings.
    pub fn start(settings: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.as_mut(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err("the stack has no pipes".into()) };
        writeln!(input, "{}", serde_json::to_string(settings)?)?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self { child, addresses: serde_json::from_str(&line)? })
    }
}

impl Drop for StackProcess {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Is the stack: until the input ends, so that it never outlives who started it.
pub async fn run() -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let settings: BTreeMap<String, String> = serde_json::from_str(&line)?;
    logging::start(Format::Text, Arc::new(Discarded::open()?), None);
    let settings = settings.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect();
    let stack = Stack::start(Options::new(settings)).await?;
    let addresses = Addresses { front: stack.base_url(), database: stack.database_url().to_owned() };
    println!("{}", serde_json::to_string(&addresses)?);
    tokio::task::spawn_blocking(|| io::stdin().lock().read_to_end(&mut Vec::new())).await??;
    stack.shutdown().await;
    Ok(())
}

/// A log that is written and that nobody reads: its lines are made and handed to the system, as they always are.
pub struct Discarded(std::fs::File);

impl Discarded {
    pub fn open() -> Result<Self, Failure> {
        Ok(Self(OpenOptions::new().write(true).open("/dev/null")?))
    }
}

impl LineSink for Discarded {
    fn write_line(&self, line: &str) {
        // As on standard output: a log that cannot be written ends nothing.
        let _ = writeln!(&self.0, "{line}");
    }
}
