//! Bot tokens that end: they are replaced in time by the poll that finds one due.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use portcullis_auth::ChannelId;
use portcullis_runtime::ApiError;
use portcullis_store::{BotRecords, BotToken, ChannelError, DueToken, Pool, StoreError};
use portcullis_upstream::{SlackClient, SlackError};

use crate::{app::App, budget::Budget};

/// How many tokens are replaced at once.
const AT_ONCE: usize = 10;

/// How long replacements are begun. A poll may wait so long, and for the calls of the last one; what is left is due again at a
/// later poll.
const BUDGET: Duration = Duration::from_secs(2);

/// Slack's word for a refresh token that does not count any more.
const INVALID_REFRESH_TOKEN: &str = "invalid_refresh_token";

/// Slack's words for a client id or a client secret that is not the app's.
///
/// Source: Slack, `oauth.v2.access`, "Errors".
const CLIENT_UNKNOWN: [&str; 2] = ["bad_client_secret", "invalid_client_id"];

/// When the first of the bot tokens of these records is to be replaced.
pub fn due_at(records: &[BotRecords]) -> Option<Timestamp> {
    let channels = records.iter().flat_map(|bot| &bot.channels);
    channels.flat_map(|channel| &channel.credentials).filter_map(|(_, credential)| credential.refresh_at).min()
}

impl App {
    /// Replaces the bot tokens of a pool that are due and that nobody else is replacing. What Slack does not do now is tried
    /// again later: each token has two hours until it ends.
    pub async fn replace_due_tokens(&self, pool: &Pool) -> Result<(), ApiError> {
        let due = self.store.due_tokens(pool).await?;
        if due.is_empty() {
            return Ok(());
        }
        let Some(client) = self.slack_client() else {
            tracing::warn!(pool = %pool.id, "SLACK_CLIENT_ID is not set: bot tokens that end cannot be replaced");
            return Ok(());
        };
        let budget = Budget::of(BUDGET);
        let replacements: Vec<_> = due.iter().map(|due| self.replace(due, &client, budget)).collect();
        stream::iter(replacements).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
    }

    async fn replace(&self, due: &DueToken, client: &SlackClient, budget: Budget) -> Result<(), ApiError> {
        if budget.is_spent() {
            return Ok(());
        }
        let Some(claimed) = self.store.claim_token(due).await? else { return Ok(()) };
        let channel = &claimed.channel;
        let asked_at = self.now();
        let mut answer = self.slack.refresh_token(client, &claimed.refresh_token).await;
        if matches!(&answer, Err(error) if CLIENT_UNKNOWN.contains(&error.code())) {
            // The client secret may have been rotated.
            self.slack_client.look_again().await;
            if let Some(client) = self.slack_client() {
                answer = self.slack.refresh_token(&client, &claimed.refresh_token).await;
            }
        }
        match answer {
            Ok(issued) => {
                let token = BotToken::issued(issued.value, issued.rotation, asked_at);
                // A second try: what is lost here is asked for again with the old refresh token.
                let kept = match self.store.keep_refreshed(&claimed, &token).await {
                    Err(StoreError::Unavailable { .. }) => self.store.keep_refreshed(&claimed, &token).await,
                    kept => kept,
                };
                tracing::info!(%channel, kept = kept == Ok(true), "a bot token was replaced");
                kept?;
            }
            Err(error) => {
                let ends_at = claimed.ends_at;
                tracing::warn!(%channel, code = error.code(), %ends_at, "Slack did not replace a bot token");
                let is_final = matches!(&error, SlackError::Revoked(_)) || error.code() == INVALID_REFRESH_TOKEN;
                if is_final && ends_at <= self.now() {
                    self.end_channel_of(&claimed).await?;
                }
            }
        }
        Ok(())
    }

    /// Tells in the status of a channel whose token has ended, and which gets no other, that it must be connected anew.
    async fn end_channel_of(&self, ended: &DueToken) -> Result<(), ApiError> {
        match self.store.invalidate_channel(&ended.channel, ended.revision).await {
            Ok(_) | Err(ChannelError::NotFound) => Ok(()),
            Err(ChannelError::Store(error)) => Err(error.into()),
        }
    }

    /// Marks a channel as broken because its platform does not accept its credential any more, unless it has another by now.
    /// Returns whether it did.
    pub async fn invalidate(&self, channel: &ChannelId, revision: u64) -> Result<bool, ApiError> {
        match self.store.invalidate_channel(channel, revision).await {
            Ok(invalidated) => Ok(invalidated),
            Err(ChannelError::NotFound) => Ok(false),
            Err(ChannelError::Store(error)) => Err(error.into()),
        }
    }

    fn slack_client(&self) -> Option<SlackClient> {
        let access = self.slack_client.get();
        access.0.as_ref().map(|client| SlackClient { id: client.id.clone(), secret: client.secret.clone() })
    }
}
