//! Conversion between an accepted event and a message of the queue.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use portcullis_auth::{BotId, ChannelId};
use portcullis_crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::json::BODY_LIMIT;

/// Size in bytes above which a body is compressed: SQS bills a message by 64 KiB, and compressing smaller bodies saves
/// nothing.
const COMPRESSED_ABOVE: usize = 48 * 1024;

/// An accepted event on its way to its bot's pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedEvent {
    /// Channel for which the event was verified; nothing is looked up again from the body.
    pub channel: ChannelId,
    /// The channel's bot.
    pub bot: BotId,
    /// Id of the request that brought the event, which the pool gets too.
    pub request_id: String,
    /// Idempotency key of the event within our channel.
    pub identity: Digest,
    /// Kind of request, which decides how long a delivery is useful.
    #[serde(default, skip_serializing_if = "EventKind::is_event")]
    pub kind: EventKind,
    /// The conversation of a message event; `None` for other events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageFacts>,
    /// Content type that the platform sent.
    pub content_type: String,
    /// Body of the event, Slack's byte for byte. It travels beside the JSON, not in it.
    #[serde(skip)]
    pub body: Bytes,
}

/// A kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// An event, which is useful however late it is delivered.
    #[default]
    Event,
    /// An interaction, a slash command or a card's action: the means to answer the user expire.
    Invocation,
}

impl EventKind {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_event(&self) -> bool {
        *self == Self::Event
    }
}

/// The conversation of a message event, in the platform's own ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageFacts {
    /// Slack's channel, or Feishu's chat. The JSON keeps the field's first name.
    #[serde(rename = "slackChannel")]
    pub chat: String,
    /// Kind of the conversation.
    pub kind: ConversationKind,
    /// Thread of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Identity of a new message, the same however often and in whatever event type the platform reports it. `None`
    /// for an edit or a deletion, which are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_as: Option<Digest>,
}

/// A kind of conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConversationKind {
    /// A public or private channel.
    Channel,
    /// Slack's group direct message (`mpim`), or Feishu's group.
    Group,
    /// A direct message (Slack's `im`, Feishu's `p2p`) with a person.
    Direct {
        /// Platform's id of the person.
        user: String,
    },
}

/// The queue's message is not an event of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is not an event that this version reads")]
pub struct UnreadableEvent;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<E> {
    event: E,
    /// Whether the payload is compressed (DEFLATE, RFC 1951).
    is_compressed: bool,
}

impl QueuedEvent {
    /// Returns the text and the payload of the queue's message. The text is ASCII: SQS refuses some characters that
    /// JSON and Slack allow, such as U+FFFE. Both fit into a message of SQS, whatever a body of [`BODY_LIMIT`]
    /// contains: UTF-8 text has at most 7.6 bits of entropy per byte.
    ///
    /// # Errors
    /// [`io::Error`], if memory runs out.
    pub fn to_message(&self) -> io::Result<(String, Bytes)> {
        let is_compressed = self.body.len() > COMPRESSED_ABOVE;
        let payload = if is_compressed { deflated(&self.body)? } else { self.body.clone() };
        Ok((to_ascii_json(&Envelope { event: self, is_compressed })?, payload))
    }

    /// Reads a message of the queue.
    ///
    /// # Errors
    /// [`UnreadableEvent`].
    pub fn from_message(text: &str, payload: &Bytes) -> Result<Self, UnreadableEvent> {
        let Envelope { event, is_compressed } =
            serde_json::from_str::<Envelope<Self>>(text).map_err(|_| UnreadableEvent)?;
        let body = if is_compressed { inflated(payload).map_err(|_| UnreadableEvent)? } else { payload.clone() };
        Ok(Self { body, ..event })
    }
}

fn deflated(body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish().map(Bytes::from)
}

fn inflated(payload: &[u8]) -> io::Result<Bytes> {
    let mut body = Vec::new();
    let limit = u64::try_from(BODY_LIMIT).unwrap_or(u64::MAX);
    let read = DeflateDecoder::new(payload).take(limit + 1).read_to_end(&mut body)?;
    if read > BODY_LIMIT { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(body.into()) }
}

/// Writes JSON with every character beyond ASCII escaped.
fn to_ascii_json(value: &impl Serialize) -> io::Result<String> {
    let mut json = Vec::with_capacity(512);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, AsciiFormatter))?;
    String::from_utf8(json).map_err(io::Error::other)
}

struct AsciiFormatter;

impl serde_json::ser::Formatter for AsciiFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for character in fragment.chars() {
            if character.is_ascii() {
                write!(writer, "{character}")?;
                continue;
            }
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limit of an SQS message in bytes, text and payload together. Source: Amazon SQS, "Quotas related to messages".
    const SQS_LIMIT: usize = 1024 * 1024;

    fn event(body: impl Into<Bytes>) -> QueuedEvent {
        QueuedEvent {
            channel: "channel-1".parse().unwrap(),
            bot: "bot-1".parse().unwrap(),
            request_id: "r".repeat(64),
            identity: Digest::of(b"event"),
            kind: EventKind::Invocation,
            message: Some(MessageFacts {
                chat: "\u{fffe}\u{1f600}\"\\\u{0}".to_owned(),
                kind: ConversationKind::Direct { user: "\u{ffff}".repeat(255) },
                thread: Some("\u{10ffff}".repeat(255)),
                counted_as: Some(Digest::of(b"message")),
            }),
            content_type: "application/json".to_owned(),
            body: body.into(),
        }
    }

    /// Draws characters from weighted classes with a fixed seed.
    fn random_text(classes: &[(u32, std::ops::Range<u32>)], bytes: usize) -> String {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |below: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((state >> 33) % u64::from(below)).unwrap()
        };
        let total = classes.iter().map(|(weight, _)| weight).sum();
        let mut text = String::new();
        loop {
            let mut choice = draw(total);
            let mut classes = classes.iter();
            let range = loop {
                let (weight, range) = classes.next().unwrap();
                match choice.checked_sub(*weight) {
                    Some(rest) => choice = rest,
                    None => break range,
                }
            };
            let character = char::from_u32(range.start + draw(range.end - range.start)).unwrap();
            if text.len() + character.len_utf8() > bytes {
                return text;
            }
            text.push(character);
        }
    }

    #[test]
    fn an_event_comes_back_as_it_was_and_its_text_is_ascii() {
        for body in ["{}".to_owned(), "é\u{ffff}".repeat(1_000), "x".repeat(BODY_LIMIT), "字".repeat(BODY_LIMIT / 3)]
        {
            let event = event(body);
            let (text, payload) = event.to_message().unwrap();
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
            assert_eq!(QueuedEvent::from_message(&text, &payload), Ok(event));
        }
    }

    #[test]
    fn a_body_of_1_mib_fits_the_queue_whatever_it_consists_of() {
        let (ascii, two, three, four) = (0x20..0x7f, 0x80..0x800, 0x800..0xd800, 0x1_0000..0x11_0000);
        for classes in [
            vec![(1, ascii.clone())],
            vec![(1, two.clone())],
            vec![(1, three.clone())],
            vec![(1, four.clone())],
            // Nearly uniform byte values, as far as UTF-8 allows.
            vec![(52, ascii.clone()), (24, two.clone())],
            vec![(81, ascii.clone()), (14, two.clone()), (4, three.clone()), (1, four.clone())],
            vec![(52, ascii), (20, two), (3, three), (2, four)],
        ] {
            let (text, payload) = event(random_text(&classes, BODY_LIMIT)).to_message().unwrap();
            assert!(text.len() + payload.len() + 256 < SQS_LIMIT, "{classes:?}: {}", payload.len());
        }
    }

    #[test]
    fn a_payload_that_is_cut_or_too_long_is_not_an_event() {
        let (text, payload) = event("x".repeat(100_000)).to_message().unwrap();
        assert!(QueuedEvent::from_message(&text, &payload.slice(..payload.len() / 2)).is_err());
        let bomb = deflated(&vec![0; BODY_LIMIT + 1]).unwrap();
        assert!(QueuedEvent::from_message(&text, &bomb).is_err());
        assert!(QueuedEvent::from_message("{}", &payload).is_err());
    }
}
