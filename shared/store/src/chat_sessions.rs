//! `chat_sessions`: the conversations that messages were seen in.

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use jiff::{SignedDuration, Timestamp};
use portcullis_auth::BotId;
use portcullis_crypto::Digest;

use crate::{
    Store, StoreError, Table,
    attribute::{attributes, epoch_seconds, names, number, schema, text, time},
    error::{CallError, Condition},
    row::Row,
};

const TABLE: Table = Table::ChatSessions;

/// How long a session is kept after its last message: 90 days.
pub const SESSION_RETENTION: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A message that was seen in a conversation.
#[derive(Clone, Copy, Debug)]
pub struct MessageSeen<'a> {
    /// The bot that it was for.
    pub bot: &'a BotId,
    /// The conversation's key, in lower case.
    pub session_key: &'a str,
    /// `slack`.
    pub channel_type: &'a str,
    /// The platform's own id of the channel that it was written in.
    pub channel_id: Option<&'a str>,
    /// When it was seen.
    pub at: Timestamp,
    /// Its event's identity: the same event seen again is not counted again.
    pub event: Digest,
    /// The session's title where it has none yet.
    pub title: &'a str,
}

/// A session's id: the hex of the SHA-256 over its bot and its key, each behind its length. Two bots never share one.
#[must_use]
pub fn session_id(bot: &BotId, session_key: &str) -> String {
    Digest::of_parts(&[bot.as_str().as_bytes(), session_key.as_bytes()]).to_hex()
}

/// What became of an attempt to count a message.
enum Counted {
    Yes,
    /// It had been counted.
    Before,
    /// The session is past its retention, though its row is still there.
    SessionExpired,
}

/// A session that expires between our looking and our writing was touched by another message, so that one more try
/// finds it alive.
const TRIES: usize = 3;

impl Store {
    /// Counts a message in its session, which is made where there is none or it has expired. An event that was the
    /// session's last one already is not counted again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_message(&self, message: &MessageSeen<'_>) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            match self.count_message(message).await? {
                Counted::Yes | Counted::Before => return Ok(()),
                Counted::SessionExpired => self.delete_expired_session(message).await?,
            }
        }
        Err(StoreError::unavailable("a session keeps changing"))
    }

    async fn count_message(&self, message: &MessageSeen<'_>) -> Result<Counted, StoreError> {
        let now = self.now();
        let event = message.event.to_hex();
        let mut update = "SET #schema = :schema, #bot = :bot, #sessionKey = :sessionKey, #channelType = :channelType, \
            #title = if_not_exists(#title, :title), #status = if_not_exists(#status, :active), \
            #createdAt = if_not_exists(#createdAt, :now), #updatedAt = :now, #lastMessageAt = :at, \
            #lastEvent = :event, #expiresAt = :expiresAt"
            .to_owned();
        let condition = "attribute_not_exists(#id) OR (#schema = :schema AND #expiresAt > :nowSeconds \
            AND (attribute_not_exists(#lastEvent) OR #lastEvent <> :event))";
        let mut values = attributes([
            (":schema", schema()),
            (":bot", text(message.bot)),
            (":sessionKey", text(message.session_key)),
            (":channelType", text(message.channel_type)),
            (":title", text(message.title)),
            (":active", text("active")),
            (":now", time(now)),
            (":nowSeconds", epoch_seconds(now)),
            (":at", time(message.at)),
            (":event", text(&event)),
            (":expiresAt", epoch_seconds(now.saturating_add(SESSION_RETENTION).unwrap_or(now))),
            (":one", number(1)),
        ]);
        if let Some(channel) = message.channel_id {
            update.push_str(", #channelId = :channelId");
            values.extend(attributes([(":channelId", text(channel))]));
        }
        update.push_str(" ADD #messageCount :one");
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("id", text(session_id(message.bot, message.session_key)))
            .set_expression_attribute_names(names(&[&update, condition]))
            .set_expression_attribute_values(Some(values))
            .update_expression(update)
            .condition_expression(condition)
            .return_values_on_condition_check_failure(AllOld);
        match self.call(|| request.clone().send()).await {
            Ok(_) => Ok(Counted::Yes),
            Err(CallError::Conditions(conditions)) => why_not(&conditions, now),
            Err(CallError::Store(error)) => Err(error),
        }
    }

    /// Deletes the session's row where it is past its retention: its count and title are those of an older session.
    async fn delete_expired_session(&self, message: &MessageSeen<'_>) -> Result<(), StoreError> {
        let condition = "#schema = :schema AND #expiresAt <= :nowSeconds";
        let request = self
            .client()
            .delete_item()
            .table_name(self.table_name(TABLE))
            .key("id", text(session_id(message.bot, message.session_key)))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":schema", schema())
            .expression_attribute_values(":nowSeconds", epoch_seconds(self.now()));
        match self.call(|| request.clone().send()).await {
            Ok(_) | Err(CallError::Conditions(_)) => Ok(()),
            Err(CallError::Store(error)) => Err(error),
        }
    }
}

fn why_not(conditions: &[Condition], now: Timestamp) -> Result<Counted, StoreError> {
    // Without a row the next try makes one.
    let Some(Condition::Failed(Some(item))) = conditions.first() else { return Ok(Counted::SessionExpired) };
    let is_live = Row::new(TABLE, item)?.parsed::<i64>("expiresAt")? > now.as_second();
    Ok(if is_live { Counted::Before } else { Counted::SessionExpired })
}
