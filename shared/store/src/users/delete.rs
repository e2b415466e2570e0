//! Deletion of an account.

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};
use portcullis_auth::UserId;

use super::{TABLE, UserError, email_key, key};
use crate::{
    BotReach, ChannelError, DeleteBotError, Store,
    attribute::{attributes, names, number, text},
    backoff::Backoff,
    error::CallError,
    store::built,
};

impl Store {
    /// Deletes an account with its bots, their channels, its memberships, its integrations and its sessions. The bots
    /// go first, each in its own transaction, after the owner's row was closed: otherwise a bot could be left that
    /// nobody can delete. A deletion that failed half way can be repeated.
    ///
    /// # Errors
    /// [`UserError`].
    pub async fn delete_user(&self, user: &UserId) -> Result<(), UserError> {
        let belongings = self.close_owner(user).await?;
        for channel in &belongings.joined_channels {
            match self.leave_channel(user, channel).await {
                Ok(()) | Err(ChannelError::NotFound) => {}
                Err(ChannelError::Store(error)) => return Err(error.into()),
            }
        }
        for bot in belongings.bots {
            match self.delete_bot(BotReach::Owner(user), &bot).await {
                // The operator deleted it or gave it to another person meanwhile.
                Ok(()) | Err(DeleteBotError::NotFound) => {}
                Err(DeleteBotError::Store(error)) => return Err(error.into()),
            }
        }
        self.delete_integrations(user).await?;
        let mut backoff = Backoff::of_race();
        loop {
            let known = self.user(user).await?.ok_or(UserError::NotFound)?;
            let condition = "#revision = :revision";
            let profile = Delete::builder()
                .table_name(self.table_name(TABLE))
                .key("key", key(user))
                .condition_expression(condition)
                .set_expression_attribute_names(names(&[condition]))
                .set_expression_attribute_values(Some(attributes([(":revision", number(known.revision))])));
            let login = Delete::builder().table_name(self.table_name(TABLE)).key("key", text(email_key(&known.email)));
            let mut actions = vec![
                TransactWriteItem::builder().delete(built(profile.build())?).build(),
                TransactWriteItem::builder().delete(built(login.build())?).build(),
            ];
            actions.extend(self.delete_session_rows(&known.sessions)?);
            match self.transact_write(actions).await {
                Ok(()) => return Ok(()),
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }
}
