//! Slack, as it calls us. Source: Slack, "Verifying requests from Slack" and "The Events API".

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::System;

/// A signature of Slack's scheme, made here without the code under test.
#[must_use]
pub fn signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).expect("any key will do");
    mac.update(b"v0:");
    mac.update(timestamp.as_bytes());
    mac.update(b":");
    mac.update(body);
    format!("v0={}", hex::encode(mac.finalize().into_bytes()))
}

/// A signed request to `path`, signed at `at`.
pub fn signed(system: &System, path: &str, secret: &str, body: impl Into<Vec<u8>>, at: Timestamp) -> RequestBuilder {
    let body = body.into();
    let timestamp = at.as_second().to_string();
    system
        .request(Method::POST, path)
        .header("content-type", "application/json")
        .header("x-slack-signature", signature(secret, &timestamp, &body))
        .header("x-slack-request-timestamp", timestamp)
        .body(body)
}

/// A message in a channel, as the Events API sends it. `number` makes its id and time its own.
#[must_use]
pub fn message(team: &str, app: &str, slack_channel: &str, number: u32) -> Value {
    let at = format!("1800014400.{number:06}");
    json!({
        "token": "deprecated",
        "team_id": team,
        "api_app_id": app,
        "type": "event_callback",
        "event_id": format!("Ev{number:08}"),
        "event_time": 1_800_014_400,
        "authorizations": [{
            "enterprise_id": null, "team_id": team, "user_id": "U0BOT", "is_bot": true, "is_enterprise_install": false,
        }],
        "event": {
            "type": "message",
            "channel": slack_channel,
            "channel_type": "channel",
            "user": "U0PERSON",
            "text": format!("message {number}"),
            "ts": at,
            "event_ts": at,
        },
    })
}
