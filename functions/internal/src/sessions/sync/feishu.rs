//! `POST /api/internal/sessions/sync-feishu`: syncs one session for each group chat of each connected Feishu bot.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use portcullis_runtime::{ApiError, json::StrictJson, openapi, tier::PoolMachine};
use portcullis_store::ChatPlatform;
use portcullis_upstream::ChatApiError;

use super::{Connection, Conversation, Listing, Request, Response, unlimited};
use crate::app::App;

#[utoipa::path(
    post,
    path = "/api/internal/sessions/sync-feishu",
    tag = "runtime",
    request_body = Request,
    responses(
        (status = 200, description = "The number of sessions that were synced", body = Response),
        openapi::Refusals
    ),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    StrictJson(request): StrictJson<Request>,
) -> Result<Answer<Response>, ApiError> {
    let platform = ChatPlatform::Feishu;
    let connections = app.connections(&caller, &request.pool_id, platform).await?;
    let listings = connections.iter().map(|connection| app.chats(connection)).collect();
    let silent = "Feishu did not answer for every bot; try again";
    app.keep_listed(&caller, platform, &connections, listings, silent).await.map(Answer)
}

impl App {
    async fn chats(&self, connection: &Connection) -> Result<Vec<Conversation>, ChatApiError> {
        let call = || self.feishu.tenant_token(connection.app.as_str(), &connection.credential);
        let token = unlimited(call).await?;
        let mut listing = Listing::default();
        loop {
            let page = listing.page.clone();
            let (chats, next) = unlimited(|| self.feishu.chats(&token, page.as_deref())).await?;
            let found = chats.into_iter().map(|chat| Conversation { id: chat.id, name: chat.name });
            if !listing.take(found.collect(), next) {
                return Ok(listing.conversations);
            }
        }
    }
}
