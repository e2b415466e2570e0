//! `GET /v1/integrations/connect/{linkId}`: opens a link that an agent handed out in a chat.
//!
//! The caller is a browser, so each outcome is a redirect to a page. Only the link's owner can begin a connection with
//! it, and only when signed in. A cookie binds the browser before the redirect, so that the account can become active
//! in that browser alone.

use std::sync::Arc;

use axum::extract::State;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{LOCATION, SET_COOKIE},
    request::Parts,
};
use portcullis_auth::UserId;
use portcullis_runtime::{ApiError, openapi, params, tier::Browser};
use portcullis_store::{IntegrationSource, IntegrationStatus, connect_link_digest};
use url::Url;

use super::{Begin, OUTCOME_PAGE, STATE_BYTES};
use crate::{
    app::App,
    browser_cookie::{Begun, BrowserCookie},
};

#[utoipa::path(
    get,
    path = "/v1/integrations/connect/{linkId}",
    tag = "browser",
    params(("linkId" = openapi::Id, Path)),
    responses((status = 302), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    browser: Browser,
    mut parts: Parts,
) -> Result<(StatusCode, HeaderMap), ApiError> {
    let link: String = params::path(&mut parts, "linkId").await?;
    let cookie = BrowserCookie::new(app.origins.api().is_secure(), Begun::Connections);
    let secret = cookie.read_or_new(&parts.headers, &*app.randomness);
    let mut headers = HeaderMap::new();
    let target = match app.open_link(&browser, &link, cookie.digest(&secret)).await? {
        Ok(page) => {
            headers.insert(SET_COOKIE, cookie.set(&secret)?);
            page
        }
        Err(refusal) => {
            let mut page = app.origins.web().url().clone();
            page.set_path(OUTCOME_PAGE);
            page.query_pairs_mut().append_pair("error", refusal);
            page
        }
    };
    let target = HeaderValue::try_from(target.as_str()).map_err(|_| ApiError::internal("a URL is a header's value"))?;
    headers.insert(LOCATION, target);
    Ok((StatusCode::FOUND, headers))
}

impl App {
    /// Returns the consent page; or, if this browser gets none, the reason as an error code.
    async fn open_link(
        &self,
        browser: &Browser,
        link: &str,
        cookie: portcullis_crypto::Digest,
    ) -> Result<Result<Url, &'static str>, ApiError> {
        let Some(user) = self.signed_in(browser).await? else { return Ok(Err("sign_in_required")) };
        let found = self.store.integration_of_link(&user, connect_link_digest(link));
        let (catalogue, known) = tokio::try_join!(self.store.catalogue(), found)?;
        let Some(known) = known.filter(|known| known.status != IntegrationStatus::Active) else {
            return Ok(Err("invalid_link"));
        };
        if !catalogue.get(&known.toolkit).is_some_and(|toolkit| toolkit.enabled) {
            return Ok(Err("not_allowed"));
        }
        let state = self.random_hex::<STATE_BYTES>();
        let begun = Begin {
            user: &user,
            toolkit: &known.toolkit,
            state: &state,
            browser: cookie,
            source: IntegrationSource::Chat,
            return_to: None,
        };
        Ok(match self.begin_connection(begun).await {
            Ok((page, _)) => Ok(page),
            Err(error) => {
                tracing::warn!(?error, "a link of a chat led nowhere");
                Err("unavailable")
            }
        })
    }

    async fn signed_in(&self, browser: &Browser) -> Result<Option<UserId>, ApiError> {
        let Some(token) = &browser.token else { return Ok(None) };
        Ok(self.store.auth_session(&token.id()).await?.map(|session| session.user))
    }
}
