//! Chats that the bot is in, a page at a time.
//!
//! Source: Feishu, "Obtain groups where the user or bot is in".

use axum::response::Response;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    Call, TENANT,
    answers::{self, Failure},
};

/// Ids and names of the chats.
const CHATS: [(&str, &str); 3] =
    [("oc_demo1", "Demo chat one"), ("oc_demo2", "Demo chat two"), ("oc_demo3", "Demo chat three")];
/// Default number of chats of a page.
const PAGE_SIZE: usize = 20;
/// Most chats of a page.
const PAGE_SIZE_MAX: usize = 100;
/// Prefix of a chat's id in a page token. In base64 it has a plus sign, as Feishu's own tokens may, so that a client
/// which does not encode it fails.
const PAGE: &str = ">>>";

/// Chat of messages to a person.
pub(super) const FIRST: &str = "oc_demo1";

/// Returns whether the bot is in this chat.
pub(super) fn has(id: &str) -> bool {
    CHATS.iter().any(|(known, _)| *known == id)
}

/// `GET im/v1/chats`
pub(super) fn list(call: &Call) -> Result<Response, Failure> {
    let size = match call.query.get("page_size") {
        None => PAGE_SIZE,
        Some(size) => page_size(size)?,
    };
    let owner_id_type = one_of(call, "user_id_type", "open_id", &["open_id", "union_id", "user_id"])?;
    one_of(call, "sort_type", "ByCreateTimeAsc", &["ByCreateTimeAsc", "ByActiveTimeDesc"])?;
    let start = match call.query.get("page_token").filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => CHATS.iter().position(|(id, _)| page_token(id) == *token).ok_or(answers::INVALID_PAGE_TOKEN)?,
    };
    let items: Vec<_> =
        CHATS.iter().skip(start).take(size).map(|(id, name)| described(id, name, owner_id_type)).collect();
    let next = CHATS.get(start + size).map(|(id, _)| page_token(id));
    Ok(answers::success(&json!({
        "items": items, "page_token": next.as_deref().unwrap_or_default(), "has_more": next.is_some(),
    })))
}

fn described(id: &str, name: &str, owner_id_type: &str) -> Value {
    let owner = match owner_id_type {
        "union_id" => "on_demoyou",
        "user_id" => "demoyou",
        _ => "ou_demoyou",
    };
    json!({
        "chat_id": id, "name": name, "avatar": "https://avatar.example.com/chat.png", "description": "",
        "owner_id": owner, "owner_id_type": owner_id_type, "external": false, "tenant_key": TENANT,
        "chat_status": "normal",
    })
}

/// Token of the page that starts with this chat.
fn page_token(id: &str) -> String {
    BASE64_STANDARD.encode(format!("{PAGE}{id}"))
}

fn page_size(value: &str) -> Result<usize, Failure> {
    let problem = |words: String| Failure::Field("page_size", value.to_owned(), words.into());
    let number: i64 = value.parse().map_err(|_| problem("page_size is not a number".to_owned()))?;
    match usize::try_from(number) {
        Ok(size @ 1..=PAGE_SIZE_MAX) => Ok(size),
        Ok(0) | Err(_) => Err(problem("the min value is 1".to_owned())),
        Ok(_) => Err(problem(format!("the max value is {PAGE_SIZE_MAX}"))),
    }
}

/// Returns an optional parameter that must have one of these values.
fn one_of<'a>(
    call: &'a Call,
    name: &'static str,
    default: &'static str,
    values: &[&'static str],
) -> Result<&'a str, Failure> {
    match call.query.get(name) {
        None => Ok(default),
        Some(value) if values.contains(&value.as_str()) => Ok(value),
        Some(value) => {
            let problem = format!("{name} is optional, options: [{}]", values.join(","));
            Err(Failure::Field(name, value.clone(), problem.into()))
        }
    }
}
