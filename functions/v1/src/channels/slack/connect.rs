//! `POST /v1/channels/slack/connect`: connects a customer's own Slack app to one of the caller's bots.
//!
//! Slack reports the bot token's workspace and app, so nobody can connect an app without holding its token.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::BotId;
use portcullis_runtime::{
    ApiError,
    fields::{
        bot::{AppSigningSecret, BotToken, Name},
        optional,
    },
    json::StrictJson,
    openapi,
    tier::User,
};
use portcullis_store::{BotReach, NewSlackChannel, PlatformId, SigningSource};
use portcullis_upstream::SlackError;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{super::Channel, to_api_error};
use crate::app::App;

/// Prefix of bot tokens of apps with token rotation. Source: Slack, "Using token rotation".
const ROTATING: &str = "xoxe.";

/// A Slack app to connect. `botId` is required if the person has several bots. `teamId` and `appId` are optional, and
/// must match the bot token.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SlackConnect)]
pub(crate) struct Request {
    #[serde(default, deserialize_with = "optional")]
    bot_id: Option<BotId>,
    bot_token: BotToken,
    signing_secret: AppSigningSecret,
    #[serde(default, deserialize_with = "optional")]
    team_id: Option<PlatformId>,
    #[serde(default, deserialize_with = "optional")]
    team_name: Option<Name>,
    #[serde(default, deserialize_with = "optional")]
    app_id: Option<PlatformId>,
}

#[utoipa::path(
    post,
    path = "/v1/channels/slack/connect",
    tag = "user",
    request_body = Request,
    responses((status = 200, body = Channel), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Channel>, ApiError> {
    if request.bot_token.0.expose_secret().starts_with(ROTATING) {
        return Err(ApiError::conflict(
            "This token ends within 12 hours: turn token rotation off in the app's settings, and use the bot token that it has then",
        ));
    }
    let bot = app.bot_to_connect(&caller.id, request.bot_id).await?;
    let identity = app.slack.identify(&request.bot_token.0).await.map_err(|error| refuse_token(&error))?;
    let team_id = known_id("teamId", Some(identity.team), request.team_id)?;
    let app_id = known_id("appId", identity.app, request.app_id)?;
    let new = NewSlackChannel {
        id: app.slack_channel_to_connect(&bot, &team_id, &app_id).await.map_err(to_api_error)?,
        bot,
        team_id,
        app_id,
        team_name: identity.team_name.or(request.team_name.map(|name| name.0)),
        bot_user_id: Some(identity.user),
        bot_token: Some(request.bot_token.0.into()),
        signing: SigningSource::Own(request.signing_secret.0),
        // The store generates it when the channel is first connected.
        delivery_secret: None,
    };
    let connected = app.store.connect_channel(BotReach::Owner(&caller.id), new).await;
    Ok(axum::Json(connected.map_err(to_api_error)?.into()))
}

/// Returns the id that Slack reports, or, if the token lacks the scope for that, the id that the request names.
fn known_id(field: &'static str, told: Option<String>, named: Option<PlatformId>) -> Result<PlatformId, ApiError> {
    let Some(told) = told else {
        return named.ok_or_else(|| ApiError::invalid_field(field, "is required: the bot token lacks users:read"));
    };
    let told: PlatformId = told.parse().map_err(|_| not_understood())?;
    match named {
        Some(named) if named != told => Err(ApiError::invalid_field(field, "is not the bot token's")),
        _ => Ok(told),
    }
}

fn refuse_token(error: &SlackError) -> ApiError {
    match error {
        SlackError::Revoked(_) | SlackError::Refused(_) => ApiError::conflict("Slack does not accept this bot token"),
        SlackError::Transient(_) => {
            ApiError::bad_gateway("Slack did not answer; try again", format!("auth.test: {}", error.code()))
        }
    }
}

fn not_understood() -> ApiError {
    ApiError::bad_gateway("Slack gave an answer that is not understood", "an id in auth.test's answer is malformed")
}
