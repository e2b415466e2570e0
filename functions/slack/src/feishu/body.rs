//! Parser of a Feishu request's body. It reads the fields that find the channel and prove the origin, and those that
//! name the event and its chat; all others are passed on unread.
//!
//! Source: Feishu Open Platform, "Event structure" (1.0 and 2.0), "Receive message", "Card callback", and the older
//! "Card interaction callback".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::lenient::{Object, Text, are_bounded, object, string};

/// A request's body. A repeated key among the fields below makes it malformed.
#[derive(Debug, Deserialize)]
pub struct Body<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    pub encrypt: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    schema: Text<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    header: Option<Header<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    event: Option<Event<'a>>,
    #[serde(borrow, rename = "type", default, deserialize_with = "string")]
    kind: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    token: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    uuid: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    challenge: Text<'a>,
    // The older card callback has these fields at its top level.
    #[serde(borrow, default, deserialize_with = "string")]
    open_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    user_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    tenant_key: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    open_message_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    open_chat_id: Text<'a>,
    #[serde(borrow, default)]
    action: Option<&'a RawValue>,
}

/// The header of schema 2.0.
#[derive(Debug, Deserialize)]
struct Header<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    event_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    event_type: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    token: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    app_id: Text<'a>,
}

/// The event of any type.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    sender: Option<Sender<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    message: Option<Message<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    context: Option<Context<'a>>,
    #[serde(borrow, default, deserialize_with = "string")]
    app_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    chat_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    open_chat_id: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct Sender<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    sender_id: Option<SenderId<'a>>,
    #[serde(borrow, default, deserialize_with = "string")]
    sender_type: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct SenderId<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    open_id: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are Feishu's")]
struct Message<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    message_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    chat_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "string")]
    chat_type: Text<'a>,
}

/// The place of the card whose action was triggered.
#[derive(Debug, Deserialize)]
struct Context<'a> {
    #[serde(borrow, default, deserialize_with = "string")]
    open_chat_id: Text<'a>,
}

/// A message that a person sent to the bot.
#[derive(Debug, PartialEq, Eq)]
pub struct ReceivedMessage<'b> {
    pub chat: &'b str,
    /// The sender's open id, in a direct chat only.
    pub direct: Option<&'b str>,
    pub message: &'b str,
}

impl<'a> Body<'a> {
    /// Parses a body; `None` if it is not a JSON object.
    pub fn parse(body: &'a str) -> Option<Self> {
        let Object(body) = serde_json::from_str(body).ok()?;
        Some(body)
    }

    /// Returns the challenge of a URL verification; `None` for any other body.
    pub fn challenge(&self) -> Option<&str> {
        self.challenge.as_deref().filter(|_| self.kind.as_deref() == Some("url_verification"))
    }

    /// Returns whether the body is a card callback of the older kind, which is signed with the verification token.
    pub fn is_older_card(&self) -> bool {
        self.schema.is_none() && self.kind.is_none() && self.action.is_some()
    }

    /// Returns the token to compare with the app's verification token. The `token` of an older card is unrelated: it
    /// authorizes updates of the card.
    pub fn verification_token(&self) -> Option<&str> {
        match &self.header {
            Some(header) => header.token.as_deref(),
            None if self.is_older_card() => None,
            None => self.token.as_deref(),
        }
    }

    /// Returns the app's id, if the body names it.
    pub fn app(&self) -> Option<&str> {
        let header = self.header.as_ref().and_then(|header| header.app_id.as_deref());
        header.or_else(|| self.event.as_ref()?.app_id.as_deref())
    }

    /// Returns the event's id, which stays the same when Feishu retries.
    pub fn event_id(&self) -> Option<&str> {
        self.header.as_ref().and_then(|header| header.event_id.as_deref()).or(self.uuid.as_deref())
    }

    /// Returns the event's chat.
    pub fn chat(&self) -> Option<&str> {
        let event = self.event.as_ref();
        let chats = [
            event.and_then(|event| event.message.as_ref()?.chat_id.as_deref()),
            event.and_then(|event| event.context.as_ref()?.open_chat_id.as_deref()),
            event.and_then(|event| event.chat_id.as_deref()),
            event.and_then(|event| event.open_chat_id.as_deref()),
            self.open_chat_id.as_deref(),
        ];
        chats.into_iter().flatten().next()
    }

    /// Returns the message, if the event is a message that a person sent.
    pub fn received_message(&self) -> Option<ReceivedMessage<'_>> {
        let is_message = self.header.as_ref()?.event_type.as_deref() == Some("im.message.receive_v1");
        let event = self.event.as_ref().filter(|_| is_message)?;
        let (message, sender) = (event.message.as_ref()?, event.sender.as_ref()?);
        if sender.sender_type.as_deref().is_some_and(|kind| kind != "user") {
            return None;
        }
        let is_direct = message.chat_type.as_deref() == Some("p2p");
        let person = sender.sender_id.as_ref().and_then(|id| id.open_id.as_deref());
        let direct = match (is_direct, person) {
            (true, Some(person)) => Some(person),
            (true, None) => return None,
            (false, _) => None,
        };
        Some(ReceivedMessage { chat: message.chat_id.as_deref()?, direct, message: message.message_id.as_deref()? })
    }

    /// Returns whether every id is short enough for the store.
    pub fn has_bounded_ids(&self) -> bool {
        let message = self.received_message();
        let of_message = message.map(|message| [Some(message.chat), message.direct, Some(message.message)]);
        let own = [self.app(), self.event_id(), self.chat(), self.open_message_id.as_deref()];
        are_bounded(own.into_iter().chain(of_message.into_iter().flatten()))
    }

    /// Converts an older card's action to the newer form, the only one that OpenClaw reads.
    pub fn newer_card(&self, app: &str, event_id: &str) -> serde_json::Result<String> {
        // Typed structs with raw values: `serde_json::Value` cannot hold every number that an action may contain.
        serde_json::to_string(&NewerCard {
            schema: "2.0",
            header: NewerHeader {
                event_id,
                event_type: "card.action.trigger",
                app_id: app,
                tenant_key: self.tenant_key.as_deref(),
                token: "",
            },
            event: NewerAction {
                operator: Operator {
                    tenant_key: self.tenant_key.as_deref(),
                    user_id: self.user_id.as_deref(),
                    open_id: self.open_id.as_deref(),
                },
                token: self.token.as_deref(),
                action: self.action,
                host: "im_message",
                context: Place {
                    open_message_id: self.open_message_id.as_deref(),
                    open_chat_id: self.open_chat_id.as_deref(),
                },
            },
        })
    }
}

/// `card.action.trigger`, as Feishu sends it for a newer card.
#[derive(Serialize)]
struct NewerCard<'a> {
    schema: &'a str,
    header: NewerHeader<'a>,
    event: NewerAction<'a>,
}

#[derive(Serialize)]
struct NewerHeader<'a> {
    event_id: &'a str,
    event_type: &'a str,
    app_id: &'a str,
    tenant_key: Option<&'a str>,
    token: &'a str,
}

#[derive(Serialize)]
struct NewerAction<'a> {
    operator: Operator<'a>,
    token: Option<&'a str>,
    action: Option<&'a RawValue>,
    host: &'a str,
    context: Place<'a>,
}

#[derive(Serialize)]
struct Operator<'a> {
    tenant_key: Option<&'a str>,
    user_id: Option<&'a str>,
    open_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Place<'a> {
    open_message_id: Option<&'a str>,
    open_chat_id: Option<&'a str>,
}

/// Blanks the verification token, which must not reach the pool: its holder could forge the app's events.
pub fn without_verification_token(body: &str) -> serde_json::Result<String> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body)?;
    let blank = RawValue::from_string("\"\"".to_owned())?;
    match fields.get_mut("header") {
        Some(header) => {
            let mut of_header: BTreeMap<String, Box<RawValue>> = serde_json::from_str(header.get())?;
            if let Some(token) = of_header.get_mut("token") {
                *token = blank;
            }
            *header = serde_json::value::to_raw_value(&of_header)?;
        }
        None => {
            if let Some(token) = fields.get_mut("token") {
                *token = blank;
            }
        }
    }
    serde_json::to_string(&fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"schema":"2.0","header":{"event_id":"e1","token":"v-token","event_type":"im.message.receive_v1","app_id":"cli_1"},
        "event":{"sender":{"sender_id":{"open_id":"ou_1"},"sender_type":"user"},
        "message":{"message_id":"om_1","chat_id":"oc_1","chat_type":"group","content":"{\"text\":\"1e400 \ud83d\"}","n":1e400}}}"#;

    #[test]
    fn a_message_is_read_and_loses_its_verification_token_alone() {
        let text = portcullis_runtime::json::text::readable(MESSAGE.as_bytes()).unwrap();
        let body = Body::parse(&text).unwrap();
        assert_eq!(
            (body.verification_token(), body.app(), body.event_id()),
            (Some("v-token"), Some("cli_1"), Some("e1"))
        );
        let received = ReceivedMessage { chat: "oc_1", direct: None, message: "om_1" };
        assert_eq!(body.received_message(), Some(received));
        let bare = without_verification_token(&text).unwrap();
        assert!(!bare.contains("v-token") && bare.contains("1e400") && bare.contains(r#""token":"""#), "{bare}");
        assert_eq!(Body::parse(&bare).unwrap().received_message(), body.received_message());
    }

    #[test]
    fn the_person_names_a_direct_chat_and_an_apps_own_message_is_none() {
        let direct = MESSAGE.replace("\"group\"", "\"p2p\"");
        let text = portcullis_runtime::json::text::readable(direct.as_bytes()).unwrap();
        assert_eq!(Body::parse(&text).unwrap().received_message().unwrap().direct, Some("ou_1"));
        let own = text.replace("\"sender_type\":\"user\"", "\"sender_type\":\"app\"");
        assert_eq!(Body::parse(&own).unwrap().received_message(), None);
        let other = text.replace("im.message.receive_v1", "im.message.recalled_v1");
        assert_eq!(Body::parse(&other).unwrap().received_message(), None);
    }

    #[test]
    fn an_older_card_keeps_its_own_token_and_becomes_a_newer_one() {
        let older = r#"{"open_id":"ou_1","user_id":"u1","open_message_id":"om_1","open_chat_id":"oc_1","tenant_key":"t",
            "token":"c-update","action":{"value":{"n":1e400},"tag":"button"}}"#;
        let body = Body::parse(older).unwrap();
        assert!(body.is_older_card());
        assert_eq!((body.verification_token(), body.chat()), (None, Some("oc_1")));
        let newer = body.newer_card("cli_1", "id").unwrap();
        let read = Body::parse(&newer).unwrap();
        assert!(!read.is_older_card());
        assert_eq!((read.event_id(), read.chat(), read.app()), (Some("id"), Some("oc_1"), Some("cli_1")));
        assert!(newer.contains(r#""token":"c-update""#) && newer.contains("1e400"), "{newer}");
    }

    #[test]
    fn a_body_of_another_shape_names_nothing() {
        for odd in [
            "{}",
            r#"{"header":[],"event":"x","encrypt":1}"#,
            r#"{"header":{"token":1,"app_id":{}},"event":{"message":[]}}"#,
            r#"{"type":"url_verification","challenge":7}"#,
        ] {
            let body = Body::parse(odd).unwrap();
            assert_eq!((body.app(), body.event_id(), body.chat()), (None, None, None), "{odd}");
            assert_eq!((body.challenge(), body.received_message(), body.verification_token()), (None, None, None));
            assert!(body.encrypt.is_none() && body.has_bounded_ids());
        }
        for bad in ["", "[]", "null", "{", r#"{"encrypt":"a","encrypt":"b"}"#] {
            assert!(Body::parse(bad).is_none(), "{bad}");
        }
        let long = format!(r#"{{"header":{{"event_id":"{}"}}}}"#, "x".repeat(256));
        assert!(!Body::parse(&long).unwrap().has_bounded_ids());
    }
}
