//! `GET /v1/sessions`: lists conversations of the caller's bots, last changed first, without their metadata.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::request::Parts;
use portcullis_contract::Label;
use portcullis_runtime::{ApiError, openapi, paging, params, resources::Session, tier::User};
use portcullis_store::{SessionFilter, SessionStatus};
use serde::Serialize;

use crate::app::App;

/// A page of conversations. `total` covers the newest 1,000 of each bot.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = OwnSessions)]
pub(crate) struct Response {
    sessions: Vec<Session>,
    total: usize,
    limit: usize,
    offset: usize,
}

#[utoipa::path(
    get,
    path = "/v1/sessions",
    tag = "user",
    params(
        ("botId" = Option<openapi::Id>, Query),
        ("channelType" = Option<Label>, Query),
        ("status" = Option<portcullis_store::SessionStatus>, Query),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 100),
        ("offset" = Option<u64>, Query, minimum = 0, maximum = 100_000),
    ),
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    parts: Parts,
) -> Result<Json<Response>, ApiError> {
    let window = paging::window(&parts)?;
    let filter = SessionFilter {
        channel_type: params::query::<Label>(&parts, "channelType")?.map(String::from),
        status: params::query::<SessionStatus>(&parts, "status")?,
    };
    let page = match params::query(&parts, "botId")? {
        Some(bot) => {
            let bots = [bot];
            let list = async { app.store.list_sessions(&bots, &filter, window).await.map_err(ApiError::from) };
            let [bot] = &bots;
            tokio::try_join!(app.check_bot(&caller.id, bot), list)?.1
        }
        None => app.store.list_sessions(&app.store.owned_bots(&caller.id).await?, &filter, window).await?,
    };
    let sessions = page.items.into_iter().map(Session::from).collect();
    Ok(Json(Response { sessions, total: page.total, limit: window.limit, offset: window.offset }))
}
