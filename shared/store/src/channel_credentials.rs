//! `channel_credentials`: the sealed tokens and secrets of connected channels.

use std::time::Duration;

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, TransactWriteItem, Update};
use jiff::Timestamp;
use portcullis_auth::{ChannelId, SigningSecret};
use portcullis_crypto::{Cell, Domain};
use secrecy::SecretString;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, attributes, epoch_seconds, names, number, schema, text, time},
    row::Row,
    store::built,
};

const TABLE: Table = Table::ChannelCredentials;

/// Kind of a channel's credential; the sort key.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Slack's or Discord's bot token, or Feishu's app secret.
    BotToken,
    /// Verifies incoming events: the signing secret of a customer's own Slack app, or a Feishu app's verification token
    /// and encrypt key. The platform's own Slack app stores none here.
    SigningSecret,
    /// Signs our deliveries to the pool.
    DeliverySecret,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::BotToken, Self::SigningSecret, Self::DeliverySecret];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BotToken => "bot_token",
            Self::SigningSecret => "signing_secret",
            Self::DeliverySecret => "delivery_secret",
        }
    }

    pub(crate) fn domain(self) -> Domain {
        match self {
            Self::BotToken => Domain::Configuration,
            Self::SigningSecret => Domain::SigningSecrets,
            Self::DeliverySecret => Domain::DeliverySecrets,
        }
    }
}

/// Cell that a credential's value is sealed for.
pub(crate) fn cell(channel: &ChannelId, kind: Kind) -> Cell<'_> {
    Cell { table: TABLE.name(), partition_key: channel.as_str(), sort_key: Some(kind.as_str()), attribute: "value" }
}

fn key(channel: &ChannelId, kind: Kind) -> Item {
    attributes([("channel", text(channel)), ("kind", text(kind.as_str()))])
}

/// Token of a bot on its platform.
#[derive(Clone, Debug)]
pub struct BotToken {
    /// Secret text of the token.
    pub value: SecretString,
    /// Rotation data; `None` for a token that does not expire.
    pub rotation: Option<Rotation>,
}

/// Rotation data of a token that expires.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Refresh token: the platform gives the next token for it.
    pub refresh_token: SecretString,
    /// End of the token.
    pub ends_at: Timestamp,
}

impl BotToken {
    /// Builds a token as its platform issued it, with its lifetime from `now` on and its refresh token, if it expires.
    #[must_use]
    pub fn issued(value: SecretString, rotation: Option<(Duration, SecretString)>, now: Timestamp) -> Self {
        let rotation = rotation.map(|(life, refresh_token)| Rotation {
            refresh_token,
            ends_at: now.saturating_add(life).unwrap_or(Timestamp::MAX),
        });
        Self { value, rotation }
    }
}

impl<T: Into<SecretString>> From<T> for BotToken {
    fn from(value: T) -> Self {
        Self { value: value.into(), rotation: None }
    }
}

/// Cell that a refresh token is sealed for.
pub(crate) fn refresh_token_cell(channel: &ChannelId) -> Cell<'_> {
    Cell { attribute: "refreshToken", ..cell(channel, Kind::BotToken) }
}

impl Store {
    /// Condition that a channel's bot token has this revision.
    pub(crate) fn check_bot_token(&self, channel: &ChannelId, revision: u64) -> Result<TransactWriteItem, StoreError> {
        let condition = "#revision = :revision";
        let check = ConditionCheck::builder()
            .table_name(self.table_name(TABLE))
            .key("channel", text(channel))
            .key("kind", text(Kind::BotToken.as_str()))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":revision", number(revision));
        Ok(TransactWriteItem::builder().condition_check(built(check.build())?).build())
    }

    /// Action that seals a credential, with the next revision.
    pub(crate) fn seal_credential(
        &self,
        channel: &ChannelId,
        kind: Kind,
        secret: &SecretString,
    ) -> Result<TransactWriteItem, StoreError> {
        self.seal_by(SEAL, channel, kind, secret)
    }

    /// Action that seals a credential if the channel lacks one of this kind; an existing one stays as it is.
    pub(crate) fn seal_missing_credential(
        &self,
        channel: &ChannelId,
        kind: Kind,
        secret: &SecretString,
    ) -> Result<TransactWriteItem, StoreError> {
        self.seal_by(SEAL_MISSING, channel, kind, secret)
    }

    fn seal_by(
        &self,
        update: &str,
        channel: &ChannelId,
        kind: Kind,
        secret: &SecretString,
    ) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#channel) OR #schema = :schema";
        let mut values = attributes([
            (":schema", schema()),
            (":value", self.seal(kind.domain(), &cell(channel, kind), secret)?),
            (":now", time(self.now())),
            (":start", number(self.first_revision())),
        ]);
        if update == SEAL {
            values.extend(attributes([(":one", number(1))]));
        }
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .set_key(Some(key(channel, kind)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(values));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    /// Random first revision of a credential, so that no revision names two values, even where a channel was deleted
    /// and connected anew under its id.
    pub(crate) fn first_revision(&self) -> u64 {
        let mut bytes = [0; 6];
        self.randomness().fill(&mut bytes);
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Action that cancels a credential's expiry, on the condition that it has not expired.
    pub(crate) fn keep_credential(&self, channel: &ChannelId, kind: Kind) -> Result<TransactWriteItem, StoreError> {
        let update = "REMOVE #expiresAt";
        let condition = "attribute_exists(#value) AND (attribute_not_exists(#expiresAt) OR #expiresAt > :now)";
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .set_key(Some(key(channel, kind)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .expression_attribute_values(":now", epoch_seconds(self.now()));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    /// Action that deletes a credential, if it exists.
    pub(crate) fn delete_credential(&self, channel: &ChannelId, kind: Kind) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder().table_name(self.table_name(TABLE)).set_key(Some(key(channel, kind)));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }

    /// Action that deletes a credential's value, on the condition that it is absent or was sealed before `time_of_end`.
    /// The row stays with its revision, so that no revision ever names two values.
    pub(crate) fn delete_value_sealed_before(
        &self,
        channel: &ChannelId,
        kind: Kind,
        time_of_end: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #schema = :schema REMOVE #value, #refreshToken, #endsAt, #refreshAt";
        let condition = "attribute_not_exists(#updatedAt) OR #updatedAt < :end";
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .set_key(Some(key(channel, kind)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([(":schema", schema()), (":end", time(time_of_end))])));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    /// Action that lets a credential expire at a time.
    pub(crate) fn expire_credential(
        &self,
        channel: &ChannelId,
        kind: Kind,
        ends: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        // For an absent credential this writes a row without a value, which counts as absent and expires as well.
        let update = "SET #schema = :schema, #expiresAt = :ends";
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .set_key(Some(key(channel, kind)))
            .update_expression(update)
            .set_expression_attribute_names(names(&[update]))
            .set_expression_attribute_values(Some(attributes([(":schema", schema()), (":ends", epoch_seconds(ends))])));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    /// Returns the row of a live credential: `None` where it has expired, though TTL may not have deleted it yet, or
    /// has lost its value.
    pub(crate) fn unexpired(&self, item: Item) -> Result<Option<Item>, StoreError> {
        let row = Row::new(TABLE, &item)?;
        let has_ended = row.optional_parsed::<i64>("expiresAt")?.is_some_and(|ends| ends <= self.now().as_second());
        let counts = row.has("value") && !has_ended;
        Ok(counts.then_some(item))
    }

    /// Reads the row of one of a channel's credentials, still sealed.
    pub(crate) async fn credential_row(&self, channel: &ChannelId, kind: Kind) -> Result<Option<Item>, StoreError> {
        self.get_row(TABLE, [("channel", text(channel)), ("kind", text(kind.as_str()))]).await
    }

    /// Opens a signing credential.
    pub(crate) async fn open_signing_secret(
        &self,
        channel: &ChannelId,
        kind: Kind,
        item: &Item,
    ) -> Result<SigningSecret, StoreError> {
        self.open_credential(channel, kind, item).await.map(SigningSecret::new)
    }

    /// Opens a credential.
    pub(crate) async fn open_credential(
        &self,
        channel: &ChannelId,
        kind: Kind,
        item: &Item,
    ) -> Result<SecretString, StoreError> {
        let sealed = Row::new(TABLE, item)?.bytes("value")?;
        self.opener().open(kind.domain(), TABLE.name(), &cell(channel, kind), sealed).await
    }
}

// A replaced credential no longer expires.
pub(crate) const SEAL: &str = "SET #schema = :schema, #value = :value, #updatedAt = :now, \
    #revision = if_not_exists(#revision, :start) + :one REMOVE #expiresAt, #refreshToken, #endsAt, #refreshAt";

const SEAL_MISSING: &str = "SET #schema = if_not_exists(#schema, :schema), #value = if_not_exists(#value, :value), \
    #updatedAt = if_not_exists(#updatedAt, :now), #revision = if_not_exists(#revision, :start)";
