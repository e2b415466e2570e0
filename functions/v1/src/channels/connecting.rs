//! Steps of connecting a channel on any platform.

use portcullis_auth::{BotId, ChannelId, UserId};
use portcullis_runtime::ApiError;
use portcullis_store::{BotReach, ConnectError, WebhookRoute};
use portcullis_upstream::ChatApiError;

use crate::app::{App, bot_not_found, refuse_bot};

impl App {
    /// Returns the bot to connect: the named one, or the person's only one.
    ///
    /// # Errors
    /// 404 if the named bot belongs to another person, 409 if the person has no bot, 400 if the person has several
    /// bots and names none.
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

    /// Returns the id of the channel to connect for an app's route: the bot's existing channel, or a new id. Another
    /// bot's channel is replaced if its app was uninstalled; otherwise it would block the app for everyone else for
    /// good.
    ///
    /// # Errors
    /// [`ConnectError::RouteTaken`] if another bot's channel is in use.
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

/// Converts the store's refusal to connect a channel.
pub(super) fn to_api_error(error: ConnectError, taken: &'static str) -> ApiError {
    match error {
        ConnectError::BotNotFound => bot_not_found(),
        ConnectError::TooManyChannels => ApiError::conflict("The bot has its limit of 20 channels"),
        ConnectError::ChannelTaken | ConnectError::RouteTaken => ApiError::conflict(taken),
        ConnectError::NoSigningSecret => ApiError::internal("the channel is given a signing secret"),
        ConnectError::Store(error) => error.into(),
    }
}

/// Converts a platform's refusal of credentials: the message is `refused` if it rejected them, `silent` if it did not
/// answer.
pub(super) fn refuse_credentials(error: ChatApiError, refused: &'static str, silent: &'static str) -> ApiError {
    match error {
        ChatApiError::Unauthorized | ChatApiError::Refused(_) => ApiError::conflict(refused),
        ChatApiError::RateLimited(_) | ChatApiError::Unanswered(_) => ApiError::bad_gateway(silent, error.to_string()),
    }
}
