//! Slack's calls to the platform. Source: Slack, "Verifying requests from Slack" and "The Events API".

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::System;

/// A signature by Slack's scheme, computed without the code under test.
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

/// A signed form, the encoding of interactions and slash commands.
pub fn signed_form(system: &System, path: &str, secret: &str, form: &str, at: Timestamp) -> RequestBuilder {
    let timestamp = at.as_second().to_string();
    system
        .request(Method::POST, path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-slack-signature", signature(secret, &timestamp, form.as_bytes()))
        .header("x-slack-request-timestamp", timestamp)
        .body(form.to_owned())
}

/// The form of an interaction: its JSON, with every byte escaped that may be.
#[must_use]
pub fn payload_form(payload: &Value) -> String {
    let escaped = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    let escaped: Vec<String> = payload.to_string().bytes().map(escaped).collect();
    format!("payload={}", escaped.concat())
}

/// A click on a button in a message. A different `number` gives a different trigger id.
#[must_use]
pub fn click(team: &str, app: &str, slack_channel: &str, number: u32) -> Value {
    json!({
        "type": "block_actions",
        "user": { "id": "U0PERSON", "username": "person", "name": "person", "team_id": team },
        "api_app_id": app,
        "token": "deprecated",
        "container": {
            "type": "message", "message_ts": "1800014400.000001", "channel_id": slack_channel, "is_ephemeral": false,
        },
        "trigger_id": format!("{number}.1800014400.0123456789abcdef"),
        "team": { "id": team, "domain": "a-team" },
        "enterprise": null,
        "is_enterprise_install": false,
        "channel": { "id": slack_channel, "name": "general" },
        "message": { "type": "message", "user": "U0BOT", "ts": "1800014400.000001", "text": "Shall I?" },
        "response_url": "https://hooks.slack.com/actions/none",
        "actions": [{
            "action_id": "approve", "block_id": "b1", "type": "button", "value": format!("click {number}"),
            "text": { "type": "plain_text", "text": "Yes" }, "action_ts": "1800014401.000001",
        }],
    })
}

/// A slash command. A different `number` gives a different trigger id.
#[must_use]
pub fn command(team: &str, app: &str, slack_channel: &str, number: u32) -> String {
    format!(
        "token=deprecated&team_id={team}&team_domain=a-team&channel_id={slack_channel}&channel_name=general\
         &user_id=U0PERSON&user_name=person&command=%2Fbot&text=command+{number}&api_app_id={app}\
         &is_enterprise_install=false&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2Fnone\
         &trigger_id={number}.1800014400.fedcba9876543210"
    )
}

/// A message event of a channel. A different `number` gives a different event id and time.
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
