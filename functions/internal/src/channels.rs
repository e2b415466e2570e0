//! `/api/internal/channels`: the operator's view of connected channels.

pub mod delete;
pub mod get;
pub mod list;
pub mod put;

use axum::extract::FromRequestParts;
use http::request::Parts;
use portcullis_auth::{BotId, ChannelId};
use portcullis_runtime::{ApiError, params};
use portcullis_store::{Channel, ChannelStatus, ChatPlatform, ConnectionMode, PlatformId};
use serde::Serialize;

/// The channel id of the path.
pub struct ChannelPath(ChannelId);

impl<S: Sync> FromRequestParts<S> for ChannelPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        params::path(parts, "channelId").await.map(Self)
    }
}

/// A channel without its credentials, which are write-only.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Channel)]
pub struct Response {
    id: ChannelId,
    bot_id: BotId,
    channel_type: ChatPlatform,
    connection_mode: ConnectionMode,
    account_id: String,
    status: ChannelStatus,
    #[schema(required)]
    team_id: Option<PlatformId>,
    #[schema(required)]
    team_name: Option<String>,
    app_id: PlatformId,
    #[schema(required)]
    bot_user_id: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<Channel> for Response {
    fn from(channel: Channel) -> Self {
        Self {
            id: channel.id,
            bot_id: channel.bot,
            channel_type: channel.platform,
            connection_mode: channel.connection_mode,
            account_id: channel.account_id,
            status: channel.status,
            team_id: channel.team_id,
            team_name: channel.team_name,
            app_id: channel.app_id,
            bot_user_id: channel.bot_user_id,
            created_at: format!("{:.3}", channel.created_at),
            updated_at: format!("{:.3}", channel.updated_at),
        }
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("Channel not found")
}
