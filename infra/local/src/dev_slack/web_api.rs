//! Methods of Slack's Web API that Portcullis and its agents call.

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

use super::{APP, CLIENT_ID, CONVERSATION, DevSlack, PERSON, TEAM, form_pairs, tokens::Standing};

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
    } else {
        match standing(slack, authorization, &arguments) {
            Standing::Good => called(slack, method, &arguments),
            Standing::Expired => error("token_expired"),
            Standing::Unknown => error("invalid_auth"),
        }
    };
    axum::Json(answer).into_response()
}

/// Arguments of a call, which come as a form or as JSON.
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

fn standing(slack: &DevSlack, authorization: &str, arguments: &Value) -> Standing {
    let token = authorization.strip_prefix("Bearer ").unwrap_or_else(|| text(arguments, "token"));
    slack.known().tokens.standing(token, slack.clock.now())
}

/// Exchanges a code or a refresh token for a new bot token. The client's credentials come in the header or, as some
/// clients send them, in the form.
fn exchange(slack: &DevSlack, authorization: &str, arguments: &Value) -> Value {
    let secret = slack.client_secret().expose_secret();
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT_ID}:{secret}")));
    let in_form = (text(arguments, "client_id"), text(arguments, "client_secret")) == (CLIENT_ID, secret);
    if authorization != basic && !in_form {
        return error("bad_client_secret");
    }
    let (random, now) = (slack.random_text(), slack.clock.now());
    let tokens = &mut slack.known().tokens;
    let (given, problem) = match text(arguments, "grant_type") {
        "refresh_token" => (tokens.refresh(text(arguments, "refresh_token"), &random, now), "invalid_refresh_token"),
        "" | "authorization_code" => (tokens.exchange(text(arguments, "code"), &random, now), "invalid_code"),
        _ => (None, "invalid_grant_type"),
    };
    let Some(mut answer) = given else { return error(problem) };
    let of_install = json!({
        "ok": true, "token_type": "bot", "scope": "chat:write,im:history", "bot_user_id": BOT_USER, "app_id": APP,
        "team": { "id": TEAM, "name": TEAM_NAME }, "enterprise": null, "is_enterprise_install": false,
        "authed_user": { "id": PERSON },
    });
    if let (Value::Object(answer), Value::Object(of_install)) = (&mut answer, of_install) {
        answer.extend(of_install);
    }
    answer
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
