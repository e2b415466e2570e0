//! Rotation of expiring bot tokens: a configuration poll that finds a token due replaces it.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use portcullis_auth::ChannelId;
use portcullis_runtime::ApiError;
use portcullis_store::{BotRecords, BotToken, ChannelError, DueToken, Pool, StoreError};
use portcullis_upstream::{SlackClient, SlackError};

use crate::{app::App, budget::Budget};

/// Number of tokens that are replaced concurrently.
const AT_ONCE: usize = 10;

/// Time within which replacements are started. It bounds a poll's delay, together with the calls of the last
/// replacement; tokens left over are due again at a later poll.
const BUDGET: Duration = Duration::from_secs(2);

/// Slack's error code for an expired or revoked refresh token.
const INVALID_REFRESH_TOKEN: &str = "invalid_refresh_token";

/// Slack's error codes for a wrong client id or client secret.
///
/// Source: Slack, `oauth.v2.access`, "Errors".
const CLIENT_UNKNOWN: [&str; 2] = ["bad_client_secret", "invalid_client_id"];

/// Returns the time at which the first bot token of these records is due for replacement.
pub fn due_at(records: &[BotRecords]) -> Option<Timestamp> {
    let channels = records.iter().flat_map(|bot| &bot.channels);
    channels.flat_map(|channel| &channel.credentials).filter_map(|(_, credential)| credential.refresh_at).min()
}

impl App {
    /// Replaces the pool's due bot tokens that no other request has claimed. A failure at Slack is retried at a later
    /// poll: a due token stays valid for two more hours.
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
            // The client secret may have been rotated, so look it up again.
            self.slack_client.refreshed().await;
            if let Some(client) = self.slack_client() {
                answer = self.slack.refresh_token(&client, &claimed.refresh_token).await;
            }
        }
        match answer {
            Ok(issued) => {
                let token = BotToken::issued(issued.value, issued.rotation, asked_at);
                // One retry: if the new token is lost, a later poll asks Slack again with the old refresh token.
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

    /// Marks the channel of an expired, irreplaceable token as invalid, so that its status asks for a reconnection.
    async fn end_channel_of(&self, ended: &DueToken) -> Result<(), ApiError> {
        match self.store.invalidate_channel(&ended.channel, ended.revision).await {
            Ok(_) | Err(ChannelError::NotFound) => Ok(()),
            Err(ChannelError::Store(error)) => Err(error.into()),
        }
    }

    /// Marks a channel as broken because its platform rejects the credential of this revision. A newer credential is
    /// left alone. Returns whether the channel was marked.
    pub async fn invalidate(&self, channel: &ChannelId, revision: u64) -> Result<bool, ApiError> {
        match self.store.invalidate_channel(channel, revision).await {
            Ok(invalidated) => Ok(invalidated),
            Err(ChannelError::NotFound) => Ok(false),
            Err(ChannelError::Store(error)) => Err(error.into()),
        }
    }

    fn slack_client(&self) -> Option<SlackClient> {
        let access = self.slack_client.cached();
        access.0.as_ref().map(|client| SlackClient { id: client.id.clone(), secret: client.secret.clone() })
    }
}
