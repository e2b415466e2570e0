//! Counting messages in their sessions.

use jiff::Timestamp;
use portcullis_auth::BotId;
use portcullis_crypto::Digest;

use super::{Session, TABLE, expiry, session_id, write::Known};
use crate::{
    Store, StoreError,
    attribute::{attributes, epoch_seconds, names, number, schema, text, time},
    backoff::Backoff,
    error::CallError,
};

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
    pub channel_id: &'a str,
    /// When it was seen.
    pub at: Timestamp,
    /// Its event's identity: the same event seen again is not counted again.
    pub event: Digest,
    /// The session's title until a better one is known.
    pub title: &'a str,
}

impl Store {
    /// Counts a message in its session, which is made where there is none or it has expired. An event that was the
    /// session's last one already is not counted again. One call for a session that is known, three for another.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_message(&self, message: &MessageSeen<'_>) -> Result<(), StoreError> {
        if self.count_in_known_session(message).await? {
            return Ok(());
        }
        let mut backoff = Backoff::of_race();
        loop {
            let row = self.get_row(TABLE, [("id", text(session_id(message.bot, message.session_key)))]).await?;
            let known = Known::new(row.as_ref(), self)?;
            if known.live.as_ref().is_some_and(|session| session.last_event == Some(message.event)) {
                return Ok(());
            }
            let session = with_message(known.live.clone(), message, self.now());
            if self.replace_session(&known, session).await?.is_some() {
                return Ok(());
            }
            self.wait_after_race(&mut backoff).await?;
        }
    }

    /// Counts a message in a session that is there and stays found; `false`, and nothing is done, in another.
    async fn count_in_known_session(&self, message: &MessageSeen<'_>) -> Result<bool, StoreError> {
        let now = self.now();
        let update = "SET #updatedAt = :now, #lastMessageAt = :at, #lastEvent = :event, #expiresAt = :expiresAt \
            ADD #messageCount :one, #revision :one";
        let condition = "#schema = :schema AND #expiresAt > :nowSeconds AND #foundUntil >= :expiresAt \
            AND #channelType = :channelType AND #channelId = :channelId \
            AND (attribute_not_exists(#lastEvent) OR #lastEvent <> :event)";
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("id", text(session_id(message.bot, message.session_key)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":now", time(now)),
                (":nowSeconds", epoch_seconds(now)),
                (":at", time(message.at)),
                (":event", text(message.event.to_hex())),
                (":expiresAt", epoch_seconds(expiry(now))),
                (":channelType", text(message.channel_type)),
                (":channelId", text(message.channel_id)),
                (":one", number(1)),
            ])));
        match self.call(|| request.clone().send()).await {
            Ok(_) => Ok(true),
            Err(CallError::Conditions(_)) => Ok(false),
            Err(CallError::Store(error)) => Err(error),
        }
    }
}

fn with_message(known: Option<Session>, message: &MessageSeen<'_>, now: Timestamp) -> Session {
    let mut session = known.unwrap_or_else(|| Session {
        title_is_provisional: true,
        ..Session::empty(message.bot, message.session_key, message.title, now)
    });
    session.channel_type = Some(message.channel_type.to_owned());
    session.channel_id = Some(message.channel_id.to_owned());
    session.last_message_at = Some(message.at);
    session.last_event = Some(message.event);
    session.message_count += 1;
    session
}
