//! Clients of the services that bots and people use: typed answers and errors, nothing of a token or of an answer in either.
//!
//! Each call has [`TIMEOUT`], is made once, follows no redirect, and reads at most [`ANSWER_LIMIT`] of what comes back. Whether
//! to try again is the caller's to say. Composio's have time-outs and a limit of their own, and those that change nothing are
//! made twice.

#![warn(missing_docs)]

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
    AccountStatus, COMPOSIO_ANSWER_LIMIT, Composio, ComposioError, ComposioKey, ConnectLink, ConnectedAccount,
    CustomConnection, EXECUTE_TIMEOUT, Execution, Outcome, Revocation, composio_user,
};
pub use discord::{Discord, DiscordBot, Guild};
pub use feishu::{Feishu, FeishuBot, FeishuChat, FeishuToken};
pub use lite_llm::{LiteLlm, LiteLlmAdmin, LiteLlmError};
pub use slack::{BotIdentity, Conversation, Installation, IssuedToken, Slack, SlackClient, SlackError};

/// How long a call may take, from its first byte to its answer's last.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// How much of an answer is read, in bytes: one of these services' takes a few thousand.
pub const ANSWER_LIMIT: usize = 256 * 1024;
