//! The measured requests, each encoded in the three forms in which they are sent.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use bytes::Bytes;
use portcullis_auth::Clock;
use portcullis_runtime::SystemClock;
use portcullis_tests::slack;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    Failure,
    seed::{APP, POOL, SKILL, TEAM},
    stand_ins::Message,
};

/// Kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `GET /api/internal/secrets/{skillName}`, which returns ten secrets.
    Secrets,
    /// `POST /api/internal/pools/heartbeat`.
    Heartbeat,
    /// `GET /api/internal/pools/{poolId}/config/latest`, of a pool with one bot.
    Configuration,
    /// The same request with the current entity tag, answered by 304.
    Unchanged,
    /// `POST /api/slack/events`, a signed message with a new id each time.
    Slack,
}

impl Call {
    pub const ALL: [Self; 5] = [Self::Secrets, Self::Heartbeat, Self::Configuration, Self::Unchanged, Self::Slack];
    /// Kinds that the functions are measured with, one per function.
    pub const OF_FUNCTIONS: [Self; 3] = [Self::Secrets, Self::Heartbeat, Self::Slack];

    pub fn name(self) -> &'static str {
        match self {
            Self::Secrets => "GET secrets (10)",
            Self::Heartbeat => "POST heartbeat",
            Self::Configuration => "GET config/latest, full",
            Self::Unchanged => "GET config/latest, 304",
            Self::Slack => "Slack event, accepted",
        }
    }
}

/// The path of a pool's configuration.
pub fn configuration_path(pool: &str) -> String {
    format!("/api/internal/pools/{pool}/config/latest")
}

/// Number of Slack channels that the events are spread over: deliveries within one channel are sequential.
const SLACK_CHANNELS: u32 = 64;

/// Builds requests.
#[derive(Deserialize, Serialize)]
pub struct Traffic {
    pub internal_token: String,
    pub skill_token: String,
    pub signing_secret: String,
    /// Entity tag of the pool's configuration.
    pub tag: String,
    /// Number of events so far, which makes each event's id unique.
    pub events: AtomicU32,
}

/// A request before its encoding.
pub struct Request {
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Traffic {
    /// A copy for another process, with event ids that do not overlap with these.
    pub fn split_off(&self) -> Self {
        let far_away = self.events.load(Ordering::Relaxed) + 500_000;
        Self {
            internal_token: self.internal_token.clone(),
            skill_token: self.skill_token.clone(),
            signing_secret: self.signing_secret.clone(),
            tag: self.tag.clone(),
            events: AtomicU32::new(far_away),
        }
    }

    /// Builds the next request of a kind.
    pub fn next(&self, call: Call) -> Request {
        match call {
            Call::Secrets => Request {
                method: "GET",
                path: format!("/api/internal/secrets/{SKILL}"),
                query: format!("poolId={POOL}"),
                headers: vec![("x-internal-token", self.skill_token.clone())],
                body: String::new(),
            },
            Call::Heartbeat => Request {
                method: "POST",
                path: "/api/internal/pools/heartbeat".to_owned(),
                query: String::new(),
                headers: vec![
                    ("content-type", "application/json".to_owned()),
                    ("x-internal-token", self.internal_token.clone()),
                ],
                body: json!({ "poolId": POOL, "status": "active", "lastSeenVersion": 7 }).to_string(),
            },
            Call::Configuration => self.configuration(Vec::new()),
            Call::Unchanged => self.configuration(vec![("if-none-match", self.tag.clone())]),
            Call::Slack => self.slack(),
        }
    }

    fn configuration(&self, mut headers: Vec<(&'static str, String)>) -> Request {
        headers.push(("x-internal-token", self.internal_token.clone()));
        let path = configuration_path(POOL);
        Request { method: "GET", path, query: String::new(), headers, body: String::new() }
    }

    fn slack(&self) -> Request {
        let number = self.events.fetch_add(1, Ordering::Relaxed);
        let body = slack::message(TEAM, APP, &format!("C{:04}", number % SLACK_CHANNELS), number).to_string();
        let timestamp = SystemClock.now().as_second().to_string();
        let signature = slack::signature(&self.signing_secret, &timestamp, body.as_bytes());
        Request {
            method: "POST",
            path: "/api/slack/events".to_owned(),
            query: String::new(),
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("x-slack-signature", signature),
                ("x-slack-request-timestamp", timestamp),
            ],
            body,
        }
    }
}

impl Request {
    fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// The request encoded as HTTP/1.1.
    pub fn to_bytes(&self) -> Bytes {
        let mut text = format!("{} {} HTTP/1.1\r\nhost: 127.0.0.1\r\n", self.method, self.target());
        for (name, value) in &self.headers {
            text.extend([*name, ": ", value.as_str(), "\r\n"]);
        }
        if !self.body.is_empty() {
            text.extend(["content-length: ", &self.body.len().to_string(), "\r\n"]);
        }
        text.extend(["\r\n", self.body.as_str()]);
        text.into()
    }

    /// The request as a router receives it.
    pub fn into_http(self) -> Result<http::Request<Body>, Failure> {
        let mut request = http::Request::builder().method(self.method).uri(self.target());
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        Ok(request.body(Body::from(self.body))?)
    }

    /// The event that an HTTP API passes to a function. Source: Amazon API Gateway, "Payload format version 2.0".
    pub fn to_event(&self) -> Bytes {
        let headers: Map<_, _> =
            self.headers.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
        let event = json!({
            "version": "2.0",
            "routeKey": format!("{} {}", self.method, self.path),
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": headers,
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "figures",
                "domainName": "figures.example",
                "domainPrefix": "figures",
                "http": {
                    "method": self.method,
                    "path": self.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "figures",
                },
                "requestId": "figures",
                "routeKey": format!("{} {}", self.method, self.path),
                "stage": "$default",
                "time": "23/Nov/2026:12:00:00 +0000",
                "timeEpoch": 1_795_435_200_000_i64,
            },
            "body": self.body,
            "isBase64Encoded": false,
        });
        event.to_string().into()
    }
}

/// The event that SQS's event source mapping passes to the relay. Source: AWS Lambda, "Using Lambda with Amazon SQS".
pub fn sqs_event(number: usize, message: &Message) -> Bytes {
    let attributes = message.attributes.as_object().into_iter().flatten().map(|(name, value)| {
        let (kind, bytes) = (&value["DataType"], &value["BinaryValue"]);
        (
            name.clone(),
            json!({ "dataType": kind, "binaryValue": bytes, "stringListValues": [], "binaryListValues": [] }),
        )
    });
    let attributes: serde_json::Map<_, _> = attributes.collect();
    let event = json!({
        "Records": [{
            "messageId": format!("00000000-0000-0000-0000-{number:012}"),
            "receiptHandle": "figures",
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": SystemClock.now().as_millisecond().to_string(),
                "MessageGroupId": message.group,
                "MessageDeduplicationId": message.deduplication,
            },
            "messageAttributes": attributes,
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:events.fifo",
            "awsRegion": "us-east-1",
        }],
    });
    event.to_string().into()
}
