//! `PUT /api/internal/channels/{channelId}`: connects a Slack channel to a bot, or replaces its credentials.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::BotId;
use portcullis_runtime::{
    ApiError, ErrorCode,
    fields::{
        bot::{AppSigningSecret, BotToken, Name},
        optional,
    },
    json::StrictJson,
    openapi,
    tier::Operator,
};
use portcullis_store::{BotReach, ConnectError, NewSlackChannel, PlatformId, SigningSource};
use serde::Deserialize;

use super::{ChannelPath, Response};
use crate::app::App;

/// Settings of a channel. An absent field keeps its value.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChannelSettings)]
pub struct Request {
    bot_id: BotId,
    #[serde(rename = "channelType")]
    #[schema(inline)]
    _channel_type: ChannelType,
    team_id: PlatformId,
    app_id: PlatformId,
    #[serde(default, deserialize_with = "optional")]
    signing_secret: Option<AppSigningSecret>,
    #[serde(default, deserialize_with = "optional")]
    bot_token: Option<BotToken>,
    #[serde(default, deserialize_with = "optional")]
    team_name: Option<Name>,
}

/// Platforms whose channels the operator can connect.
#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum ChannelType {
    Slack,
}

#[utoipa::path(
    put,
    path = "/api/internal/channels/{channelId}",
    tag = "operator",
    params(("channelId" = openapi::Id, Path)),
    request_body = Request,
    responses((status = 200, description = "The channel", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    ChannelPath(channel): ChannelPath,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    let new = NewSlackChannel {
        id: channel,
        bot: request.bot_id,
        team_id: request.team_id,
        app_id: request.app_id,
        team_name: request.team_name.map(|name| name.0),
        bot_user_id: None,
        bot_token: request.bot_token.map(|token| token.0.into()),
        signing: request.signing_secret.map_or(SigningSource::Stored, |secret| SigningSource::Own(secret.0)),
        // The store generates it when the channel is first connected.
        delivery_secret: None,
    };
    Ok(axum::Json(app.store.connect_channel(BotReach::Any, new).await.map_err(to_api_error)?.into()))
}

fn to_api_error(error: ConnectError) -> ApiError {
    match error {
        ConnectError::BotNotFound => ApiError::bad_request(ErrorCode::BotNotFound, "Bot not found"),
        ConnectError::TooManyChannels => ApiError::conflict("The bot has its limit of 20 channels"),
        ConnectError::ChannelTaken => ApiError::conflict("The channel is of another bot, team or app; delete it first"),
        ConnectError::RouteTaken => ApiError::conflict("This team and app are connected to another channel"),
        ConnectError::NoSigningSecret => ApiError::invalid_field("signingSecret", "is required for a new channel"),
        ConnectError::Store(error) => error.into(),
    }
}
