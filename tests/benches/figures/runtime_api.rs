//! A fake Lambda runtime API.
//!
//! Source: AWS Lambda, "Using the Lambda runtime API for custom runtimes".

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use crate::{Failure, machine};

/// The fake runtime API of one instance of a function.
pub struct RuntimeApi {
    address: SocketAddr,
    work: mpsc::UnboundedSender<Bytes>,
    said: mpsc::UnboundedReceiver<Said>,
    server: JoinHandle<()>,
}

/// A call from the function.
enum Said {
    /// The function asks for the next event.
    Ready(Instant),
    /// The function's answer.
    Answer(Bytes),
    /// The function's error report.
    Failed(Bytes),
}

struct Shared {
    work: Mutex<mpsc::UnboundedReceiver<Bytes>>,
    said: mpsc::UnboundedSender<Said>,
}

impl RuntimeApi {
    pub async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (work, receiver) = mpsc::unbounded_channel();
        let (sender, said) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { work: Mutex::new(receiver), said: sender });
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(answer).with_state(shared);
        let server = tokio::spawn(async move {
            // The server ends with the task; its failure shows as a function that does not ask for work.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, work, said, server })
    }

    /// Address, the value of `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the function asks for work and returns the time of that call.
    pub async fn ready(&mut self) -> Result<Instant, Failure> {
        match self.said.recv().await {
            Some(Said::Ready(at)) => Ok(at),
            Some(Said::Answer(text) | Said::Failed(text)) => Err(String::from_utf8_lossy(&text).into()),
            None => Err("the stand-in of the runtime API has ended".into()),
        }
    }

    /// Hands an event to the function and returns its answer once it asks for the next event.
    pub async fn invoke(&mut self, event: Bytes) -> Result<Bytes, Failure> {
        self.work.send(event)?;
        match self.said.recv().await {
            Some(Said::Answer(answer)) => self.ready().await.map(|_| answer),
            Some(Said::Failed(text)) => Err(String::from_utf8_lossy(&text).into()),
            Some(Said::Ready(_)) => Err("the function asked for more work before it answered".into()),
            None => Err("the stand-in of the runtime API has ended".into()),
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET {
        let _ = shared.said.send(Said::Ready(machine::now()));
        return match shared.work.lock().await.recv().await {
            Some(event) => invocation(event),
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let said = if parts.uri.path().ends_with("/response") { Said::Answer(body) } else { Said::Failed(body) };
    let _ = shared.said.send(said);
    StatusCode::ACCEPTED.into_response()
}

fn invocation(event: Bytes) -> Response {
    /// Deadline in ms since the epoch, far in the future: no measurement may be cut off.
    const DEADLINE: &str = "4000000000000";
    let headers = [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", "00000000-0000-0000-0000-000000000000"),
        ("lambda-runtime-deadline-ms", DEADLINE),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:figures"),
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0"),
    ];
    (headers, Body::from(event)).into_response()
}
