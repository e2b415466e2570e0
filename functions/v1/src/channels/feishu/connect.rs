//! `POST /v1/channels/feishu/connect`: connects a customer's own Feishu app to one of the caller's bots.
//!
//! Feishu issues a token only for the app's id and secret together, so nobody can connect an app without holding its
//! secret.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::{BotId, FeishuSecrets};
use portcullis_runtime::{
    ApiError,
    fields::{
        bot::{FeishuEncryptKey, FeishuSecret},
        optional,
    },
    json::StrictJson,
    openapi,
    tier::User,
};
use portcullis_store::{BotReach, ChatPlatform, ConnectError, ConnectionMode, NewFeishuChannel, PlatformId};
use serde::Deserialize;

use super::super::{Channel, connecting};
use crate::app::App;

/// Message of the 502 when Feishu does not answer.
const SILENT: &str = "Feishu did not answer; try again";

/// A Feishu app to connect. `botId` is required if the person has several bots. With `connectionMode` `websocket`, the
/// default, the bot's pool opens a connection to Feishu. With `webhook`, Feishu posts to
/// `/api/feishu/events/{channelId}` and `/api/feishu/card-action/{channelId}`; `verificationToken` is then required,
/// and `encryptKey` if the app has one.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeishuConnect)]
pub(crate) struct Request {
    #[serde(default, deserialize_with = "optional")]
    bot_id: Option<BotId>,
    app_id: PlatformId,
    app_secret: FeishuSecret,
    #[serde(default, deserialize_with = "optional")]
    connection_mode: Option<ConnectionMode>,
    #[serde(default, deserialize_with = "optional")]
    verification_token: Option<FeishuSecret>,
    #[serde(default, deserialize_with = "optional")]
    encrypt_key: Option<FeishuEncryptKey>,
}

#[utoipa::path(
    post,
    path = "/v1/channels/feishu/connect",
    tag = "user",
    request_body = Request,
    responses((status = 200, body = Channel), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Channel>, ApiError> {
    let webhook = match (request.connection_mode, request.verification_token) {
        (None | Some(ConnectionMode::Websocket), _) => None,
        (Some(ConnectionMode::Webhook), Some(token)) => {
            Some(FeishuSecrets::new(token.0, request.encrypt_key.map(|key| key.0)))
        }
        (Some(ConnectionMode::Webhook), None) => {
            return Err(ApiError::invalid_field("verificationToken", "is required for events by webhook"));
        }
    };
    let bot = app.bot_to_connect(&caller.id, request.bot_id).await?;
    let token = app.feishu.tenant_token(request.app_id.as_str(), &request.app_secret.0).await.map_err(|error| {
        connecting::refuse_credentials(error, "Feishu does not accept this app id and secret", SILENT)
    })?;
    let identity = app.feishu.bot(&token).await.map_err(|error| {
        let refused = "The app has no bot: add the bot to it in Feishu's developer console, and publish a version";
        connecting::refuse_credentials(error, refused, SILENT)
    })?;
    let route = app.store.app_route(ChatPlatform::Feishu, &request.app_id).await?;
    let new = NewFeishuChannel {
        id: app.channel_to_connect(&bot, route).await.map_err(to_api_error)?,
        bot,
        app_id: request.app_id,
        app_name: identity.app_name,
        bot_user_id: identity.open_id,
        app_secret: request.app_secret.0,
        webhook,
    };
    let connected = app.store.connect_channel(BotReach::Owner(&caller.id), new).await;
    Ok(axum::Json(connected.map_err(to_api_error)?.into()))
}

fn to_api_error(error: ConnectError) -> ApiError {
    connecting::to_api_error(error, "This app is connected to another bot")
}
