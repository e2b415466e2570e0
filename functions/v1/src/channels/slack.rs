//! Connecting Slack.

pub(crate) mod callback;
pub(crate) mod connect;
pub(crate) mod oauth_url;
pub(crate) mod redirect_uri;

use portcullis_auth::{BotId, ChannelId, UserId};
use portcullis_runtime::ApiError;
use portcullis_store::{BotReach, ConnectError, SlackId};
use portcullis_upstream::SlackClient;

use crate::{App, bot_not_found, refuse_bot};

/// Path of the callback that Slack sends a browser to after an install.
pub(crate) const CALLBACK_PATH: &str = "/api/oauth/slack/callback";

impl App {
    /// The platform's own Slack app as an OAuth client.
    ///
    /// # Errors
    /// 503 where this installation has none.
    fn slack_client(&self) -> Result<SlackClient, ApiError> {
        match &self.slack_client.get().0 {
            Some(client) => Ok(SlackClient { id: client.id.clone(), secret: client.secret.clone() }),
            None => Err(ApiError::not_available("This server has no Slack app to add; connect one by hand")),
        }
    }

    /// The bot that a channel is for: the named one, or the person's only one.
    ///
    /// # Errors
    /// 404 for another's, 409 where the person has none, 400 where the person must name one of several.
    async fn bot_to_connect(&self, user: &UserId, named: Option<BotId>) -> Result<BotId, ApiError> {
        if let Some(bot) = named {
            return Ok(self.store.bot_within(BotReach::Owner(user), &bot).await.map_err(refuse_bot)?.id);
        }
        match self.store.owned_bots(user).await?.as_slice() {
            [] => Err(ApiError::conflict("Make a bot first; the channel is for it")),
            [bot] => Ok(bot.clone()),
            _ => Err(ApiError::invalid_field("botId", "is required where you have several bots")),
        }
    }

    /// Id of the channel of a team and an app: the one that it has, else a new one. The channel of another bot gives way where the
    /// workspace has uninstalled its app: it would keep the workspace from everyone else for good.
    ///
    /// # Errors
    /// [`ConnectError::RouteTaken`] where another bot's channel is in use.
    async fn channel_to_connect(&self, bot: &BotId, team: &SlackId, app: &SlackId) -> Result<ChannelId, ConnectError> {
        match self.store.slack_route(team, app).await? {
            Some(route) if route.bot == *bot => return Ok(route.channel),
            Some(route) if !self.store.release_channel(&route.channel).await? => return Err(ConnectError::RouteTaken),
            Some(_) | None => {}
        }
        let id = self.new_id().parse();
        Ok(id.unwrap_or_else(|_| unreachable!("a UUID is an id")))
    }
}

fn taken() -> ApiError {
    ApiError::conflict("This workspace and app are connected to another bot")
}

fn refuse(error: ConnectError) -> ApiError {
    match error {
        ConnectError::BotNotFound => bot_not_found(),
        ConnectError::TooManyChannels => ApiError::conflict("The bot has its limit of 20 channels"),
        ConnectError::ChannelTaken | ConnectError::RouteTaken => taken(),
        ConnectError::NoSigningSecret => ApiError::internal("the channel is given a signing secret"),
        ConnectError::Store(error) => error.into(),
    }
}
