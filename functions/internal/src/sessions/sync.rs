//! `POST /api/internal/sessions/sync-discord` and `…/sync-feishu`: creates sessions for conversations that the
//! platform lists, before anybody writes in them.

pub mod discord;
pub mod feishu;

use std::{future::Future, time::Duration};

use futures_util::{StreamExt, stream};
use portcullis_auth::{BotId, ChannelId, PoolId};
use portcullis_contract::{InvalidField, Title};
use portcullis_runtime::{ApiError, tier::PoolMachine};
use portcullis_store::{ChannelRecords, ChatPlatform, CredentialKind, NewSession, PlatformId, SessionChange};
use portcullis_upstream::ChatApiError;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;

use crate::{app::App, budget::Budget};

/// Concurrency of listings, and of session writes.
const AT_ONCE: usize = 10;

/// Time budget of the listings at the platform. With the store's calls it stays below the function's deadline.
const LIST_BUDGET: Duration = Duration::from_secs(9);

/// Longest rate-limit wait that this function waits out itself; after a longer one the call fails.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Wait after a rate limit without a time of its own.
const USUAL_WAIT: Duration = Duration::from_secs(1);

/// Limit of the conversations that are read of a channel. Discord requires sharded connections of bots in more guilds
/// than this.
const MAXIMUM_CONVERSATIONS: usize = 2_500;

/// The pool whose bots' conversations are synced.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SyncSessions)]
pub struct Request {
    pool_id: PoolId,
}

/// Number of sessions that were created or updated.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SyncedSessions)]
pub struct Response {
    synced: usize,
}

/// A connected channel and the credential of its bot.
struct Connection {
    bot: BotId,
    /// The bot's name in the pool's configuration.
    agent: String,
    channel: ChannelId,
    app: PlatformId,
    revision: u64,
    credential: SecretString,
}

/// A conversation in the platform's terms.
struct Conversation {
    id: String,
    name: Option<String>,
}

/// A channel's conversations, collected page by page.
#[derive(Default)]
struct Listing {
    conversations: Vec<Conversation>,
    page: Option<String>,
}

impl Listing {
    /// Adds a page; `next` is the token of the next one. Returns whether to read on.
    fn take(&mut self, mut found: Vec<Conversation>, next: Option<String>) -> bool {
        self.conversations.append(&mut found);
        self.conversations.truncate(MAXIMUM_CONVERSATIONS);
        // A page whose next token is its own would loop for ever.
        let reads_on = next.is_some() && next != self.page && self.conversations.len() < MAXIMUM_CONVERSATIONS;
        self.page = next;
        reads_on
    }
}

impl App {
    /// Returns the pool's connected channels of a platform.
    async fn connections(
        &self,
        caller: &PoolMachine,
        pool: &PoolId,
        platform: ChatPlatform,
    ) -> Result<Vec<Connection>, ApiError> {
        let read = self.read_fresh_pool(pool, caller.reach(pool)?).await?;
        let mut connections = Vec::new();
        for records in self.store.pool_records(&read.pool).await? {
            let agent = records.bot.id.agent_id(&read.pool.bots);
            let of_platform = records.channels.into_iter().filter(|records| records.channel.platform == platform);
            connections.extend(of_platform.filter_map(|ChannelRecords { channel, credentials }| {
                let token = credentials.into_iter().find(|(kind, _)| *kind == CredentialKind::BotToken);
                let (_, token) = token?;
                Some(Connection {
                    bot: records.bot.id.clone(),
                    agent: agent.clone(),
                    channel: channel.id,
                    app: channel.app_id,
                    revision: token.revision,
                    credential: token.value,
                })
            }));
        }
        Ok(connections)
    }

    /// Creates or updates a session for each listed conversation. Every channel is tried; a channel whose credential
    /// the platform rejects is marked as broken.
    ///
    /// # Errors
    /// 502 with the message `silent` if the platform did not answer for a channel. Sessions of other channels are
    /// kept.
    async fn keep_listed<Listed>(
        &self,
        caller: &PoolMachine,
        platform: ChatPlatform,
        connections: &[Connection],
        listings: Vec<Listed>,
        silent: &'static str,
    ) -> Result<Response, ApiError>
    where
        Listed: Future<Output = Result<Vec<Conversation>, ChatApiError>> + Send,
    {
        let until = Budget::of(LIST_BUDGET).end();
        let listings: Vec<_> = listings.into_iter().map(|listing| timeout_at(until, listing)).collect();
        let listed: Vec<_> = stream::iter(listings).buffered(AT_ONCE).collect().await;
        let (mut sessions, mut is_silent) = (Vec::new(), false);
        for (connection, listed) in connections.iter().zip(listed) {
            match listed.unwrap_or(Err(ChatApiError::Unanswered("not_listed_in_time"))) {
                Ok(conversations) => sessions.extend(sessions_of(connection, platform, conversations)),
                Err(ChatApiError::Unauthorized) => {
                    self.invalidate(&connection.channel, connection.revision).await?;
                }
                Err(error) => {
                    tracing::warn!(channel = %connection.channel, %platform, %error, "conversations were not listed");
                    is_silent |= !matches!(error, ChatApiError::Refused(_));
                }
            }
        }
        let writes: Vec<_> = sessions.iter().map(|session| self.store.put_session(caller.bots(), session)).collect();
        let written: Vec<_> = stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
        for outcome in written {
            outcome.map_err(PoolMachine::refuse_bot)?;
        }
        if is_silent {
            return Err(ApiError::bad_gateway(silent, "a channel's conversations were not listed"));
        }
        Ok(Response { synced: sessions.len() })
    }
}

/// Makes a read-only call, and repeats it once after a short rate limit.
async fn unlimited<T, Call: Future<Output = Result<T, ChatApiError>>>(
    call: impl Fn() -> Call,
) -> Result<T, ChatApiError> {
    match call().await {
        Err(ChatApiError::RateLimited(wait)) if wait.unwrap_or(USUAL_WAIT) <= LONGEST_WAIT => {
            pause(wait.unwrap_or(USUAL_WAIT)).await;
            call().await
        }
        outcome => outcome,
    }
}

#[expect(clippy::disallowed_methods, reason = "the platform is left alone for as long as it asks")]
async fn pause(wait: Duration) {
    tokio::time::sleep(wait).await;
}

/// Sessions of a channel's conversations, without those whose id no session can have: each of these is a warning in the
/// log.
fn sessions_of(connection: &Connection, platform: ChatPlatform, conversations: Vec<Conversation>) -> Vec<NewSession> {
    let warn = |error: &InvalidField| {
        tracing::warn!(channel = %connection.channel, %platform, %error, "a conversation has an unusable id");
    };
    let sessions = conversations.into_iter().map(|found| session(connection, platform, found));
    sessions.filter_map(|session| session.inspect_err(warn).ok()).collect()
}

/// The session of a conversation.
///
/// # Errors
/// [`InvalidField`] if a session cannot have the platform's id.
fn session(
    connection: &Connection,
    platform: ChatPlatform,
    conversation: Conversation,
) -> Result<NewSession, InvalidField> {
    let kind = match platform {
        ChatPlatform::Feishu => "group",
        ChatPlatform::Slack | ChatPlatform::Discord => "channel",
    };
    let id = conversation.id;
    let title = conversation.name.as_deref().and_then(Title::shortened);
    let title = title.or_else(|| Title::shortened(&format!("{} {id}", platform.title())));
    let session_key = format!("agent:{}:{platform}:{kind}:{id}", connection.agent);
    Ok(NewSession {
        bot: connection.bot.clone(),
        session_key: session_key.parse()?,
        channel_type: Some(platform.as_str().parse()?),
        channel_id: Some(id.parse()?),
        change: SessionChange { title, ..SessionChange::default() },
    })
}
