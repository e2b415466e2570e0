//! Look-up rows: one row for each channel or person, with the keys of its sessions.

use std::str::FromStr;

use aws_sdk_dynamodb::types::{Put, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem, Update};
use jiff::Timestamp;
use portcullis_auth::BotId;
use portcullis_crypto::Digest;

use super::{SESSION_RETENTION, TABLE, THREAD};
use crate::{
    Store, StoreError,
    attribute::{Item, SCHEMA, attributes, epoch_seconds, names, number, schema, size, text, text_set},
    batch::RowKey,
    row::Row,
    store::built,
};

/// Most keys of a look-up row; the second makes it ambiguous already.
const MAXIMUM_KEYS: usize = 16;

/// Chat of a conversation, as a skill names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatId {
    /// `channel:<id>`: a channel, by the platform's own id.
    Channel(String),
    /// `user:<id>`: a person's direct messages.
    User(String),
}

/// Error: not a chat's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chatId must start with user: or channel:")]
pub struct InvalidChatId;

impl FromStr for ChatId {
    type Err = InvalidChatId;

    fn from_str(text: &str) -> Result<Self, InvalidChatId> {
        let (kind, id) = text.split_once(':').filter(|(_, id)| !id.is_empty()).ok_or(InvalidChatId)?;
        match kind {
            "channel" => Ok(Self::Channel(id.to_lowercase())),
            "user" => Ok(Self::User(id.to_lowercase())),
            _ => Err(InvalidChatId),
        }
    }
}

/// Session that a chat resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Key of the one session.
    One(String),
    /// No session.
    None,
    /// Several sessions.
    Several,
}

/// Id of the look-up row of a bot and a chat.
fn row_id(bot: &BotId, chat: &ChatId) -> String {
    let (kind, id) = match chat {
        ChatId::Channel(id) => ("channel", id),
        ChatId::User(id) => ("user", id),
    };
    let digest = Digest::of_parts(&[bot.as_str().as_bytes(), kind.as_bytes(), id.to_lowercase().as_bytes()]);
    format!("lookUp#{}", digest.to_hex())
}

/// Key of the look-up row of a bot and a chat.
pub(crate) fn look_up_key(bot: &BotId, chat: &ChatId) -> RowKey {
    RowKey::new(TABLE, [&row_id(bot, chat)])
}

/// Resolves a look-up row to a session, of `channel_type` if given. A person without a session of their own gets the
/// bot's main one.
pub(crate) fn resolve(
    bot: &BotId,
    chat: &ChatId,
    channel_type: Option<&str>,
    item: Option<&Item>,
    now: Timestamp,
) -> Result<Resolution, StoreError> {
    let mut keys = item.map(|item| live_keys(item, now)).transpose()?.unwrap_or_default();
    if let Some(channel_type) = channel_type {
        let prefixes = bot.agent_ids().map(|agent| format!("agent:{agent}:{channel_type}:").to_lowercase());
        keys.retain(|key| prefixes.iter().any(|prefix| key.starts_with(prefix)));
    }
    Ok(match (keys.pop(), keys.is_empty(), chat) {
        (Some(key), true, _) => Resolution::One(key),
        (Some(_), false, _) => Resolution::Several,
        (None, _, ChatId::User(_)) => Resolution::One(format!("agent:{}:main", bot.agent_id([]))),
        (None, _, ChatId::Channel(_)) => Resolution::None,
    })
}

fn live_keys(item: &Item, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let row = Row::new(TABLE, item)?;
    if row.parsed::<i64>("expiresAt")? <= now.as_second() {
        return Ok(Vec::new());
    }
    row.set("keys")
}

/// Chats that find a session: the one that its key names, and its channel.
pub(super) fn chats(session_key: &str, channel_id: Option<&str>) -> Vec<ChatId> {
    let mut chats: Vec<_> = channel_id.map(|id| ChatId::Channel(id.to_lowercase())).into_iter().collect();
    // Forms: agent:<bot>:<platform>:<kind>:<id>, or without the platform; a bot's id may hold colons itself.
    let base = base_key(session_key);
    let named = |kind: &str| base.rsplit_once(&format!(":{kind}:")).map(|(_, id)| id.to_owned());
    let by_key = match (named("direct"), named("channel").or_else(|| named("group"))) {
        (Some(person), _) => Some(ChatId::User(person)),
        (None, Some(channel)) => Some(ChatId::Channel(channel)),
        (None, None) => None,
    };
    chats.extend(by_key.filter(|chat| !chats.contains(chat)));
    chats
}

/// A session's key without its thread's suffix.
pub(super) fn base_key(session_key: &str) -> &str {
    session_key.split_once(THREAD).map_or(session_key, |(base, _)| base)
}

/// End of the look-up rows that are written now: twice a session's retention, so that each is renewed only after a
/// whole retention.
pub(super) fn kept_until(now: Timestamp) -> i64 {
    now.saturating_add(SESSION_RETENTION * 2).unwrap_or(now).as_second()
}

/// Way of writing a look-up row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookUpWrite {
    /// Adds the key to the row.
    Add,
    /// Replaces the row: it has expired, and its keys are those of older sessions.
    Replace,
    /// Leaves the row alone: it is full, so it resolves to no session.
    Omit,
}

impl LookUpWrite {
    /// Way of the next try, after the condition on this row failed.
    pub(super) fn after_failure(item: Option<&Item>, now: Timestamp) -> Result<Self, StoreError> {
        let Some(item) = item.filter(|item| !item.is_empty()) else { return Ok(Self::Add) };
        let is_live = Row::new(TABLE, item)?.parsed::<i64>("expiresAt")? > now.as_second();
        Ok(if is_live { Self::Omit } else { Self::Replace })
    }
}

impl Store {
    /// Action that adds a session's key to a look-up row, at least until `until`.
    pub(super) fn write_look_up(
        &self,
        bot: &BotId,
        chat: &ChatId,
        session_key: &str,
        until: i64,
        writing: LookUpWrite,
    ) -> Result<Option<TransactWriteItem>, StoreError> {
        let (id, key) = (row_id(bot, chat), base_key(session_key));
        match writing {
            LookUpWrite::Add => self.add_to_look_up(&id, key, until).map(Some),
            LookUpWrite::Replace => self.replace_look_up(&id, key, until).map(Some),
            LookUpWrite::Omit => Ok(None),
        }
    }

    fn add_to_look_up(&self, id: &str, key: &str, until: i64) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #schema = :schema, #expiresAt = :until ADD #keys :keys";
        let condition = "attribute_not_exists(#id) OR (#schema = :schema AND #expiresAt > :now \
            AND (size(#keys) < :maximum OR contains(#keys, :key)))";
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(id))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":now", epoch_seconds(self.now())),
                (":until", number(until)),
                (":key", text(key)),
                (":keys", text_set([key])),
                (":maximum", size(MAXIMUM_KEYS)),
            ])))
            .return_values_on_condition_check_failure(AllOld);
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    fn replace_look_up(&self, id: &str, key: &str, until: i64) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#id) OR #expiresAt <= :now";
        let row =
            attributes([(SCHEMA, schema()), ("id", text(id)), ("keys", text_set([key])), ("expiresAt", number(until))]);
        let put = Put::builder()
            .table_name(self.table_name(TABLE))
            .set_item(Some(row))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":now", epoch_seconds(self.now()));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_by_its_channel_and_by_what_its_key_names() {
        let (channel, user) = (|id: &str| ChatId::Channel(id.to_owned()), |id: &str| ChatId::User(id.to_owned()));
        assert_eq!(chats("agent:b:slack:channel:c1", Some("C1")), [channel("c1")]);
        assert_eq!(chats("agent:b:slack:channel:c1:thread:17.1", None), [channel("c1")]);
        assert_eq!(chats("agent:b:slack:direct:u1:thread:17.1", Some("D1")), [channel("d1"), user("u1")]);
        assert_eq!(chats("agent:b:feishu:group:g1", None), [channel("g1")]);
        assert_eq!(chats("agent:b:main", None), []);
    }

    #[test]
    fn a_chats_id_is_a_channel_or_a_person() {
        assert_eq!("channel:C1".parse(), Ok(ChatId::Channel("c1".to_owned())));
        assert_eq!("user:U:1".parse(), Ok(ChatId::User("u:1".to_owned())));
        for wrong in ["", "user", "user:", "group:G1", "CHANNEL:C1"] {
            assert_eq!(wrong.parse::<ChatId>(), Err(InvalidChatId), "{wrong}");
        }
    }
}
