//! Fields of artifacts.

use portcullis_contract::{Label, Metadata, SafeInteger, Title};
use portcullis_store::{ArtifactChange, ArtifactStatus, PreviewUrl};
use serde::Deserialize;

use super::optional;

/// Changes of an artifact. An absent field keeps its value.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ArtifactChange)]
pub struct ArtifactPatch {
    #[serde(default, deserialize_with = "optional")]
    title: Option<Title>,
    #[serde(default, deserialize_with = "optional")]
    status: Option<ArtifactStatus>,
    #[serde(default, deserialize_with = "optional")]
    preview_url: Option<PreviewUrl>,
    #[serde(default, deserialize_with = "optional")]
    deploy_target: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    lines_of_code: Option<SafeInteger>,
    #[serde(default, deserialize_with = "optional")]
    file_count: Option<SafeInteger>,
    #[serde(default, deserialize_with = "optional")]
    duration_ms: Option<SafeInteger>,
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Metadata>,
}

impl From<ArtifactPatch> for ArtifactChange {
    fn from(patch: ArtifactPatch) -> Self {
        Self {
            title: patch.title,
            status: patch.status,
            preview_url: patch.preview_url,
            deploy_target: patch.deploy_target,
            lines_of_code: patch.lines_of_code,
            file_count: patch.file_count,
            duration_ms: patch.duration_ms,
            metadata: patch.metadata,
        }
    }
}
