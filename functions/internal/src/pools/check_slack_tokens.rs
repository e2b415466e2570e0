//! `POST /api/internal/pools/{poolId}/check-slack-tokens`: checks the bot tokens of a pool's Slack channels.
//!
//! A token that Slack reports as revoked disables its channel; any other failure at Slack changes nothing. The same
//! pass gives untitled conversations their names at Slack.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, extract::State};
use futures_util::{StreamExt, stream};
use portcullis_auth::{BotId, ChannelId};
use portcullis_contract::Title;
use portcullis_runtime::{ApiError, openapi, tier::PoolMachine};
use portcullis_store::{BotRecords, ChatPlatform, CredentialKind, Session};
use portcullis_upstream::{Conversation, SlackError};
use secrecy::SecretString;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::{app::App, budget::Budget, pool_path::PoolPath};

/// Number of concurrent calls to Slack.
const AT_ONCE: usize = 10;

/// Time budget of all token checks; a token that was not checked in time is reported as such. With [`TITLES_BUDGET`]
/// and the store's calls it stays below the function's deadline.
const CHECK_BUDGET: Duration = Duration::from_secs(9);

/// Time budget of all title look-ups.
const TITLES_BUDGET: Duration = Duration::from_secs(3);

/// Limit of the titles that one pass fills in.
const MAXIMUM_TITLES: usize = 20;

/// Outcome of the token checks.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CheckedTokens)]
pub struct Response {
    checked: usize,
    invalidated: usize,
    results: Vec<Checked>,
}

/// Outcome for one channel's token.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CheckedToken)]
struct Checked {
    bot_channel_id: ChannelId,
    account_id: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    invalidated: bool,
}

/// A channel and the bot token to check.
struct Connection {
    bot: BotId,
    channel: ChannelId,
    account: String,
    revision: u64,
    token: SecretString,
    /// Whether the token expires and is then replaced (token rotation).
    is_replaced: bool,
}

#[utoipa::path(
    post,
    path = "/api/internal/pools/{poolId}/check-slack-tokens",
    tag = "runtime",
    params(("poolId" = openapi::Id, Path)),
    responses((status = 200, description = "The outcome for each channel", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    PoolPath(pool): PoolPath,
) -> Result<Json<Response>, ApiError> {
    let read = app.read_fresh_pool(&pool, caller.reach(&pool)?).await?;
    let connections = connections(app.store.pool_records(&read.pool).await?);
    let until = Budget::of(CHECK_BUDGET).end();
    let checks: Vec<_> = connections.iter().map(|connection| app.check(connection, until)).collect();
    let outcomes: Vec<_> = stream::iter(checks).buffered(AT_ONCE).collect().await;
    let results = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    let good = connections.iter().zip(&results).filter(|(_, result)| result.ok).map(|(connection, _)| connection);
    app.fill_titles(good).await?;
    let invalidated = results.iter().filter(|result| result.invalidated).count();
    Ok(Json(Response { checked: results.len(), invalidated, results }))
}

/// Returns the Slack channels that have a bot token.
fn connections(records: Vec<BotRecords>) -> Vec<Connection> {
    let channels = records.into_iter().flat_map(|records| {
        let bot = records.bot.id;
        records.channels.into_iter().map(move |channel| (bot.clone(), channel))
    });
    let connections =
        channels.filter(|(_, records)| records.channel.platform == ChatPlatform::Slack).filter_map(|(bot, records)| {
            let token = records.credentials.into_iter().find(|(kind, _)| *kind == CredentialKind::BotToken);
            let (_, token) = token?;
            let (channel, account) = (records.channel.id, records.channel.account_id);
            Some(Connection {
                bot,
                channel,
                account,
                revision: token.revision,
                token: token.value,
                is_replaced: token.refresh_at.is_some(),
            })
        });
    connections.collect()
}

impl App {
    async fn check(&self, connection: &Connection, until: Instant) -> Result<Checked, ApiError> {
        let outcome = timeout_at(until, self.slack.check_token(&connection.token)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(SlackError::Transient("not_checked_in_time".into())));
        let invalidated = match &outcome {
            // Not invalid: the expired token's replacement is merely late.
            Err(SlackError::Revoked(code)) if code == "token_expired" && connection.is_replaced => false,
            Err(SlackError::Revoked(_)) => self.invalidate(&connection.channel, connection.revision).await?,
            _ => false,
        };
        Ok(Checked {
            bot_channel_id: connection.channel.clone(),
            account_id: connection.account.clone(),
            ok: outcome.is_ok(),
            error: outcome.err().map(|error| error.code().to_owned()),
            invalidated,
        })
    }

    /// Fills in the titles of these channels' bots' conversations, as far as Slack knows them and answers in time.
    async fn fill_titles(&self, connections: impl Iterator<Item = &Connection>) -> Result<(), ApiError> {
        let mut tokens: BTreeMap<&BotId, Vec<&SecretString>> = BTreeMap::new();
        for connection in connections {
            tokens.entry(&connection.bot).or_default().push(&connection.token);
        }
        let bots: Vec<BotId> = tokens.keys().map(|bot| (*bot).clone()).collect();
        let sessions = self.store.untitled_sessions(&bots, MAXIMUM_TITLES).await?;
        let until = Budget::of(TITLES_BUDGET).end();
        let tokens_of = |session: &Session| tokens.get(&session.bot).map(Vec::as_slice).unwrap_or_default();
        let fills: Vec<_> =
            sessions.iter().map(|session| self.fill_title(session, tokens_of(session), until)).collect();
        stream::iter(fills).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
    }

    async fn fill_title(&self, session: &Session, tokens: &[&SecretString], until: Instant) -> Result<(), ApiError> {
        if let Ok(Some(title)) = timeout_at(until, self.title(session, tokens)).await {
            self.store.fill_title(&session.id, &title).await?;
        }
        Ok(())
    }

    /// Returns Slack's name of a conversation, from the first of the bot's tokens that can see it.
    async fn title(&self, session: &Session, tokens: &[&SecretString]) -> Option<Title> {
        let channel = session.channel_id.as_ref().filter(|_| session.channel_type.as_deref() == Some("slack"))?;
        for token in tokens {
            let name = match self.slack.conversation(token, channel).await {
                Ok(Conversation::Channel(name)) => Some(format!("#{name}")),
                Ok(Conversation::DirectMessage(user)) => self.slack.user_name(token, &user).await.ok(),
                Err(_) => None,
            };
            if let Some(title) = name.as_deref().and_then(Title::shortened) {
                return Some(title);
            }
        }
        None
    }
}
