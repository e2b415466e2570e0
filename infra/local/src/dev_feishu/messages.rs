//! Messages that the bot sends: recorded, and shown at `/dev/feishu/messages.json`.
//!
//! Source: Feishu, "Send message", "Reply message", "Message content".

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    APP, Call, DevFeishu, TENANT,
    answers::{self, Failure},
    chats,
};

/// Most messages that are kept; the oldest goes first.
const KEPT: usize = 100;
/// Time for which two requests of one `uuid` send one message.
const DEDUPLICATED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Longest `uuid`, in characters.
const UUID_MAX: usize = 50;
/// Longest content of a text, in bytes.
const TEXT_MAX: usize = 150 * 1024;
/// Longest content of any other message, in bytes.
const CONTENT_MAX: usize = 30 * 1024;
/// Values of `receive_id_type`.
const RECEIVERS: [&str; 5] = ["open_id", "user_id", "union_id", "email", "chat_id"];
/// Values of `msg_type`.
const TYPES: [&str; 10] =
    ["text", "post", "image", "file", "audio", "media", "sticker", "interactive", "share_chat", "share_user"];

/// Recorded messages, the newest last.
#[derive(Default)]
pub(super) struct Messages(Vec<Sent>);

struct Sent {
    at: Timestamp,
    chat: String,
    uuid: Option<String>,
    /// Message in Feishu's form.
    described: Value,
}

impl Messages {
    pub(super) fn all(&self) -> Vec<Value> {
        self.0.iter().map(|message| message.described.clone()).collect()
    }

    fn find(&self, id: &str) -> Option<&Sent> {
        self.0.iter().find(|message| message.described["message_id"] == id)
    }

    /// Message that an earlier request with this `uuid` sent to the chat.
    fn sent_already(&self, chat: &str, uuid: Option<&str>, now: Timestamp) -> Option<&Sent> {
        let uuid = uuid?;
        self.0.iter().rev().find(|sent| {
            sent.chat == chat && sent.uuid.as_deref() == Some(uuid) && now.duration_since(sent.at) < DEDUPLICATED_FOR
        })
    }

    fn keep(&mut self, message: Sent) {
        self.0.push(message);
        if self.0.len() > KEPT {
            self.0.remove(0);
        }
    }
}

/// `POST im/v1/messages`
pub(super) fn send(feishu: &DevFeishu, call: &Call) -> Result<Response, Failure> {
    let kind = match call.query.get("receive_id_type").map(String::as_str) {
        None | Some("") => return Err(required("receive_id_type")),
        Some(kind) if RECEIVERS.contains(&kind) => kind,
        Some(kind) => {
            let problem = format!("receive_id_type is required, options: [{}]", RECEIVERS.join(","));
            return Err(Failure::Field("receive_id_type", kind.to_owned(), problem.into()));
        }
    };
    let body = call.body.as_ref().ok_or(answers::BAD_REQUEST)?;
    let receiver = text(body, "receive_id")?;
    let content = Content::read(body)?;
    // The stand-in has no people to write to, so it answers as for an unknown one.
    if kind != "chat_id" {
        return Err(answers::invalid_message("invalid receive_id"));
    }
    if !chats::has(receiver) {
        return Err(answers::NOT_IN_CHAT);
    }
    Ok(record(feishu, receiver, &content, None))
}

/// `POST im/v1/messages/{message_id}/reply`
///
/// An unknown id in the right form counts as a person's message in the first chat: people's messages reach the agent as
/// events, which are not sent from here.
pub(super) fn reply(feishu: &DevFeishu, to: &str, call: &Call) -> Result<Response, Failure> {
    let is_id = to.strip_prefix("om_").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    });
    if !is_id {
        return Err(answers::NO_SUCH_MESSAGE);
    }
    let body = call.body.as_ref().ok_or(answers::BAD_REQUEST)?;
    let content = Content::read(body)?;
    if body.get("reply_in_thread").is_some_and(|given| !given.is_boolean()) {
        return Err(answers::BAD_REQUEST);
    }
    let (chat, root) = match feishu.known().messages.find(to) {
        Some(parent) => {
            let root = parent.described["root_id"].as_str().unwrap_or(to).to_owned();
            (parent.chat.clone(), root)
        }
        None => (chats::FIRST.to_owned(), to.to_owned()),
    };
    Ok(record(feishu, &chat, &content, Some((to, &root))))
}

/// Validated content of a message.
struct Content<'a> {
    kind: &'a str,
    json: &'a str,
    uuid: Option<&'a str>,
}

impl<'a> Content<'a> {
    fn read(body: &'a Map<String, Value>) -> Result<Self, Failure> {
        let (kind, content) = (text(body, "msg_type")?, text(body, "content")?);
        let uuid = match body.get("uuid") {
            None => None,
            Some(Value::String(uuid)) if uuid.chars().count() > UUID_MAX => {
                return Err(Failure::Field("uuid", uuid.clone(), format!("the max len is {UUID_MAX}").into()));
            }
            Some(Value::String(uuid)) => Some(uuid.as_str()).filter(|uuid| !uuid.is_empty()),
            Some(_) => return Err(answers::BAD_REQUEST),
        };
        if !TYPES.contains(&kind) {
            return Err(answers::invalid_message("invalid msg_type"));
        }
        // The content is JSON within JSON; a client that sends it as an object was refused above.
        let Ok(Value::Object(parsed)) = serde_json::from_str(content) else {
            return Err(answers::invalid_message("content is not a string in json format"));
        };
        let is_empty_text = kind == "text" && parsed.get("text").and_then(Value::as_str).is_none_or(str::is_empty);
        if is_empty_text {
            return Err(answers::invalid_message("text content is empty"));
        }
        if content.len() > if kind == "text" { TEXT_MAX } else { CONTENT_MAX } {
            return Err(answers::TOO_LONG);
        }
        Ok(Self { kind, json: content, uuid })
    }
}

/// Records a message and answers with it; `reply` has the ids of the message that it answers and of the thread's first
/// message.
fn record(feishu: &DevFeishu, chat: &str, content: &Content<'_>, reply: Option<(&str, &str)>) -> Response {
    let (id, now) = (feishu.new_id("om_"), feishu.clock.now());
    let mut known = feishu.known();
    if let Some(sent) = known.messages.sent_already(chat, content.uuid, now) {
        return answers::success(&sent.described);
    }
    let time = now.as_millisecond().to_string();
    let mut described = json!({
        "message_id": id, "chat_id": chat, "msg_type": content.kind, "create_time": time, "update_time": time,
        "deleted": false, "updated": false, "body": { "content": content.json },
        "sender": { "id": APP, "id_type": "app_id", "sender_type": "app", "tenant_key": TENANT },
    });
    if let Some((parent, root)) = reply {
        described["parent_id"] = json!(parent);
        described["root_id"] = json!(root);
    }
    let answer = answers::success(&described);
    known.messages.keep(Sent { at: now, chat: chat.to_owned(), uuid: content.uuid.map(str::to_owned), described });
    answer
}

/// Returns a required text of the body.
fn text<'a>(body: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, Failure> {
    match body.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        None | Some(Value::Null | Value::String(_)) => Err(required(name)),
        Some(_) => Err(answers::BAD_REQUEST),
    }
}

fn required(name: &'static str) -> Failure {
    Failure::Field(name, String::new(), format!("{name} is required").into())
}
