//! `/v1/channels`: the channels of the caller's own bots.

mod connecting;
pub(crate) mod delete;
pub(crate) mod discord;
pub(crate) mod feishu;
pub(crate) mod list;
pub(crate) mod readiness;
pub(crate) mod slack;
pub(crate) mod status;

use axum::extract::FromRequestParts;
use http::request::Parts;
use portcullis_auth::{BotId, ChannelId};
use portcullis_runtime::{ApiError, params};
use portcullis_store::{self as store, ChannelStatus, ChatPlatform, ConnectionMode, PlatformId};
use serde::Serialize;

/// The channel id of the path.
pub(crate) struct ChannelPath(ChannelId);

impl<S: Sync> FromRequestParts<S> for ChannelPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        params::path(parts, "id").await.map(Self)
    }
}

/// A channel without its credentials, which are write-only.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OwnChannel)]
#[expect(clippy::struct_field_names, reason = "the fields' names are the contract's")]
pub(crate) struct Channel {
    id: ChannelId,
    bot_id: BotId,
    channel_type: ChatPlatform,
    connection_mode: ConnectionMode,
    account_id: String,
    status: ChannelStatus,
    #[schema(required)]
    team_name: Option<String>,
    #[schema(required)]
    app_id: Option<PlatformId>,
    #[schema(required)]
    bot_user_id: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<store::Channel> for Channel {
    fn from(channel: store::Channel) -> Self {
        Self {
            id: channel.id,
            bot_id: channel.bot,
            channel_type: channel.platform,
            connection_mode: channel.connection_mode,
            account_id: channel.account_id,
            status: channel.status,
            team_name: channel.team_name,
            app_id: Some(channel.app_id),
            bot_user_id: channel.bot_user_id,
            created_at: format!("{:.3}", channel.created_at),
            updated_at: format!("{:.3}", channel.updated_at),
        }
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("Channel not found")
}
