//! Artifacts: results of an agent's work, as a skill reports them.

pub mod check_domain;
pub mod create;
mod session;
pub mod update;

use portcullis_runtime::{ApiError, tier::Skill};
use portcullis_store::PutArtifactError;

/// The answer for an artifact that was not written.
fn to_api_error(error: PutArtifactError) -> ApiError {
    match error {
        PutArtifactError::Bot(error) => Skill::refuse_bot(error),
        PutArtifactError::NoSession => session::invalid("No matching session found for chatId"),
        PutArtifactError::SeveralSessions => session::invalid("Ambiguous session resolution for chatId"),
        PutArtifactError::PreviewTaken => preview_taken(),
    }
}

/// 409, which does not name the session that has the URL.
fn preview_taken() -> ApiError {
    ApiError::conflict("previewUrl is already in use by another session")
}
