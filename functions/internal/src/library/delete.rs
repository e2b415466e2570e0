//! `DELETE /api/internal/skills/{name}` and `DELETE /api/internal/workspace-templates/{name}`: deletes a document from
//! all pools.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_auth::{LibraryName, SkillFolder, TemplateName};
use portcullis_runtime::{ApiError, openapi, tier::Operator};
use portcullis_store::{DeleteDocumentError, Library};

use super::{NamePath, Stored};
use crate::app::App;

impl App {
    async fn delete_from(
        &self,
        library: Library,
        name: LibraryName,
        not_found: &'static str,
    ) -> Result<Json<Stored>, ApiError> {
        let deleted = self.store.delete_document(library, &name).await;
        self.library_versions.forget();
        match deleted {
            Ok(version) => Ok(Json(Stored { ok: true, name, version: version.into(), warnings: Vec::new() })),
            Err(DeleteDocumentError::NotFound) => Err(ApiError::not_found(not_found)),
            Err(DeleteDocumentError::Store(error)) => Err(error.into()),
        }
    }
}

#[utoipa::path(
    delete,
    path = "/api/internal/skills/{name}",
    tag = "operator",
    params(("name" = openapi::SkillFolder, Path)),
    responses(
        (status = 200, description = "The document's name, and the current version of the skills", body = Stored),
        openapi::Refusals
    ),
    security(("internalToken" = [])),
)]
pub async fn skill(
    State(app): State<Arc<App>>,
    _caller: Operator,
    NamePath(name): NamePath<SkillFolder>,
) -> Result<Json<Stored>, ApiError> {
    app.delete_from(Library::Skills, name.into(), "Skill not found").await
}

#[utoipa::path(
    delete,
    path = "/api/internal/workspace-templates/{name}",
    tag = "operator",
    params(("name" = openapi::TemplateName, Path)),
    responses(
        (status = 200, description = "The document's name, and the current version of the templates", body = Stored),
        openapi::Refusals
    ),
    security(("internalToken" = [])),
)]
pub async fn template(
    State(app): State<Arc<App>>,
    _caller: Operator,
    NamePath(name): NamePath<TemplateName>,
) -> Result<Json<Stored>, ApiError> {
    app.delete_from(Library::WorkspaceTemplates, name.into(), "Workspace template not found").await
}
