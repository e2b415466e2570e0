//! `channel_credentials`: what a connected channel is spoken to and verified with, sealed.

use aws_sdk_dynamodb::types::{ConditionCheck, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem, Update};
use portcullis_auth::{ChannelId, SigningSecret};
use portcullis_crypto::Cell;
use secrecy::SecretString;

use crate::{
    ChannelError, Store, StoreError, Table,
    attribute::{Item, attributes, names, number, schema, text, time},
    error::CallError,
    row::Row,
    store::built,
};

const TABLE: Table = Table::ChannelCredentials;

/// Which of a channel's credentials; the sort key.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    BotToken,
    /// What Slack signs with: it verifies what comes in.
    SigningSecret,
    /// What we sign with towards the pool.
    DeliverySecret,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BotToken => "bot_token",
            Self::SigningSecret => "signing_secret",
            Self::DeliverySecret => "delivery_secret",
        }
    }
}

/// Where a credential's value is: what it is sealed for.
pub(crate) fn cell(channel: &ChannelId, kind: Kind) -> Cell<'_> {
    Cell { table: TABLE.name(), partition_key: channel.as_str(), sort_key: Some(kind.as_str()), attribute: "value" }
}

fn key(channel: &ChannelId, kind: Kind) -> Item {
    attributes([("channel", text(channel)), ("kind", text(kind.as_str()))])
}

impl Store {
    /// The condition that a channel's bot token is the one of this revision.
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

    /// Seals a channel's signing secret anew and raises its revision, where it has one: the platform's app got another.
    ///
    /// # Errors
    /// [`ChannelError::NotFound`] where the channel has no signing secret.
    pub async fn mend_signing_secret(&self, channel: &ChannelId, secret: &SecretString) -> Result<(), ChannelError> {
        let condition = "#schema = :schema";
        let update = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .set_key(Some(key(channel, Kind::SigningSecret)))
            .update_expression(SEAL)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[SEAL, condition]))
            .set_expression_attribute_values(Some(self.sealed_values(channel, Kind::SigningSecret, secret)))
            .return_values_on_condition_check_failure(AllOld);
        match self.call(|| update.clone().send()).await {
            Ok(_) => Ok(()),
            Err(CallError::Conditions(conditions)) => {
                Err(ChannelError::NotFound.unless_malformed(TABLE, conditions.first()))
            }
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }

    /// The action that seals a credential: the first has revision 1, each later one the next.
    pub(crate) fn seal_credential(
        &self,
        channel: &ChannelId,
        kind: Kind,
        secret: &SecretString,
    ) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#channel) OR #schema = :schema";
        let update = Update::builder()
            .table_name(self.table_name(TABLE))
            .set_key(Some(key(channel, kind)))
            .update_expression(SEAL)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[SEAL, condition]))
            .set_expression_attribute_values(Some(self.sealed_values(channel, kind, secret)));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    fn sealed_values(&self, channel: &ChannelId, kind: Kind, secret: &SecretString) -> Item {
        attributes([
            (":schema", schema()),
            (":value", self.seal(&cell(channel, kind), secret)),
            (":now", time(self.now())),
            (":one", number(1)),
        ])
    }

    /// The row of one of a channel's credentials, still sealed.
    pub(crate) async fn credential_row(&self, channel: &ChannelId, kind: Kind) -> Result<Option<Item>, StoreError> {
        self.get_row(TABLE, [("channel", text(channel)), ("kind", text(kind.as_str()))]).await
    }

    /// Opens a credential that signs.
    pub(crate) async fn open_signing_secret(
        &self,
        channel: &ChannelId,
        kind: Kind,
        item: &Item,
    ) -> Result<SigningSecret, StoreError> {
        let sealed = Row::new(TABLE, item)?.bytes("value")?;
        let secret = self.opener().open(TABLE.name(), &cell(channel, kind), sealed).await?;
        Ok(SigningSecret::new(secret))
    }
}

const SEAL: &str = "SET #schema = :schema, #value = :value, #updatedAt = :now ADD #revision :one";
