//! The methods of the Web API that Portcullis and its agents call.

use axum::{
    body::Bytes,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{APP, CLIENT_ID, CONVERSATION, DevSlack, PERSON, TEAM, form_pairs};

/// Id of the bot's user.
pub(super) const BOT_USER: &str = "U0DEVBOT";
/// Id of the bot.
const BOT: &str = "B0DEV";
/// Name of the workspace.
const TEAM_NAME: &str = "This machine";

/// Answers a call.
pub(super) fn answer(slack: &DevSlack, method: &str, headers: &HeaderMap, body: &Bytes) -> Response {
    let arguments = arguments(headers, body);
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let answer = if method == "oauth.v2.access" {
        exchange(slack, authorization, &arguments)
    } else if !is_known(slack, authorization, &arguments) {
        error("invalid_auth")
    } else {
        called(slack, method, &arguments)
    };
    axum::Json(answer).into_response()
}

/// The arguments of a call, which come as a form or as JSON.
fn arguments(headers: &HeaderMap, body: &Bytes) -> Value {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.starts_with("application/json") {
        return serde_json::from_slice(body).unwrap_or_default();
    }
    let pairs = form_pairs(&String::from_utf8_lossy(body)).into_iter();
    pairs.map(|(name, value)| (name, Value::String(value))).collect::<serde_json::Map<_, _>>().into()
}

fn text<'a>(arguments: &'a Value, name: &str) -> &'a str {
    arguments[name].as_str().unwrap_or_default()
}

fn error(code: &str) -> Value {
    json!({ "ok": false, "error": code })
}

fn is_known(slack: &DevSlack, authorization: &str, arguments: &Value) -> bool {
    let token = authorization.strip_prefix("Bearer ").unwrap_or_else(|| text(arguments, "token"));
    slack.known().tokens.iter().any(|known| known == token)
}

/// Exchanges a code for a new bot token. The client's credentials come in the header or, as some clients send them, in the form.
fn exchange(slack: &DevSlack, authorization: &str, arguments: &Value) -> Value {
    let secret = slack.client_secret().expose_secret();
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT_ID}:{secret}")));
    let in_form = (text(arguments, "client_id"), text(arguments, "client_secret")) == (CLIENT_ID, secret);
    if authorization != basic && !in_form {
        return error("bad_client_secret");
    }
    let code = text(arguments, "code");
    let mut known = slack.known();
    let Some(index) = known.codes.iter().position(|known| known == code) else { return error("invalid_code") };
    known.codes.remove(index);
    let token = format!("xoxb-dev-{}", slack.random_text());
    known.tokens.push(token.clone());
    json!({
        "ok": true, "access_token": token, "token_type": "bot", "scope": "chat:write,im:history",
        "bot_user_id": BOT_USER, "app_id": APP, "team": { "id": TEAM, "name": TEAM_NAME }, "enterprise": null,
        "is_enterprise_install": false, "authed_user": { "id": PERSON },
    })
}

fn called(slack: &DevSlack, method: &str, arguments: &Value) -> Value {
    match method {
        "auth.test" => json!({
            "ok": true, "url": "https://dev.slack.com/", "team": TEAM_NAME, "user": "portcullis", "team_id": TEAM,
            "user_id": BOT_USER, "bot_id": BOT, "is_enterprise_install": false,
        }),
        "bots.info" => json!({
            "ok": true,
            "bot": { "id": BOT, "deleted": false, "name": "portcullis", "app_id": APP, "user_id": BOT_USER },
        }),
        "conversations.info" => {
            json!({ "ok": true, "channel": { "id": CONVERSATION, "is_im": true, "user": PERSON } })
        }
        "users.info" => json!({
            "ok": true,
            "user": { "id": PERSON, "name": "you", "real_name": "You", "profile": { "display_name": "You" } },
        }),
        "chat.postMessage" if text(arguments, "channel").is_empty() => error("channel_not_found"),
        "chat.postMessage" if text(arguments, "text").is_empty() => error("no_text"),
        "chat.postMessage" => {
            let message = slack.keep("The bot", text(arguments, "text"));
            json!({
                "ok": true, "channel": CONVERSATION, "ts": message.ts,
                "message": { "type": "message", "bot_id": BOT, "user": BOT_USER, "text": message.text, "ts": message.ts },
            })
        }
        _ => error("unknown_method"),
    }
}
