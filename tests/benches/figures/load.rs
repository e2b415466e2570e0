//! Closed-loop load: each connection sends its next request after the answer to the last.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{Failure, machine};

/// Start of an answer without a body.
const NOT_MODIFIED: &[u8] = b"HTTP/1.1 304 ";

/// Time-out of one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that repeats a request.
pub trait Client: Send + 'static {
    /// Sends one request and reads the answer.
    fn ask(&mut self) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + '_>>;
}

/// Result of a load.
pub struct Outcome {
    /// Number of answers.
    pub answers: u32,
    /// Duration of the load.
    took: Duration,
}

impl Outcome {
    pub fn a_second(&self) -> f64 {
        f64::from(self.answers) / self.took.as_secs_f64()
    }
}

/// End condition of a load.
#[derive(Clone, Copy)]
pub enum Until {
    /// After this time.
    Passed(Duration),
    /// After this many answers to each client.
    Answered(u32),
}

/// Runs all clients without pause until the end.
pub async fn run(clients: Vec<Box<dyn Client>>, until: Until) -> Result<Outcome, Failure> {
    let started = machine::now();
    let (end, limit) = match until {
        Until::Passed(length) => (Some(started + length), u32::MAX),
        Until::Answered(count) => (None, count),
    };
    let tasks: Vec<_> = clients.into_iter().map(|client| tokio::spawn(ask_until(client, end, limit))).collect();
    let mut answers = 0;
    for task in tasks {
        answers += task.await??;
    }
    Ok(Outcome { answers, took: machine::now().duration_since(started) })
}

async fn ask_until(mut client: Box<dyn Client>, end: Option<Instant>, limit: u32) -> Result<u32, Failure> {
    let mut answers = 0;
    while answers < limit && end.is_none_or(|end| machine::now() < end) {
        timeout(PATIENCE, client.ask()).await.map_err(|_| "an answer does not come")??;
        answers += 1;
    }
    Ok(answers)
}

/// One keep-alive HTTP/1.1 connection. It uses little CPU, because it shares the cores with the measured process.
pub struct Connection<F> {
    stream: TcpStream,
    next: F,
    received: Vec<u8>,
}

impl<F: FnMut() -> Bytes + Send> Connection<F> {
    /// Connects; `next` builds each request.
    pub async fn open(address: &str, next: F) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, next, received: Vec::with_capacity(4096) })
    }

    async fn exchange(&mut self) -> Result<(), Failure> {
        let request = (self.next)();
        self.stream.write_all(&request).await?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err("the connection was closed".into());
            }
            if let Some(length) = answer_length(&self.received)
                && self.received.len() >= length
            {
                break;
            }
        }
        if self.received.starts_with(b"HTTP/1.1 200 ") || self.received.starts_with(NOT_MODIFIED) {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&self.received).into())
        }
    }
}

impl<F: FnMut() -> Bytes + Send + 'static> Client for Connection<F> {
    fn ask(&mut self) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + '_>> {
        Box::pin(self.exchange())
    }
}

/// Length of an answer including its head, once the head is complete.
fn answer_length(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    if received.starts_with(NOT_MODIFIED) {
        return Some(head + 4);
    }
    let text = std::str::from_utf8(received.get(..head)?).ok()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    Some(head + 4 + length.parse::<usize>().ok()?)
}
