//! `GET /api/internal/skills` and `GET /api/internal/workspace-templates`: lists a library's documents, inactive ones
//! too.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::request::Parts;
use portcullis_auth::LibraryName;
use portcullis_crypto::Digest;
use portcullis_runtime::{
    ApiError, openapi,
    paging::{List, PageOf},
    tier::Operator,
};
use portcullis_store::{DocumentSummary, Library};
use serde::Serialize;

use super::Status;
use crate::app::App;

/// A skill or a template without its text.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ListedDocument)]
pub struct Listed {
    name: LibraryName,
    status: Status,
    bytes: usize,
    #[schema(value_type = openapi::Sha256)]
    hash: Digest,
}

impl From<DocumentSummary> for Listed {
    fn from(document: DocumentSummary) -> Self {
        let DocumentSummary { name, is_active, bytes, digest } = document;
        let status = if is_active { Status::Active } else { Status::Inactive };
        Self { name, status, bytes, hash: digest }
    }
}

impl App {
    /// Returns a page of a library by name, in one call: a single row lists the whole library.
    async fn page_of(&self, library: Library, list: &List, parts: &Parts) -> Result<Json<PageOf<Listed>>, ApiError> {
        let request = list.page(parts)?;
        let contents = self.store.library(library).await?;
        let begins_after =
            |name: &LibraryName| request.after.as_ref().is_none_or(|after| name.as_str() > after.as_str());
        let mut rest = contents.documents().filter(|document| begins_after(&document.name)).peekable();
        let items: Vec<_> = rest.by_ref().take(request.limit).map(Listed::from).collect();
        let is_cut = rest.peek().is_some();
        let after = items.last().map(|item| item.name.to_string()).filter(|_| is_cut);
        Ok(Json(list.answer(items, after)))
    }
}

#[utoipa::path(
    get,
    path = "/api/internal/skills",
    tag = "operator",
    params(("limit" = Option<u64>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of the skills", body = PageOf<Listed>), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn skills(
    State(app): State<Arc<App>>,
    _caller: Operator,
    parts: Parts,
) -> Result<Json<PageOf<Listed>>, ApiError> {
    app.page_of(Library::Skills, &List::new("skills", &[]), &parts).await
}

#[utoipa::path(
    get,
    path = "/api/internal/workspace-templates",
    tag = "operator",
    params(("limit" = Option<u64>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page of the templates", body = PageOf<Listed>), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn templates(
    State(app): State<Arc<App>>,
    _caller: Operator,
    parts: Parts,
) -> Result<Json<PageOf<Listed>>, ApiError> {
    app.page_of(Library::WorkspaceTemplates, &List::new("workspace-templates", &[]), &parts).await
}
