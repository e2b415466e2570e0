//! A DynamoDB that fails on request: a proxy before the embedded one.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_types::SdkConfig;
use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use local::database::{Connection, sdk_config};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::system::pause;

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    None,
    /// It is refused with this code of DynamoDB's.
    Code(&'static str),
    /// It is not carried out and never answered.
    Hang,
    /// It is carried out, and its answer is lost.
    LoseAnswer,
    /// It goes through after this time, even where nobody waits for it any more.
    Delay(Duration),
    /// It is a transaction, and others are at its rows.
    Conflict,
}

type Rule = Box<dyn Fn(&Call) -> Fault + Send>;

/// A call, as a rule sees it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The action, such as `PutItem`.
    pub action: String,
    /// The body, JSON.
    pub body: String,
}

impl Call {
    /// Whether it is about this table, by its logical name.
    #[must_use]
    pub fn is_about(&self, table: &str) -> bool {
        self.body.contains(&format!("-{table}\"")) || self.body.contains(&format!("\"{table}\""))
    }

    /// Tells a call of the queue of accepted events from one of the database.
    #[must_use]
    pub fn is_of_queue(&self) -> bool {
        ["SendMessage", "ChangeMessageVisibility", "DeleteMessage", "SendDeadLetter"].contains(&self.action.as_str())
    }

    /// Whether it puts a message into the queue.
    #[must_use]
    pub fn is_queue_write(&self) -> bool {
        self.action == "SendMessage"
    }

    /// Whether it takes a delivered message out of the queue.
    #[must_use]
    pub fn is_acknowledgement(&self) -> bool {
        self.action == "DeleteMessage"
    }
}

/// Prefix of the target that a [`FaultyQueue`](crate::FaultyQueue) names, before the call's name.
pub const QUEUE_TARGET: &str = "Queue.";

/// The answer to a [`FaultyQueue`](crate::FaultyQueue), which carries it out.
#[derive(Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// Make the call.
    Pass,
    /// Make it after this time, even where nobody waits for it any more.
    PassLate(Duration),
    /// Do not make it, and be unavailable.
    Fail,
    /// Do not make it, and refuse it for good.
    Refuse,
    /// Make it, and fail all the same.
    LoseAnswer,
}

struct Shared {
    rule: Mutex<Rule>,
    database: Connection,
}

/// The proxy.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy before this database, through which everything goes.
    pub async fn start(database: &Connection) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let rule: Mutex<Rule> = Mutex::new(Box::new(|_| Fault::None));
        let shared = Arc::new(Shared { rule, database: database.clone() });
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the proxy serves");
        });
        Self { address, shared, server }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Configuration of AWS clients that call through it.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config(&self.url())
    }

    /// From now on this decides what becomes of each call.
    pub fn rule(&self, rule: impl Fn(&Call) -> Fault + Send + 'static) {
        *self.shared.rule.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(rule);
    }

    /// From now on everything goes through again.
    pub fn heal(&self) {
        self.rule(|_| Fault::None);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let body = body.to_bytes();
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let action = target.rsplit('.').next().unwrap_or_default().to_owned();
    let target = target.to_owned();
    let call = Call { action, body: String::from_utf8_lossy(&body).into_owned() };
    let fault = (shared.rule.lock().unwrap_or_else(PoisonError::into_inner))(&call);
    if target.starts_with(QUEUE_TARGET) {
        return Json(verdict(fault).await).into_response();
    }
    match fault {
        Fault::Hang => std::future::pending().await,
        Fault::Code(code) => {
            let status = if code == "InternalServerError" { 500 } else { 400 };
            let error = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": code });
            let status = StatusCode::from_u16(status).expect("a valid status");
            (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], error.to_string()).into_response()
        }
        Fault::Conflict => {
            let error = json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "cancelled",
                "CancellationReasons": [{ "Code": "None" }, { "Code": "TransactionConflict" }],
            });
            (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/x-amz-json-1.0")], error.to_string()).into_response()
        }
        Fault::Delay(time) => {
            let late = tokio::spawn(async move {
                pause(time).await;
                forward(&shared, target, body).await
            });
            late.await.expect("the call goes through")
        }
        Fault::None => forward(&shared, target, body).await,
        Fault::LoseAnswer => {
            forward(&shared, target, body).await;
            // hyper closes the connection of a handler that panics.
            panic!("the answer is lost")
        }
    }
}

/// The same fault as a queue has it.
async fn verdict(fault: Fault) -> Verdict {
    match fault {
        Fault::None => Verdict::Pass,
        Fault::Code("ResourceNotFoundException" | "ValidationException") => Verdict::Refuse,
        Fault::Code(_) | Fault::Conflict => Verdict::Fail,
        Fault::LoseAnswer => Verdict::LoseAnswer,
        Fault::Hang => std::future::pending().await,
        Fault::Delay(time) => Verdict::PassLate(time),
    }
}

async fn forward(shared: &Shared, target: String, body: Bytes) -> Response {
    let Ok(answer) = shared.database.call(&target, &body).await else { return StatusCode::BAD_GATEWAY.into_response() };
    let status = StatusCode::from_u16(answer.status).expect("a valid status");
    (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], answer.body).into_response()
}
