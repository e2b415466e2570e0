//! `/v1/channels/slack`: connecting Slack.

pub(crate) mod callback;
pub(crate) mod connect;
pub(crate) mod oauth_url;
pub(crate) mod redirect_uri;

use portcullis_auth::{BotId, ChannelId};
use portcullis_runtime::ApiError;
use portcullis_store::{ConnectError, PlatformId};
use portcullis_upstream::SlackClient;

use super::connecting;
use crate::app::App;

/// Path of the OAuth callback to which Slack sends a browser after an install.
pub(crate) const CALLBACK_PATH: &str = "/api/oauth/slack/callback";

impl App {
    /// Returns the platform's own Slack app as an OAuth client.
    ///
    /// # Errors
    /// 503 if this installation has no Slack app.
    fn slack_client(&self) -> Result<SlackClient, ApiError> {
        match &self.slack_client.cached().0 {
            Some(client) => Ok(SlackClient { id: client.id.clone(), secret: client.secret.clone() }),
            None => Err(ApiError::not_available("This server has no Slack app to add; connect one by hand")),
        }
    }

    /// Returns the id of the channel to connect for a team and an app.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn slack_channel_to_connect(
        &self,
        bot: &BotId,
        team: &PlatformId,
        app: &PlatformId,
    ) -> Result<ChannelId, ConnectError> {
        let route = self.store.slack_route(team, app).await?;
        self.channel_to_connect(bot, route).await
    }
}

fn to_api_error(error: ConnectError) -> ApiError {
    connecting::to_api_error(error, "This workspace and app are connected to another bot")
}
