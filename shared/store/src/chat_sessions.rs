//! `chat_sessions`: conversations with bots.
//!
//! A session's row is replaced whole, on the condition that its `revision` is the one that was read. Beside the
//! sessions lie look-up rows ([`look_ups`]), which find a session by its channel or its person.

mod list;
mod look_ups;
mod messages;
mod metadata;
mod titles;
mod upsert;
mod write;

use jiff::{SignedDuration, Timestamp};
use portcullis_auth::BotId;
use portcullis_contract::words;
use portcullis_crypto::Digest;

use crate::{
    StoreError, Table,
    attribute::{Item, SCHEMA, attributes, epoch_seconds, number, schema, text, time},
    row::Row,
};
pub use list::SessionFilter;
pub use look_ups::{ChatId, InvalidChatId, Resolution};
pub(crate) use look_ups::{look_up_key, resolve};
pub use messages::MessageSeen;
pub use upsert::{NewSession, SessionChange, SessionError};

const TABLE: Table = Table::ChatSessions;

/// Retention of a session after its last write: 90 days.
pub const SESSION_RETENTION: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Separator between a conversation's key and a thread's id.
const THREAD: &str = ":thread:";

/// Returns a session's id: the hex of the SHA-256 over its bot and its key, each behind its length. Two bots never
/// share one.
#[must_use]
pub fn session_id(bot: &BotId, session_key: &str) -> String {
    Digest::of_parts(&[bot.as_str().as_bytes(), session_key.as_bytes()]).to_hex()
}

words! {
    /// Status of a conversation.
    pub enum SessionStatus {
        /// It goes on.
        Active = "active",
        /// It has ended.
        Ended = "ended",
    }
}

/// A conversation as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Id, as [`session_id`] derives it.
    pub id: String,
    /// Bot of the conversation.
    pub bot: BotId,
    /// Session key, in lower case.
    pub session_key: String,
    /// Chat platform.
    pub channel_type: Option<String>,
    /// The platform's own id of its channel.
    pub channel_id: Option<String>,
    /// Title that people read.
    pub title: String,
    /// Whether the title is a placeholder.
    pub title_is_provisional: bool,
    /// Status of the conversation.
    pub status: SessionStatus,
    /// Number of messages.
    pub message_count: u64,
    /// Time of the last message.
    pub last_message_at: Option<Timestamp>,
    /// Opaque JSON of its runtime, where it was read: it lies in a row of its own.
    pub metadata: Option<String>,
    /// Time of its start.
    pub created_at: Timestamp,
    /// Time of its row's last change.
    pub updated_at: Timestamp,
    /// Latest counted messages, the newest first, for deduplication.
    latest_messages: Vec<String>,
    /// Whether its metadata has a row.
    keeps_metadata: bool,
    /// Optimistic lock: raised with each change of the row.
    revision: u64,
    /// Earliest end of its look-up rows, in seconds since the Unix epoch.
    found_until: i64,
}

impl Session {
    /// A new session with only its bot, key and title.
    fn empty(bot: &BotId, session_key: &str, title: &str, now: Timestamp) -> Self {
        Self {
            id: session_id(bot, session_key),
            bot: bot.clone(),
            session_key: session_key.to_owned(),
            channel_type: None,
            channel_id: None,
            title: title.to_owned(),
            title_is_provisional: false,
            status: SessionStatus::Active,
            message_count: 0,
            last_message_at: None,
            metadata: None,
            created_at: now,
            updated_at: now,
            latest_messages: Vec::new(),
            keeps_metadata: false,
            revision: 0,
            found_until: 0,
        }
    }

    fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        Ok(Self {
            id: row.text("id")?.to_owned(),
            bot: row.parsed("bot")?,
            session_key: row.text("sessionKey")?.to_owned(),
            channel_type: row.optional_text("channelType")?.map(str::to_owned),
            channel_id: row.optional_text("channelId")?.map(str::to_owned),
            title: row.text("title")?.to_owned(),
            title_is_provisional: row.has("titleIsProvisional"),
            status: row.parsed("status")?,
            message_count: row.parsed("messageCount")?,
            last_message_at: row.optional_parsed("lastMessageAt")?,
            metadata: None,
            created_at: row.time("createdAt")?,
            updated_at: row.time("updatedAt")?,
            // An index does not hold them.
            latest_messages: if row.has("latestMessages") { row.texts("latestMessages")? } else { Vec::new() },
            keeps_metadata: row.has("keepsMetadata"),
            revision: row.parsed("revision")?,
            found_until: row.parsed("foundUntil")?,
        })
    }

    /// Session of a row; `None` where it is past its retention, though its row may still exist.
    fn live(item: &Item, now: Timestamp) -> Result<Option<Self>, StoreError> {
        let expires_at: i64 = Row::new(TABLE, item)?.parsed("expiresAt")?;
        if expires_at > now.as_second() { Self::from_item(item).map(Some) } else { Ok(None) }
    }

    fn to_item(&self, now: Timestamp) -> Item {
        let mut item = attributes([
            (SCHEMA, schema()),
            ("id", text(&self.id)),
            ("bot", text(&self.bot)),
            ("sessionKey", text(&self.session_key)),
            ("title", text(&self.title)),
            ("status", text(self.status)),
            ("messageCount", number(self.message_count)),
            ("createdAt", time(self.created_at)),
            ("updatedAt", time(self.updated_at)),
            ("revision", number(self.revision)),
            ("foundUntil", number(self.found_until)),
            ("latestMessages", messages::latest_messages(&self.latest_messages)),
            ("expiresAt", epoch_seconds(expiry(now))),
        ]);
        let optional = [
            ("channelType", self.channel_type.as_ref().map(text)),
            ("channelId", self.channel_id.as_ref().map(text)),
            ("titleIsProvisional", self.title_is_provisional.then(|| number(1))),
            ("lastMessageAt", self.last_message_at.map(time)),
            ("keepsMetadata", self.keeps_metadata.then(|| number(1))),
        ];
        item.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        item
    }
}

fn expiry(now: Timestamp) -> Timestamp {
    now.saturating_add(SESSION_RETENTION).unwrap_or(now)
}
