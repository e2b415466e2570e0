//! The stack of `cargo local`, in a process of its own beside the load.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use aws_sdk_dynamodb::config::Credentials;
use aws_types::SdkConfig;
use local::{
    Options, Stack,
    database::{Served, random_credentials, sdk_config_with},
};
use portcullis_runtime::{
    SystemClock, SystemRandomness,
    logging::{self, Format, LineSink},
};
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
    pub database: DatabaseAddress,
}

/// Where a database answers, and to whom.
#[derive(Clone, Deserialize, Serialize)]
pub struct DatabaseAddress {
    pub url: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl DatabaseAddress {
    /// Configuration of AWS clients that reach it.
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new(&self.access_key_id, &self.secret_access_key, None, None, "figures");
        sdk_config_with(&self.url, credentials)
    }
}

/// Orders that a stack's process reads as its first line.
#[derive(Deserialize, Serialize)]
struct Orders {
    settings: BTreeMap<String, String>,
    data: Option<PathBuf>,
}

/// A stack in another process, which ends with this.
pub struct StackProcess {
    child: Child,
    pub addresses: Addresses,
}

impl StackProcess {
    /// Starts one with these settings, in memory or in the folder `data`.
    pub fn start(settings: &BTreeMap<String, String>, data: Option<&Path>) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.as_mut(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err("the stack has no pipes".into()) };
        let orders = Orders { settings: settings.clone(), data: data.map(Path::to_owned) };
        writeln!(input, "{}", serde_json::to_string(&orders)?)?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self { child, addresses: serde_json::from_str(&line)? })
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
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
    let Orders { settings, data } = serde_json::from_str(&line)?;
    logging::start(Format::Text, Arc::new(Discarded::open()?), None);
    let settings = settings.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect();
    let stack = Stack::start(Options { data, ..Options::new(settings) }).await?;
    let database = stack.database().ok_or("the stack has no database of its own")?.connection().clone();
    let served = Served::start(database, random_credentials(&SystemRandomness), Arc::new(SystemClock)).await?;
    let database = DatabaseAddress {
        url: served.url().to_owned(),
        access_key_id: served.credentials().access_key_id().to_owned(),
        secret_access_key: served.credentials().secret_access_key().to_owned(),
    };
    let addresses = Addresses { front: stack.base_url(), database };
    println!("{}", serde_json::to_string(&addresses)?);
    tokio::task::spawn_blocking(|| io::stdin().lock().read_to_end(&mut Vec::new())).await??;
    served.shutdown().await;
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
