//! End of a channel whose platform reports that its token or its app is gone.

use aws_sdk_dynamodb::types::TransactWriteItem;
use jiff::{SignedDuration, Timestamp};
use portcullis_auth::{BotId, ChannelId};

use super::{ChannelError, ChannelStatus};
use crate::{
    BotStatus, Store, StoreError,
    backoff::Backoff,
    channel_credentials::Kind,
    error::{CallError, Condition},
    revision::{BotChange, PoolChange},
};

/// Retention of the secret that a customer's own app signs with, after the channel's end: Slack's late requests can
/// then be distinguished from forgery.
pub const ENDED_SECRET_RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Way in which a channel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelEnd {
    /// The bot token was revoked.
    TokenRevoked,
    /// The app was uninstalled.
    Uninstalled,
}

/// Outcome of ending a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOutcome {
    /// The channel has this status now, and no bot token.
    Ended(ChannelStatus),
    /// The channel had ended in this way, or in a stronger one.
    AlreadyEnded,
    /// The bot token was sealed after the end happened: the channel has been reconnected since.
    ConnectedSince,
}

impl ChannelEnd {
    /// Status after the end of a channel that had the status `before`. The platform reports both ends in either order,
    /// and an uninstalled app outweighs a revoked token.
    fn status_after(self, before: ChannelStatus) -> ChannelStatus {
        match self {
            Self::TokenRevoked if before != ChannelStatus::Disconnected => ChannelStatus::Error,
            Self::TokenRevoked | Self::Uninstalled => ChannelStatus::Disconnected,
        }
    }
}

impl Store {
    /// Ends a channel as of `happened_at`, a time of whole seconds: sets its status, deletes its bot token, lets the
    /// secret that verifies its app's requests expire after [`ENDED_SECRET_RETENTION`], and raises the revision of its
    /// bot's pool, in one transaction. A channel whose bot token was sealed after that second stays as it is.
    ///
    /// # Errors
    /// [`ChannelError`]; after [`StoreError::Unavailable`] the channel may have ended, after the others nothing was
    /// written.
    pub async fn end_channel(
        &self,
        channel: &ChannelId,
        end: ChannelEnd,
        happened_at: Timestamp,
    ) -> Result<EndOutcome, ChannelError> {
        let mut backoff = Backoff::of_race();
        loop {
            let token = self.credential_row(channel, Kind::BotToken);
            let (known, token) = tokio::try_join!(self.get_channel(channel), token)?;
            let known = known.ok_or(ChannelError::NotFound)?;
            let status = end.status_after(known.status);
            let has_token = token.is_some_and(|row| row.contains_key("value"));
            if status == known.status && !has_token {
                return Ok(EndOutcome::AlreadyEnded);
            }
            let mut actions = vec![
                self.update_channel_status(&known, status)?,
                self.delete_value_sealed_before(channel, Kind::BotToken, next_second(happened_at))?,
            ];
            if !known.platform_app {
                let ends = self.now().saturating_add(ENDED_SECRET_RETENTION).unwrap_or(Timestamp::MAX);
                actions.push(self.expire_credential(channel, Kind::SigningSecret, ends)?);
            }
            actions.extend(self.raise_revision_of_bots_pool(&known.bot).await?);
            match self.transact_write(actions).await {
                Ok(()) => return Ok(EndOutcome::Ended(status)),
                Err(CallError::Conditions(conditions)) => match conditions.get(1) {
                    Some(Condition::Failed(_)) => return Ok(EndOutcome::ConnectedSince),
                    // The channel changed or went away, or its bot was deleted or moved, since they were read.
                    _ => self.wait_after_race(&mut backoff).await?,
                },
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Actions that check that a channel's bot has not moved and raise its pool's revision. Empty where the bot is
    /// deleted, since no configuration then contains it.
    pub(crate) async fn raise_revision_of_bots_pool(&self, bot: &BotId) -> Result<Vec<TransactWriteItem>, StoreError> {
        let bot = self.get_bot(bot).await?.filter(|bot| bot.status != BotStatus::Deleted);
        let Some(bot) = bot else { return Ok(Vec::new()) };
        let mut actions = vec![self.change_bot(&bot, BotChange::Nothing)?];
        if let Some(pool) = &bot.pool {
            actions.push(self.raise_pool_revision(pool, PoolChange::RevisionAlone)?);
        }
        Ok(actions)
    }
}

/// Rounds up: the platform's times have no fraction, so an event of a second may have happened at its end.
fn next_second(time: Timestamp) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uninstalled_app_outweighs_a_revoked_token_in_either_order() {
        use ChannelStatus::{Connected, Disconnected, Error, Pending};
        for before in [Connected, Error, Pending] {
            assert_eq!(ChannelEnd::TokenRevoked.status_after(before), Error);
            assert_eq!(ChannelEnd::Uninstalled.status_after(before), Disconnected);
        }
        assert_eq!(ChannelEnd::TokenRevoked.status_after(Disconnected), Disconnected);
        assert_eq!(ChannelEnd::Uninstalled.status_after(Disconnected), Disconnected);
    }
}
