//! `GET /v1/integrations`: lists the toolkits, each with the caller's account there.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};
use portcullis_store::IntegrationStatus;
use serde::Serialize;

use super::Integration;
use crate::{app::App, policies::permission};

/// The integrations, in the catalogue's order. A disabled or removed toolkit is listed only if the caller has
/// connected it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Integrations)]
pub(crate) struct Response {
    integrations: Vec<Integration>,
}

#[utoipa::path(
    get,
    path = "/v1/integrations",
    tag = "user",
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(State(app): State<Arc<App>>, caller: User) -> Result<Json<Response>, ApiError> {
    let (catalogue, known, bots) =
        tokio::try_join!(app.store.catalogue(), app.store.integrations_of(&caller.id), app.store.bots_of(&caller.id))?;
    let policies = app.policies_of(&bots).await?;
    let shown = catalogue.in_order().into_iter().filter_map(|toolkit| {
        let known = known.iter().find(|known| known.toolkit == toolkit.slug);
        let is_connected = known.is_some_and(|known| known.status == IntegrationStatus::Active);
        let permission = permission(&policies, &toolkit.slug, &catalogue);
        (toolkit.enabled || is_connected).then(|| Integration::new(toolkit, known).permitted(permission))
    });
    let removed = known
        .iter()
        .filter(|known| known.status == IntegrationStatus::Active && catalogue.get(&known.toolkit).is_none());
    let removed = removed.map(|known| Integration::of_known(&catalogue, known));
    Ok(Json(Response { integrations: shown.chain(removed).collect() }))
}
