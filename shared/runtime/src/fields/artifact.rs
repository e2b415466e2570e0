//! Fields of artifacts.

use portcullis_store::{ArtifactChange, ArtifactStatus, PreviewUrl};
use serde::{Deserialize, Deserializer, de};

use super::{Count, Label, Metadata, Title, optional};
use crate::openapi;

/// Changes of an artifact. An absent field keeps its value.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ArtifactChange)]
pub struct ArtifactPatch {
    #[serde(default, deserialize_with = "optional")]
    title: Option<Title>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<openapi::ArtifactStatus>)]
    status: Option<ArtifactStatus>,
    #[serde(default, deserialize_with = "preview_url")]
    #[schema(value_type = Option<openapi::WebUrl>)]
    preview_url: Option<PreviewUrl>,
    #[serde(default, deserialize_with = "optional")]
    deploy_target: Option<Label>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_u64)]
    lines_of_code: Option<Count>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_u64)]
    file_count: Option<Count>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_u64)]
    duration_ms: Option<Count>,
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Metadata>,
}

impl From<ArtifactPatch> for ArtifactChange {
    fn from(patch: ArtifactPatch) -> Self {
        Self {
            title: patch.title.map(|title| title.0),
            status: patch.status,
            preview_url: patch.preview_url,
            deploy_target: patch.deploy_target.map(|label| label.0),
            lines_of_code: patch.lines_of_code.map(|count| count.0),
            file_count: patch.file_count.map(|count| count.0),
            duration_ms: patch.duration_ms.map(|count| count.0),
            metadata: patch.metadata.map(|metadata| metadata.0),
        }
    }
}

/// Reads a preview URL; the empty text counts as absent.
///
/// # Errors
/// The deserializer's, with the expected form of a preview URL.
pub fn preview_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PreviewUrl>, D::Error> {
    let text: Option<String> = optional(deserializer)?;
    text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
}
