//! `/api/internal/composio/*`: skills use people's accounts at third parties through Composio.
//!
//! The account is always the bot's owner's; a skill never sees its credentials. The pool's tool policy is checked
//! before Composio is called.

pub(crate) mod disconnect;
pub(crate) mod execute;
mod not_connected;

use portcullis_auth::{BotId, UserId};
use portcullis_runtime::{ApiError, ErrorCode, tier::Skill};
use portcullis_store::{Bot, BotAccessError};
use portcullis_upstream::{ComposioError, ComposioKey};

use crate::app::App;

/// `Retry-After` when Composio limits calls without a wait of its own.
const DEFAULT_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

impl App {
    /// Reads a bot that the caller reaches.
    async fn composio_bot(&self, caller: &Skill, bot: &BotId) -> Result<Bot, ApiError> {
        self.store.bot_within(caller.bots(), bot).await.map_err(|error| match error {
            BotAccessError::NotFound => ApiError::not_found("Bot not found"),
            error => Skill::refuse_bot(error),
        })
    }

    /// Returns the key of the installation's project at Composio.
    ///
    /// # Errors
    /// 503 if this installation has no project.
    fn composio_key(&self) -> Result<ComposioKey, ApiError> {
        match &self.composio_access.cached().0 {
            Some(key) => Ok(ComposioKey(key.clone())),
            None => Err(ApiError::not_available("Connected accounts are not available on this server")),
        }
    }
}

/// Returns the bot's owner, whose accounts it uses.
///
/// # Errors
/// 403 if the bot has no owner.
fn owner(bot: &Bot) -> Result<&UserId, ApiError> {
    let nobody = "This bot belongs to nobody whose accounts it could use";
    bot.user.as_ref().ok_or_else(|| ApiError::forbidden_as(ErrorCode::NotConnected, nobody))
}

fn to_api_error(error: ComposioError) -> ApiError {
    match error {
        ComposioError::RateLimited(wait) => ApiError::too_many_requests(wait.unwrap_or(DEFAULT_WAIT)),
        error => ApiError::bad_gateway("Composio did not answer", error.to_string()),
    }
}
