//! The stack of `cargo local`, in a process separate from the load.

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
use portcullis_local::{
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

/// Argument that starts this binary as the stack.
pub const ARGUMENT: &str = "stack";
/// Prefix of the stack's table names.
pub const TABLE_PREFIX: &str = "portcullis-local-";

/// Addresses of a stack.
#[derive(Deserialize, Serialize)]
pub struct Addresses {
    /// URL of the front door, such as `http://127.0.0.1:40123`.
    pub front: String,
    /// Address of its DynamoDB.
    pub database: DatabaseAddress,
}

/// URL and credentials of a database.
#[derive(Clone, Deserialize, Serialize)]
pub struct DatabaseAddress {
    pub url: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl DatabaseAddress {
    /// AWS client configuration for this database.
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new(&self.access_key_id, &self.secret_access_key, None, None, "figures");
        sdk_config_with(&self.url, credentials)
    }
}

/// Orders to the process, read as its first line of standard input.
#[derive(Deserialize, Serialize)]
struct Orders {
    settings: BTreeMap<String, String>,
    data: Option<PathBuf>,
}

/// A stack in another process, which ends on drop.
pub struct StackProcess {
    child: Child,
    pub addresses: Addresses,
}

impl StackProcess {
    /// Starts a stack with these settings, in memory or in the folder `data`.
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
        // The process ends when its standard input does.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs the stack until standard input ends, so that it never outlives its parent.
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

/// A log to `/dev/null`: lines are formatted and written to the operating system as usual, and never read.
pub struct Discarded(std::fs::File);

impl Discarded {
    pub fn open() -> Result<Self, Failure> {
        Ok(Self(OpenOptions::new().write(true).open("/dev/null")?))
    }
}

impl LineSink for Discarded {
    fn write_line(&self, line: &str) {
        // As on standard output, a failed write to the log is ignored.
        let _ = writeln!(&self.0, "{line}");
    }
}
