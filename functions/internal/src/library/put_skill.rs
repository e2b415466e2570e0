//! `PUT /api/internal/skills/{name}`: stores a skill.
//!
//! A skill cannot be named `latest`: that path belongs to the endpoint that returns all skills, and answers 405.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{Json as Answer, extract::State};
use portcullis_auth::SkillFolder;
use portcullis_openclaw::FilePath;
use portcullis_runtime::{ApiError, ErrorCode, json::StrictJson, openapi, tier::Operator};
use portcullis_store::Library;
use serde::Deserialize;

use super::{BODY_LIMIT, NamePath, Status, Stored, front_matter};
use crate::app::App;

/// Path of the skill's own text among its files.
const SKILL_FILE: &str = "SKILL.md";

/// Limit of a skill's files, its own text included.
const MAXIMUM_FILES: usize = 1000;

/// Limit of a skill's paths and texts together, in bytes: 1 MiB.
const MAXIMUM_BYTES: usize = 1024 * 1024;

/// A skill.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = Skill)]
pub struct Request {
    content: String,
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    files: BTreeMap<FilePath, String>,
    #[serde(default)]
    status: Status,
}

#[utoipa::path(
    put,
    path = "/api/internal/skills/{name}",
    tag = "operator",
    params(("name" = openapi::SkillFolder, Path)),
    request_body = Request,
    responses(
        (status = 200, description = "The document's name, and the current version of the skills", body = Stored),
        openapi::Refusals
    ),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    NamePath(name): NamePath<SkillFolder>,
    StrictJson(request): StrictJson<Request, BODY_LIMIT>,
) -> Result<Answer<Stored>, ApiError> {
    let Request { content, mut files, status } = request;
    if content.is_empty() {
        return Err(ApiError::invalid_field("content", "must not be empty"));
    }
    // `content` takes precedence: existing clients send the skill's own text a second time among the files.
    files.retain(|path, _| path.as_str() != SKILL_FILE);
    check(&files)?;
    let mut texts: BTreeMap<&str, &str> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    texts.insert(SKILL_FILE, &content);
    let bytes = texts.iter().map(|(path, text)| path.len() + text.len()).sum();
    if bytes > MAXIMUM_BYTES {
        let message = format!("A skill's paths and texts must be at most {MAXIMUM_BYTES} bytes");
        return Err(ApiError::bad_request(ErrorCode::TooLarge, message));
    }
    let mut stored = app.put_in(Library::Skills, name.into(), status, bytes, &texts).await?;
    stored.warnings = front_matter::warnings(&content);
    Ok(stored)
}

/// Checks that these files can lie side by side and beside the skill's text.
fn check(files: &BTreeMap<FilePath, String>) -> Result<(), ApiError> {
    let refuse = |why: &str| Err(ApiError::invalid_field("files", why));
    if files.len() >= MAXIMUM_FILES {
        return refuse("must be fewer than 1000");
    }
    let paths: BTreeSet<&str> = files.keys().map(FilePath::as_str).collect();
    if files.keys().flat_map(FilePath::folders).any(|folder| folder == SKILL_FILE || paths.contains(folder)) {
        return refuse("must not hold a file in whose path another file is a folder");
    }
    Ok(())
}
