//! `/api/internal/artifacts`: results of an agent's work that a skill reports.

pub mod check_domain;
pub mod create;
mod session;
pub mod update;

use portcullis_runtime::{ApiError, tier::Skill};
use portcullis_store::PutArtifactError;

/// Converts the store's refusal of an artifact.
fn to_api_error(error: PutArtifactError) -> ApiError {
    match error {
        PutArtifactError::Bot(error) => Skill::refuse_bot(error),
        PutArtifactError::NoSession => session::invalid("No matching session found for chatId"),
        PutArtifactError::SeveralSessions => session::invalid("Ambiguous session resolution for chatId"),
        PutArtifactError::PreviewTaken => preview_taken(),
    }
}

/// Returns a 409 that does not name the session that has the URL.
fn preview_taken() -> ApiError {
    ApiError::conflict("previewUrl is already in use by another session")
}
