//! `GET /api/oauth/slack/callback`: finishes an install of the Slack app. The caller is a browser, so each outcome
//! redirects to a page of the front end.

use std::sync::Arc;

use axum::extract::State;
use http::{HeaderMap, HeaderValue, StatusCode, header::LOCATION, request::Parts};
use portcullis_auth::UserId;
use portcullis_runtime::{ApiError, openapi, params, tier::Browser};
use portcullis_store::{
    BotReach, BotToken, Channel, ConnectError, JoinError, NewSlackChannel, OauthState, OauthStateError, PlatformId,
    SigningSource, StoreError,
};
use portcullis_upstream::{Installation, SlackError};

use super::oauth_url;
use crate::{
    app::App,
    browser_cookie::{Begun, BrowserCookie},
};

/// Page of the front end that shows the outcome. Source: the contract, §5.
const OUTCOME_PAGE: &str = "/workspace/channels/slack/callback";

/// Longest accepted code and state, in characters; Slack's codes have about 60, our states 64.
const MAXIMUM_PARAMETER_LENGTH: usize = 512;

/// Reason for which an install failed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// The person declined, or Slack ended the install; holds Slack's own error code.
    Slack(String),
    /// The state is unknown, used, or belongs to another browser or person.
    InvalidState,
    /// The install took longer than the state's life.
    ExpiredState,
    /// Slack did not answer the exchange of the code.
    SlackUnavailable,
    /// The workspace is connected to another bot of the same person, or the app is a customer's own.
    ChannelTaken,
    /// The bot no longer exists.
    NoBot,
    /// The bot has reached its limit of channels.
    TooManyChannels,
    /// The workspace's channel, or the person, has reached its limit of memberships.
    TooManyMembers,
    /// The installation has no Slack app.
    NotSetUp,
    /// A dependency failed.
    Unavailable,
}

impl Failure {
    fn code(&self) -> &str {
        match self {
            Self::Slack(code) => code,
            Self::InvalidState => "invalid_state",
            Self::ExpiredState => "expired_state",
            Self::SlackUnavailable => "slack_unavailable",
            Self::ChannelTaken => "channel_taken",
            Self::NoBot => "no_bot",
            Self::TooManyChannels => "too_many_channels",
            Self::TooManyMembers => "too_many_members",
            Self::NotSetUp => "not_set_up",
            Self::Unavailable => "unavailable",
        }
    }

    /// Takes over Slack's error code if it is well-formed, since it is repeated in a redirect's address.
    fn of_slack(code: &str) -> Self {
        let is_code =
            (1..=64).contains(&code.len()) && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        Self::Slack(if is_code { code.to_owned() } else { "slack_error".to_owned() })
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a Slack install came to nothing");
        Self::Unavailable
    }
}

impl From<SlackError> for Failure {
    fn from(error: SlackError) -> Self {
        match error {
            SlackError::Transient(code) => {
                tracing::warn!(%code, "Slack did not exchange a code");
                Self::SlackUnavailable
            }
            SlackError::Revoked(code) | SlackError::Refused(code) => Self::of_slack(&code),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::BotNotFound => Self::NoBot,
            ConnectError::TooManyChannels => Self::TooManyChannels,
            ConnectError::ChannelTaken | ConnectError::RouteTaken => Self::ChannelTaken,
            ConnectError::NoSigningSecret => Self::Unavailable,
            ConnectError::Store(error) => error.into(),
        }
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Taken => Self::ChannelTaken,
            JoinError::TooMany => Self::TooManyMembers,
            // Same failure as for a person who is not signed in any more.
            JoinError::Closed => Self::InvalidState,
            JoinError::Store(error) => error.into(),
        }
    }
}

#[utoipa::path(
    get,
    path = "/api/oauth/slack/callback",
    tag = "browser",
    params(("code" = Option<String>, Query), ("state" = Option<String>, Query), ("error" = Option<String>, Query)),
    responses((status = 302), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    browser: Browser,
    parts: Parts,
) -> Result<(StatusCode, HeaderMap), ApiError> {
    let mut url = app.origins.web().url().clone();
    url.set_path(OUTCOME_PAGE);
    match app.finish_install(&browser, &parts).await {
        Ok((channel, return_to)) => {
            let mut query = url.query_pairs_mut();
            query.append_pair("success", "true").append_pair("channelId", channel.id.as_str());
            query.append_pair("teamName", channel.team_name.as_deref().unwrap_or_default());
            query.append_pair("returnTo", return_to.as_deref().unwrap_or("/"));
        }
        Err(failure) => {
            tracing::info!(code = failure.code(), "a Slack install was refused");
            url.query_pairs_mut().append_pair("error", failure.code());
        }
    }
    let location = HeaderValue::try_from(url.as_str()).map_err(|_| ApiError::internal("a URL is a header's value"))?;
    Ok((StatusCode::FOUND, HeaderMap::from_iter([(LOCATION, location)])))
}

impl App {
    async fn finish_install(&self, browser: &Browser, parts: &Parts) -> Result<(Channel, Option<String>), Failure> {
        let parameter = |name| {
            let value = params::query::<String>(parts, name).map_err(|_| Failure::InvalidState)?;
            Ok::<_, Failure>(value.filter(|value| (1..=MAXIMUM_PARAMETER_LENGTH).contains(&value.len())))
        };
        let state = parameter("state")?.ok_or(Failure::InvalidState)?;
        let state = self.take_state(&state, parts).await?;
        self.check_person(browser, &state.user).await?;
        if let Some(code) = parameter("error")? {
            return Err(Failure::of_slack(&code));
        }
        let code = parameter("code")?.ok_or(Failure::InvalidState)?;
        let client = self.slack_client().map_err(|_| Failure::NotSetUp)?;
        let redirect_uri = self.redirect_uri().map_err(|_| Failure::Unavailable)?;
        let installation = self.slack.exchange_code(&client, &code, &redirect_uri).await?;
        let channel = self.keep_install(&state, installation).await?;
        Ok((channel, state.return_to))
    }

    async fn take_state(&self, state: &str, parts: &Parts) -> Result<OauthState, Failure> {
        let cookie = BrowserCookie::new(self.origins.api().is_secure(), Begun::Installs);
        let secret = cookie.read(&parts.headers).ok_or(Failure::InvalidState)?;
        let taken = self.store.take_oauth_state(oauth_url::digest(state), cookie.digest(&secret)).await;
        taken.map_err(|error| match error {
            OauthStateError::Unknown | OauthStateError::OtherBrowser => Failure::InvalidState,
            OauthStateError::Expired => Failure::ExpiredState,
            OauthStateError::Store(error) => error.into(),
        })
    }

    /// Fails if nobody is signed in, or another person has signed in since the install began.
    async fn check_person(&self, browser: &Browser, user: &UserId) -> Result<(), Failure> {
        let Some(token) = &browser.token else { return Err(Failure::InvalidState) };
        let session = self.store.auth_session(&token.id()).await?;
        let is_same = session.is_some_and(|session| session.user == *user);
        if is_same { Ok(()) } else { Err(Failure::InvalidState) }
    }

    /// Connects the workspace to the person's bot. A workspace and app have only one channel: if another person has
    /// connected it already, the person joins that channel instead.
    async fn keep_install(&self, state: &OauthState, installation: Installation) -> Result<Channel, Failure> {
        let parsed = |id: &str| id.parse::<PlatformId>().map_err(|_| Failure::SlackUnavailable);
        let (team_id, app_id) = (parsed(&installation.team)?, parsed(&installation.app)?);
        let token = BotToken::issued(installation.bot_token.value, installation.bot_token.rotation, self.now());
        let (team_name, bot_user_id) = (installation.team_name, installation.bot_user);
        let connected = match self.slack_channel_to_connect(&state.bot, &team_id, &app_id).await {
            Ok(id) => {
                let new = NewSlackChannel {
                    id,
                    bot: state.bot.clone(),
                    team_id: team_id.clone(),
                    app_id: app_id.clone(),
                    team_name,
                    bot_user_id,
                    bot_token: Some(token.clone()),
                    signing: SigningSource::Platform,
                    delivery_secret: None,
                };
                self.store.connect_channel(BotReach::Owner(&state.user), new).await
            }
            Err(error) => Err(error),
        };
        match connected {
            Err(ConnectError::RouteTaken) => {
                let joined = self.store.join_slack_channel(&state.user, (&team_id, &app_id), &token).await?;
                // The other channel was disconnected in the meantime.
                joined.ok_or(Failure::Unavailable)
            }
            connected => Ok(connected?),
        }
    }
}
