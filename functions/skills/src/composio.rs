//! `/api/internal/composio/*`: people's accounts at third parties, used by skills.
//!
//! The bot's owner decides whose account is used; a skill never sees a credential of it. Whether the pool may do it at all is decided
//! before Composio is called.

pub(crate) mod disconnect;
pub(crate) mod execute;
mod not_connected;

use portcullis_auth::{BotId, UserId};
use portcullis_runtime::{ApiError, ErrorCode, tier::Skill};
use portcullis_store::{Bot, BotAccessError};
use portcullis_upstream::{ComposioError, ComposioKey};

use crate::app::App;

/// Wait that a caller is asked for where Composio limits calls and does not say for how long.
const DEFAULT_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

impl App {
    /// A bot that the caller reaches.
    async fn composio_bot(&self, caller: &Skill, bot: &BotId) -> Result<Bot, ApiError> {
        self.store.bot_within(caller.bots(), bot).await.map_err(|error| match error {
            BotAccessError::NotFound => ApiError::not_found("Bot not found"),
            error => Skill::refuse_bot(error),
        })
    }

    /// The project at Composio.
    ///
    /// # Errors
    /// 503 where this installation has none.
    fn composio_key(&self) -> Result<ComposioKey, ApiError> {
        match &self.composio_access.get().0 {
            Some(key) => Ok(ComposioKey(key.clone())),
            None => Err(ApiError::not_available("Connected accounts are not available on this server")),
        }
    }
}

/// The person whose accounts a bot uses.
///
/// # Errors
/// 403 where it has no owner.
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
