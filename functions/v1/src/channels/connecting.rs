//! Steps that connecting a channel takes on every platform.

use portcullis_auth::{BotId, ChannelId, UserId};
use portcullis_runtime::ApiError;
use portcullis_store::{BotReach, ConnectError, WebhookRoute};
use portcullis_upstream::ChatApiError;

use crate::app::{App, bot_not_found, refuse_bot};

impl App {
    /// The bot that a channel is for: the named one, or the person's only one.
    ///
    /// # Errors
    /// 404 for another's, 409 where the person has none, 400 where the person must name one of several.
    pub(super) async fn bot_to_connect(&self, user: &UserId, named: Option<BotId>) -> Result<BotId, ApiError> {
        if let Some(bot) = named {
            return Ok(self.store.bot_within(BotReach::Owner(user), &bot).await.map_err(refuse_bot)?.id);
        }
        match self.store.owned_bots(user).await?.as_slice() {
            [] => Err(ApiError::conflict("Make a bot first; the channel is for it")),
            [bot] => Ok(bot.clone()),
            _ => Err(ApiError::invalid_field("botId", "is required where you have several bots")),
        }
    }

    /// Id of the channel to connect, by the route of its app: the one that the bot has there, else a new one. The channel of
    /// another bot gives way where its app was uninstalled: it would keep the app from everyone else for good.
    ///
    /// # Errors
    /// [`ConnectError::RouteTaken`] where another bot's channel is in use.
    pub(super) async fn channel_to_connect(
        &self,
        bot: &BotId,
        route: Option<WebhookRoute>,
    ) -> Result<ChannelId, ConnectError> {
        match route {
            Some(route) if route.bot == *bot => return Ok(route.channel),
            Some(route) if !self.store.release_channel(&route.channel).await? => return Err(ConnectError::RouteTaken),
            Some(_) | None => {}
        }
        let id = self.new_id().parse();
        Ok(id.unwrap_or_else(|_| unreachable!("a UUID is an id")))
    }
}

/// The answer for a channel that was not connected.
pub(super) fn refuse(error: ConnectError, taken: &'static str) -> ApiError {
    match error {
        ConnectError::BotNotFound => bot_not_found(),
        ConnectError::TooManyChannels => ApiError::conflict("The bot has its limit of 20 channels"),
        ConnectError::ChannelTaken | ConnectError::RouteTaken => ApiError::conflict(taken),
        ConnectError::NoSigningSecret => ApiError::internal("the channel is given a signing secret"),
        ConnectError::Store(error) => error.into(),
    }
}

/// The answer for credentials that a platform did not accept, with the message `refused`, or did not answer for, with `silent`.
pub(super) fn refuse_credentials(error: ChatApiError, refused: &'static str, silent: &'static str) -> ApiError {
    match error {
        ChatApiError::Unauthorized | ChatApiError::Refused(_) => ApiError::conflict(refused),
        ChatApiError::RateLimited(_) | ChatApiError::Unanswered(_) => ApiError::bad_gateway(silent, error.to_string()),
    }
}
