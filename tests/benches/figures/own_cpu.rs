//! CPU time of a request without waiting: the function's router in this process with AWS answered from memory, and
//! separately the AWS client alone, from memory and over sockets.

use std::{
    collections::BTreeMap,
    future::Future,
    io::{self, BufRead},
    pin::Pin,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use http_body_util::BodyExt;
use portcullis_crypto::Digest;
use portcullis_local::database::sdk_config;
use portcullis_runtime::{
    Environment, SystemClock, SystemRandomness,
    logging::{self, Format, LineSink},
    metrics::Metrics,
    queue::{EventQueue, NewMessage, QueueError, QueueFuture, ReceivedMessage, SqsQueue},
    secrets::SecretSource,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

use crate::{
    Failure,
    aws::Calls,
    machine, memory,
    stack::{DatabaseAddress, Discarded, TABLE_PREFIX},
    traffic::{Call, Traffic},
};

/// Argument that starts this binary in this mode.
pub const ARGUMENT: &str = "own-cpu";

/// Number of counted requests: enough for the kernel's resolution of 1/100 s.
const REQUESTS: u32 = 20_000;
/// Number of warm-up requests.
const WARM_UP: u32 = 500;

/// Input of the measuring process.
#[derive(Deserialize, Serialize)]
pub struct Job {
    pub settings: BTreeMap<String, String>,
    pub traffic: Traffic,
    pub database: DatabaseAddress,
    pub queue: String,
}

/// CPU time per request, in µs.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub struct Cost {
    /// CPU time of the router without the AWS client.
    pub own: f64,
    /// CPU time of the AWS client, including its connections.
    pub aws_client: f64,
}

/// Measures in another process and returns the costs in the order of [`Call::OF_FUNCTIONS`].
pub fn measure(job: &Job) -> Result<Vec<Cost>, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let input = child.stdin.take().ok_or("the process has no input")?;
    serde_json::to_writer(input, job)?;
    let output = child.wait_with_output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures in this process: reads the job from standard input and prints the costs.
pub async fn run() -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let job: Job = serde_json::from_str(&line)?;
    let sink = Arc::new(Discarded::open()?);
    logging::start(Format::Json, sink.clone(), None);
    let mut costs = Vec::new();
    for call in Call::OF_FUNCTIONS {
        costs.push(cost(&job, call, sink.clone()).await?);
    }
    println!("{}", serde_json::to_string(&costs)?);
    Ok(())
}

async fn cost(job: &Job, call: Call, sink: Arc<dyn LineSink>) -> Result<Cost, Failure> {
    let in_memory = job.database.sdk_config().into_builder().http_client(memory::http_client()).build();
    let environment = environment(job, in_memory.clone(), sink);
    let router = match call {
        Call::Secrets => skills::start(&environment).await?,
        Call::Heartbeat | Call::Configuration | Call::Unchanged => internal::start(&environment).await?,
        Call::Slack => slack::start(&environment).await?,
    };
    let whole = router_cost(&router, job, call).await?;
    if call == Call::Slack {
        // The function writes only to the queue, and the router's in-memory queue bypasses the AWS client: nothing to
        // subtract.
        let queue = SqsQueue::new(&sdk_config(&job.queue), format!("{}/0/events.fifo", job.queue), None);
        return Ok(Cost { own: whole, aws_client: repeated(|| send(&queue)).await? });
    }
    let mut calls = Calls::new(portcullis_store::client(&in_memory), call);
    let client_in_memory = calls_cost(&mut calls).await?;
    let over_sockets = portcullis_store::client(&job.database.sdk_config());
    let mut calls = Calls::new(over_sockets, call);
    Ok(Cost { own: whole - client_in_memory, aws_client: calls_cost(&mut calls).await? })
}

fn environment(job: &Job, aws: aws_types::SdkConfig, sink: Arc<dyn LineSink>) -> Environment {
    let others =
        [("TABLE_PREFIX", TABLE_PREFIX), ("POOL_CIDRS", "127.0.0.0/8"), ("BETTER_AUTH_URL", "https://figures.example")];
    let settings = job.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let settings = settings.chain(others).map(|(name, value)| (name.to_owned(), SecretString::from(value)));
    let variables: BTreeMap<_, _> = settings.collect();
    let clock = Arc::new(SystemClock);
    Environment {
        secrets: Arc::new(SecretSource::Environment(variables.clone())),
        variables,
        aws,
        queue: Some(Arc::new(Nowhere)),
        mailer: None,
        metrics: Metrics::new("figures", clock.clone(), Some(sink)),
        clock,
        randomness: Arc::new(SystemRandomness),
        patience: 1,
        delivery_patience: 1,
    }
}

async fn router_cost(router: &Router, job: &Job, call: Call) -> Result<f64, Failure> {
    let mut requests = Vec::new();
    for _ in 0..WARM_UP + REQUESTS {
        requests.push(job.traffic.next(call).into_http()?);
    }
    let mut requests = requests.into_iter();
    for request in requests.by_ref().take(WARM_UP as usize) {
        answer(router, request).await?;
    }
    let before = machine::own_cpu_time()?;
    for request in requests {
        answer(router, request).await?;
    }
    each(before)
}

async fn answer(router: &Router, request: http::Request<Body>) -> Result<(), Failure> {
    let response = router.clone().oneshot(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status == 200 { Ok(()) } else { Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into()) }
}

async fn calls_cost(calls: &mut Calls) -> Result<f64, Failure> {
    for _ in 0..WARM_UP {
        calls.make().await?;
    }
    let before = machine::own_cpu_time()?;
    for _ in 0..REQUESTS {
        calls.make().await?;
    }
    each(before)
}

async fn repeated<F: Future<Output = Result<(), Failure>>>(call: impl Fn() -> F) -> Result<f64, Failure> {
    for _ in 0..WARM_UP {
        call().await?;
    }
    let before = machine::own_cpu_time()?;
    for _ in 0..REQUESTS {
        call().await?;
    }
    each(before)
}

/// CPU time since `before` divided by the number of requests, in µs.
fn each(before: Duration) -> Result<f64, Failure> {
    let used = machine::own_cpu_time()?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / f64::from(REQUESTS))
}

async fn send(queue: &SqsQueue) -> Result<(), Failure> {
    let digest = Digest::of(b"figures");
    let (body, payload) = ("x".repeat(500), vec![b'x'; 500].into());
    let message = NewMessage { group: digest, deduplication: digest, body, payload };
    Ok(queue.send(&message).await?)
}

/// A queue that accepts messages and discards them.
struct Nowhere;

impl EventQueue for Nowhere {
    fn send<'a>(&'a self, _: &'a NewMessage) -> QueueFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn receive(&self, _: usize, _: Duration) -> QueueFuture<'_, Vec<ReceivedMessage>> {
        Box::pin(std::future::pending())
    }

    fn defer<'a>(&'a self, _: &'a ReceivedMessage, _: Duration) -> QueueFuture<'a, ()> {
        nothing_received()
    }

    fn acknowledge<'a>(&'a self, _: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        nothing_received()
    }

    fn dead_letter<'a>(&'a self, _: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        nothing_received()
    }
}

fn nothing_received() -> Pin<Box<dyn Future<Output = Result<(), QueueError>> + Send + 'static>> {
    Box::pin(std::future::ready(Err(QueueError::Refused("nothing was received".to_owned()))))
}
