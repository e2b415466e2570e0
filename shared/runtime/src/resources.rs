//! Response types of resources that several functions return, in the contract's form.

use portcullis_auth::BotId;
use portcullis_contract::{Metadata, SafeInteger};
use portcullis_store::{self as store, ArtifactSource, ArtifactStatus, ArtifactType, SessionStatus};
use serde::Serialize;
use serde_json::value::RawValue;

/// A conversation in the contract's form.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the fields' names are the contract's")]
pub struct Session {
    id: String,
    bot_id: BotId,
    session_key: String,
    channel_type: Option<String>,
    channel_id: Option<String>,
    title: String,
    status: SessionStatus,
    message_count: SafeInteger,
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
            message_count: session.message_count.into(),
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
    bot_id: BotId,
    session_key: Option<String>,
    channel_type: Option<String>,
    channel_id: Option<String>,
    title: String,
    artifact_type: Option<ArtifactType>,
    source: Option<ArtifactSource>,
    content_type: Option<String>,
    status: ArtifactStatus,
    preview_url: Option<String>,
    deploy_target: Option<String>,
    lines_of_code: Option<SafeInteger>,
    file_count: Option<SafeInteger>,
    duration_ms: Option<SafeInteger>,
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
            lines_of_code: artifact.lines_of_code.map(SafeInteger::from),
            file_count: artifact.file_count.map(SafeInteger::from),
            duration_ms: artifact.duration_ms.map(SafeInteger::from),
            metadata: Metadata::answered(artifact.metadata.as_deref()),
            created_at: format!("{:.3}", artifact.created_at),
            updated_at: format!("{:.3}", artifact.updated_at),
        }
    }
}
