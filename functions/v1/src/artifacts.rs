//! `/v1/artifacts`: artifacts of the caller's own bots.

pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod stats;
pub(crate) mod update;

use portcullis_runtime::ApiError;
use portcullis_store::ArtifactError;

fn not_found() -> ApiError {
    ApiError::not_found("Artifact not found")
}

fn to_api_error(error: ArtifactError) -> ApiError {
    match error {
        ArtifactError::NotFound | ArtifactError::Revoked => not_found(),
        ArtifactError::PreviewTaken => ApiError::conflict("previewUrl is already in use by another session"),
        ArtifactError::Store(error) => error.into(),
    }
}
