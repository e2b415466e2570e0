//! Fault injection for DynamoDB: a proxy in front of the embedded database.

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
use portcullis_local::database::{Connection, sdk_config};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::system::pause;

/// Fault injected into a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault: the call goes through.
    None,
    /// The call is refused with this DynamoDB error code.
    Code(&'static str),
    /// The call is neither carried out nor answered.
    Hang,
    /// The call is carried out and its answer is lost.
    LoseAnswer,
    /// The call goes through after this delay, even if its caller has given up.
    Delay(Duration),
    /// The call is refused as a transaction that conflicts with others on the same rows.
    Conflict,
}

type Rule = Box<dyn Fn(&Call) -> Fault + Send>;

/// An intercepted call, the input of a rule.
#[derive(Clone, Debug)]
pub struct Call {
    /// Action, such as `PutItem`.
    pub action: String,
    /// JSON body.
    pub body: String,
}

impl Call {
    /// Whether the call names this table, by its logical name.
    #[must_use]
    pub fn is_about(&self, table: &str) -> bool {
        self.body.contains(&format!("-{table}\"")) || self.body.contains(&format!("\"{table}\""))
    }

    /// Whether the call is one of the event queue's and not the database's.
    #[must_use]
    pub fn is_of_queue(&self) -> bool {
        ["SendMessage", "ChangeMessageVisibility", "DeleteMessage", "SendDeadLetter"].contains(&self.action.as_str())
    }

    /// Whether the call adds a message to the queue.
    #[must_use]
    pub fn is_queue_write(&self) -> bool {
        self.action == "SendMessage"
    }

    /// Whether the call removes a delivered message from the queue.
    #[must_use]
    pub fn is_acknowledgement(&self) -> bool {
        self.action == "DeleteMessage"
    }
}

/// Prefix of the `x-amz-target` header of a [`FaultyQueue`](crate::FaultyQueue), before the call's name.
pub const QUEUE_TARGET: &str = "Queue.";

/// The proxy's instruction to a [`FaultyQueue`](crate::FaultyQueue).
#[derive(Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// Make the call.
    Pass,
    /// Make the call after this delay, even if its caller has given up.
    PassLate(Duration),
    /// Skip the call and report the queue as unavailable.
    Fail,
    /// Skip the call and report a permanent refusal.
    Refuse,
    /// Make the call and report a failure all the same.
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
    /// Starts a proxy in front of this database, without faults.
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

    /// URL of the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// AWS client configuration that goes through the proxy.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config(&self.url())
    }

    /// Sets the rule that decides each later call's fault.
    pub fn rule(&self, rule: impl Fn(&Call) -> Fault + Send + 'static) {
        *self.shared.rule.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(rule);
    }

    /// Stops injecting faults.
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

/// The queue's counterpart of a database fault.
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
