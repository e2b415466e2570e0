//! The system as a child process that a test can kill.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use portcullis_auth::Clock;
use portcullis_runtime::SystemClock;
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    slack,
    system::{Settings, client},
};

/// Orders to the process, read as its first line of standard input: other processes can read arguments and variables.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The functions' settings.
    pub environment: BTreeMap<String, String>,
    /// Data folder of the process's own database.
    pub data: Option<PathBuf>,
    /// URL of a DynamoDB to use in place of its own.
    pub database_url: Option<String>,
    /// URL of the fault-injecting proxy that decides the outcome of each queue call.
    pub queue_faults: Option<String>,
    /// Factor by which every time-out is multiplied.
    pub patience: u32,
}

/// The only line that the process prints, once it answers requests.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// URL that it answers at.
    pub base_url: String,
}

/// A running child process on the real clock. It ends when this value is dropped or the test's process dies.
#[derive(Debug)]
pub struct Child {
    process: Mutex<std::process::Child>,
    base_url: String,
    settings: Settings,
    client: reqwest::Client,
}

impl Child {
    /// Starts `program`, the test's `CARGO_BIN_EXE_local-under-test`, with these settings and waits until it answers.
    /// Appends its log to the file `log`.
    pub async fn start(program: &str, settings: &Settings, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("the log opens");
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let orders = Orders {
            environment: (settings.environment().iter())
                .map(|(name, value)| (name.clone(), value.expose_secret().to_owned()))
                .collect(),
            data: settings.data.clone(),
            patience: settings.patience,
            queue_faults: settings.queue_faults.clone(),
            database_url: settings.database.as_ref().and_then(|aws| aws.endpoint_url().map(str::to_owned)),
        };
        let mut child = Self {
            process: Mutex::new(command.spawn().expect("the process starts")),
            base_url: String::new(),
            settings: settings.clone(),
            client: client(),
        };
        let orders = serde_json::to_string(&orders).expect("orders are JSON");
        // Keep the pipe open: the process ends when its standard input does.
        let process = child.process.get_mut().expect("nobody else has it");
        writeln!(process.stdin.as_mut().expect("it is piped"), "{orders}").expect("the process reads its orders");
        let stdout = process.stdout.take().expect("it is piped");
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = line.await.expect("the reader ends").expect("the process's output can be read");
        let ready: Ready =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("the process did not start: {line:?}"));
        child.base_url = ready.base_url;
        child
    }

    /// Kills the process as `kill -9` does and waits until it is gone.
    pub fn kill(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        // An error means that the process had already exited.
        let _ = process.kill();
        let _ = process.wait();
    }

    /// A request to a path of the child process, with no credential.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base_url))
    }

    /// A request with the internal token.
    pub fn internal(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("x-internal-token", &self.settings.internal_token)
    }

    /// A request with the skill token.
    pub fn skill(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("x-internal-token", &self.settings.skill_token)
    }

    /// A Slack event, signed with the current time.
    pub fn event(&self, secret: &str, body: &Value) -> RequestBuilder {
        let (body, timestamp) = (body.to_string(), SystemClock.now().as_second().to_string());
        self.request(Method::POST, "/api/slack/events")
            .header("content-type", "application/json")
            .header("x-slack-signature", slack::signature(secret, &timestamp, body.as_bytes()))
            .header("x-slack-request-timestamp", timestamp)
            .body(body)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}
