//! Clients of the services that bots and people use: typed answers and errors, without tokens or answers in errors.
//!
//! Each call has [`TIMEOUT`], is made once, follows no redirect, and reads at most [`ANSWER_LIMIT`] of the answer.
//! Retries are up to the caller. Composio's calls have time-outs and a limit of their own, and its read-only calls are
//! tried twice.

mod base_url;
mod chat_api;
mod composio;
mod discord;
mod feishu;
mod lite_llm;
mod slack;

use std::time::Duration;

pub use base_url::{BaseUrl, InvalidBaseUrl};
pub use chat_api::ChatApiError;
pub use composio::{
    AccountStatus, ActionOutcome, COMPOSIO_ANSWER_LIMIT, Composio, ComposioError, ComposioKey, ConnectLink,
    ConnectedAccount, CustomConnection, EXECUTE_TIMEOUT, Execution, Revocation, composio_user,
};
pub use discord::{Discord, DiscordBot, Guild};
pub use feishu::{Feishu, FeishuBot, FeishuChat, FeishuToken};
pub use lite_llm::{LiteLlm, LiteLlmAdmin, LiteLlmError};
pub use slack::{BotIdentity, Conversation, Installation, IssuedToken, Slack, SlackClient, SlackError};

/// Time-out of a call, from its first byte to the last of its answer.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer that is read, in bytes: answers of these services take a few thousand.
pub const ANSWER_LIMIT: usize = 256 * 1024;
