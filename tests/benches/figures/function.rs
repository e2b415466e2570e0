//! A function's binary, run as Lambda runs it.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use bytes::Bytes;
use tokio::time::timeout;

use crate::{Failure, machine, runtime_api::RuntimeApi, stack::DatabaseAddress};

/// Time-out of a start or an answer, far above any real one.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running instance of a function, killed on drop.
pub struct Function {
    child: Child,
    api: RuntimeApi,
}

impl Function {
    /// Starts an instance and returns the time until it asked for work.
    pub async fn start(binary: &Path, environment: &BTreeMap<String, String>) -> Result<(Self, Duration), Failure> {
        let api = RuntimeApi::start().await?;
        let mut command = Command::new(binary);
        command.env_clear().envs(environment).env("AWS_LAMBDA_RUNTIME_API", api.address().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let started = machine::now();
        let child = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut function = Self { child, api };
        // The log goes through a pipe, as on Lambda.
        if let Some(mut log) = function.child.stdout.take() {
            thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        }
        let ready = timeout(PATIENCE, function.api.ready()).await;
        let ready = ready.map_err(|_| format!("{} does not ask for work", binary.display()))??;
        Ok((function, ready.duration_since(started)))
    }

    /// Has the function answer an event.
    pub async fn invoke(&mut self, event: Bytes) -> Result<Bytes, Failure> {
        timeout(PATIENCE, self.api.invoke(event)).await.map_err(|_| "a function does not answer")?
    }

    /// CPU time used so far.
    pub fn cpu_time(&self) -> Result<Duration, Failure> {
        machine::cpu_time(self.child.id())
    }

    /// Resident memory in MB.
    pub fn resident_megabytes(&self) -> Result<f64, Failure> {
        machine::resident_megabytes(self.child.id())
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // An error means that the function had already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A function's environment variables on Lambda; `queue` and `database` are stand-ins.
pub fn environment(
    settings: &BTreeMap<String, String>,
    name: &str,
    database: &DatabaseAddress,
    queue: &str,
) -> BTreeMap<String, String> {
    let fixed = [
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/figures"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "figures"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", &database.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &database.secret_access_key),
        ("AWS_ENDPOINT_URL_DYNAMODB", &database.url),
        ("AWS_ENDPOINT_URL_SQS", queue),
        ("EVENT_QUEUE_URL", &format!("{queue}/000000000000/events.fifo")),
        ("DEAD_LETTER_QUEUE_URL", &format!("{queue}/000000000000/dead.fifo")),
        ("TABLE_PREFIX", crate::stack::TABLE_PREFIX),
        ("POOL_CIDRS", "127.0.0.0/8"),
        ("BETTER_AUTH_URL", "https://figures.example"),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    settings.iter().map(|(name, value)| (name.clone(), value.clone())).chain(fixed).collect()
}
