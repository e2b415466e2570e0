//! Counts messages in their sessions.

use std::fmt::Write as _;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use portcullis_auth::BotId;
use portcullis_contract::SafeInteger;
use portcullis_crypto::Digest;

use super::{Session, TABLE, expiry, session_id, write::Known};
use crate::{
    BotReach, Store, StoreError,
    attribute::{attributes, epoch_seconds, names, number, schema, text, time},
    backoff::Backoff,
    error::CallError,
};

/// Latest messages that a session remembers for deduplication. Slack reports one mention as `message` and as
/// `app_mention`, which arrive close together, and others may arrive between the two.
pub(super) const REMEMBERED: usize = 8;

/// A message event of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct MessageSeen<'a> {
    /// Bot that it was for.
    pub bot: &'a BotId,
    /// Key of the conversation, in lower case.
    pub session_key: &'a str,
    /// `slack`.
    pub channel_type: &'a str,
    /// The platform's own id of its channel.
    pub channel_id: &'a str,
    /// Time at which it was seen.
    pub at: Timestamp,
    /// Deduplication key of a new message; `None` for an edit or a deletion, which are not counted.
    pub counted_as: Option<Digest>,
    /// Placeholder title, for a session that is new.
    pub title: &'a str,
}

/// Stored form of a deduplication key: half of the digest, since a session's row is written with each message.
pub(super) fn remembered(message: Digest) -> String {
    let mut hex = message.to_hex();
    hex.truncate(16);
    hex
}

impl Store {
    /// Records a message event in its session, which is created if it is missing or has expired. A message among the
    /// session's last 8 is not counted again. One call for a known session, three for another.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_message(&self, message: &MessageSeen<'_>) -> Result<(), StoreError> {
        if self.record_in_known_session(message).await? {
            return Ok(());
        }
        let mut backoff = Backoff::of_race();
        loop {
            let row = self.get_row(TABLE, [("id", text(session_id(message.bot, message.session_key)))]).await?;
            let known = Known::new(row.as_ref(), self)?;
            let counted_as = message.counted_as.map(remembered);
            let is_known =
                |session: &Session| counted_as.as_ref().is_some_and(|it| session.latest_messages.contains(it));
            if known.live.as_ref().is_some_and(is_known) {
                return Ok(());
            }
            let session = with_message(known.live.clone(), message, self.now());
            if self.replace_session(BotReach::Any, &known, session, None).await?.is_some() {
                return Ok(());
            }
            self.wait_after_race(&mut backoff).await?;
        }
    }

    /// Records a message in a live session whose look-up rows last long enough; otherwise does nothing and returns
    /// `false`.
    async fn record_in_known_session(&self, message: &MessageSeen<'_>) -> Result<bool, StoreError> {
        let now = self.now();
        let mut set = "SET #updatedAt = :now, #lastMessageAt = :at, #expiresAt = :expiresAt".to_owned();
        let mut add = "ADD #revision :one".to_owned();
        let mut condition = "#schema = :schema AND #expiresAt > :nowSeconds AND #foundUntil >= :expiresAt \
            AND #channelType = :channelType AND #channelId = :channelId"
            .to_owned();
        let mut values = attributes([
            (":schema", schema()),
            (":now", time(now)),
            (":nowSeconds", epoch_seconds(now)),
            (":at", time(message.at)),
            (":expiresAt", epoch_seconds(expiry(now))),
            (":channelType", text(message.channel_type)),
            (":channelId", text(message.channel_id)),
            (":one", number(1)),
        ]);
        if let Some(counted_as) = message.counted_as {
            // Each element takes its predecessor's old value: DynamoDB reads the whole right side before it writes.
            set.push_str(", #latestMessages[0] = :message");
            for place in 1..REMEMBERED {
                // Writing to a string does not fail.
                let _ = write!(set, ", #latestMessages[{place}] = #latestMessages[{}]", place - 1);
            }
            add.push_str(", #messageCount :one");
            condition.push_str(" AND NOT contains(#latestMessages, :message) AND #messageCount < :maximum");
            values.insert(":maximum".to_owned(), number(SafeInteger::MAXIMUM));
            values.insert(":message".to_owned(), text(remembered(counted_as)));
        }
        let update = format!("{set} {add}");
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("id", text(session_id(message.bot, message.session_key)))
            .set_expression_attribute_names(names(&[&update, &condition]))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values));
        match self.call(|| request.clone().send()).await {
            Ok(_) => Ok(true),
            Err(CallError::Conditions(_)) => Ok(false),
            Err(CallError::Store(error)) => Err(error),
        }
    }
}

/// List for the row: always [`REMEMBERED`] long, since one update cannot both shift and lengthen it.
pub(super) fn latest_messages(known: &[String]) -> AttributeValue {
    let padding = std::iter::repeat_n(String::new(), REMEMBERED.saturating_sub(known.len()));
    let all = known.iter().take(REMEMBERED).cloned().chain(padding);
    AttributeValue::L(all.map(AttributeValue::S).collect())
}

fn with_message(known: Option<Session>, message: &MessageSeen<'_>, now: Timestamp) -> Session {
    let mut session = known.unwrap_or_else(|| Session {
        title_is_provisional: true,
        ..Session::empty(message.bot, message.session_key, message.title, now)
    });
    session.channel_type = Some(message.channel_type.to_owned());
    session.channel_id = Some(message.channel_id.to_owned());
    session.last_message_at = Some(message.at);
    if let Some(counted_as) = message.counted_as {
        session.latest_messages.insert(0, remembered(counted_as));
        session.message_count = session.message_count.saturating_add(1).min(SafeInteger::MAXIMUM);
    }
    session
}
