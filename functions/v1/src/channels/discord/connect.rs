//! `POST /v1/channels/discord/connect`: connects a customer's own Discord application to one of the caller's bots.
//!
//! Discord reports the bot token's application, so nobody can connect an application without holding its token.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::BotId;
use portcullis_runtime::{
    ApiError,
    fields::{
        bot::{BotToken, Name},
        optional,
    },
    json::StrictJson,
    openapi,
    tier::User,
};
use portcullis_store::{BotReach, ChatPlatform, ConnectError, NewDiscordChannel, PlatformId};
use serde::Deserialize;

use super::super::{Channel, connecting};
use crate::app::App;

/// A Discord application to connect. `botId` is required if the person has several bots; `appId` must match the bot
/// token.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DiscordConnect)]
pub(crate) struct Request {
    #[serde(default, deserialize_with = "optional")]
    bot_id: Option<BotId>,
    bot_token: BotToken,
    app_id: PlatformId,
    #[serde(default, deserialize_with = "optional")]
    guild_id: Option<PlatformId>,
    #[serde(default, deserialize_with = "optional")]
    guild_name: Option<Name>,
}

#[utoipa::path(
    post,
    path = "/v1/channels/discord/connect",
    tag = "user",
    request_body = Request,
    responses((status = 200, body = Channel), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Channel>, ApiError> {
    let bot = app.bot_to_connect(&caller.id, request.bot_id).await?;
    let identity = app.discord.identify(&request.bot_token.0).await.map_err(|error| {
        connecting::refuse_credentials(
            error,
            "Discord does not accept this bot token",
            "Discord did not answer; try again",
        )
    })?;
    if identity.application != request.app_id.as_str() {
        return Err(ApiError::invalid_field("appId", "is not the bot token's"));
    }
    let route = app.store.app_route(ChatPlatform::Discord, &request.app_id).await?;
    let new = NewDiscordChannel {
        id: app.channel_to_connect(&bot, route).await.map_err(to_api_error)?,
        bot,
        app_id: request.app_id,
        guild_id: request.guild_id,
        guild_name: request.guild_name.map(|name| name.0),
        bot_user_id: identity.user,
        bot_token: request.bot_token.0,
    };
    let connected = app.store.connect_channel(BotReach::Owner(&caller.id), new).await;
    Ok(axum::Json(connected.map_err(to_api_error)?.into()))
}

fn to_api_error(error: ConnectError) -> ApiError {
    connecting::to_api_error(error, "This application is connected to another bot")
}
