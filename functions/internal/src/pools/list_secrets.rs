//! `GET /api/internal/pools/{poolId}/secrets`: lists the names of a pool's secrets, never their values.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::request::Parts;
use portcullis_contract::SafeInteger;
use portcullis_runtime::{
    ApiError, openapi,
    paging::{List, PageOf},
    tier::Operator,
};
use portcullis_store::{Scope, SecretEntry, SecretName};
use serde::Serialize;

use crate::{
    app::{App, pool_not_found},
    pool_path::PoolPath,
};

/// A secret without its value.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ListedSecret)]
pub struct Listed {
    #[schema(value_type = String)]
    name: SecretName,
    #[schema(value_type = String)]
    scope: Scope,
    #[schema(required)]
    revision: Option<SafeInteger>,
    updated_at: String,
}

impl From<SecretEntry> for Listed {
    fn from(entry: SecretEntry) -> Self {
        let SecretEntry { scope, name, revision, updated_at } = entry;
        Self { name, scope, revision: revision.map(SafeInteger::from), updated_at: format!("{updated_at:.3}") }
    }
}

#[utoipa::path(
    get,
    path = "/api/internal/pools/{poolId}/secrets",
    tag = "operator",
    params(
        ("poolId" = openapi::Id, Path),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query)
    ),
    responses((status = 200, description = "A page of the secrets' names", body = PageOf<Listed>), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    PoolPath(pool): PoolPath,
    parts: Parts,
) -> Result<Json<PageOf<Listed>>, ApiError> {
    let list = List::new("secrets", &[pool.as_str()]);
    let request = list.page(&parts)?;
    let (known, page) =
        tokio::try_join!(app.store.get_pool(&pool), app.store.list_secrets(&pool, request.limit, request.after))?;
    known.ok_or_else(|| pool_not_found(&pool))?;
    Ok(Json(list.answer(page.items.into_iter().map(Listed::from).collect(), page.after)))
}
