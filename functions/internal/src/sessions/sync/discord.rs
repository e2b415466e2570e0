//! `POST /api/internal/sessions/sync-discord`: syncs one session for each guild of each connected Discord bot.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use portcullis_runtime::{ApiError, json::StrictJson, openapi, tier::PoolMachine};
use portcullis_store::ChatPlatform;
use portcullis_upstream::ChatApiError;

use super::{Connection, Conversation, Listing, Request, Response, unlimited};
use crate::app::App;

#[utoipa::path(
    post,
    path = "/api/internal/sessions/sync-discord",
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
    let platform = ChatPlatform::Discord;
    let connections = app.connections(&caller, &request.pool_id, platform).await?;
    let listings = connections.iter().map(|connection| app.guilds(connection)).collect();
    let silent = "Discord did not answer for every bot; try again";
    app.keep_listed(&caller, platform, &connections, listings, silent).await.map(Answer)
}

impl App {
    async fn guilds(&self, connection: &Connection) -> Result<Vec<Conversation>, ChatApiError> {
        let mut listing = Listing::default();
        loop {
            let page = listing.page.clone();
            let call = || self.discord.guilds(&connection.credential, page.as_deref());
            let (guilds, has_more) = unlimited(call).await?;
            let next = guilds.last().map(|guild| guild.id.clone()).filter(|_| has_more);
            let found = guilds.into_iter().map(|guild| Conversation { id: guild.id, name: Some(guild.name) });
            if !listing.take(found.collect(), next) {
                return Ok(listing.conversations);
            }
        }
    }
}
