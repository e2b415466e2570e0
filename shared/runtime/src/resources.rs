//! Response types of resources that several functions return, in the contract's form.

use portcullis_auth::BotId;
use portcullis_store::{self as store, ArtifactSource, ArtifactStatus, ArtifactType, SessionStatus};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{fields::Metadata, openapi};

/// A conversation in the contract's form.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the fields' names are the contract's")]
pub struct Session {
    id: String,
    #[schema(value_type = openapi::Id)]
    bot_id: BotId,
    session_key: String,
    channel_type: Option<String>,
    channel_id: Option<String>,
    title: String,
    #[schema(value_type = openapi::SessionStatus)]
    status: SessionStatus,
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    message_count: u64,
    last_message_at: Option<String>,
    #[schema(value_type = serde_json::Value)]
    metadata: Box<RawValue>,
    created_at: String,
    updated_at: String,
}

impl From<store::Session> for Session {
    fn from(session: store::Session) -> Self {
        Self {
            id: session.id,
            bot_id: session.bot,
            session_key: session.session_key,
            channel_type: session.channel_type,
            channel_id: session.channel_id,
            title: session.title,
            status: session.status,
            message_count: session.message_count,
            last_message_at: session.last_message_at.map(|at| format!("{at:.3}")),
            metadata: Metadata::answered(session.metadata.as_deref()),
            created_at: format!("{:.3}", session.created_at),
            updated_at: format!("{:.3}", session.updated_at),
        }
    }
}

/// An artifact in the contract's form.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the fields' names are the contract's")]
pub struct Artifact {
    id: String,
    #[schema(value_type = openapi::Id)]
    bot_id: BotId,
    session_key: Option<String>,
    channel_type: Option<String>,
    channel_id: Option<String>,
    title: String,
    #[schema(value_type = Option<openapi::ArtifactType>)]
    artifact_type: Option<ArtifactType>,
    #[schema(value_type = Option<openapi::ArtifactSource>)]
    source: Option<ArtifactSource>,
    content_type: Option<String>,
    #[schema(value_type = openapi::ArtifactStatus)]
    status: ArtifactStatus,
    preview_url: Option<String>,
    deploy_target: Option<String>,
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    lines_of_code: Option<u64>,
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    file_count: Option<u64>,
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    duration_ms: Option<u64>,
    #[schema(value_type = serde_json::Value)]
    metadata: Box<RawValue>,
    created_at: String,
    updated_at: String,
}

impl From<store::Artifact> for Artifact {
    fn from(artifact: store::Artifact) -> Self {
        Self {
            id: artifact.id,
            bot_id: artifact.bot,
            session_key: artifact.session_key,
            channel_type: artifact.channel_type,
            channel_id: artifact.channel_id,
            title: artifact.title,
            artifact_type: artifact.artifact_type,
            source: artifact.source,
            content_type: artifact.content_type,
            status: artifact.status,
            preview_url: artifact.preview_url.map(|url| url.to_string()),
            deploy_target: artifact.deploy_target,
            lines_of_code: artifact.lines_of_code,
            file_count: artifact.file_count,
            duration_ms: artifact.duration_ms,
            metadata: Metadata::answered(artifact.metadata.as_deref()),
            created_at: format!("{:.3}", artifact.created_at),
            updated_at: format!("{:.3}", artifact.updated_at),
        }
    }
}
