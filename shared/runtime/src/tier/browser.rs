//! Tiers of browsers: [`browser`] for endpoints without a session, [`user`] for a signed-in person.
//!
//! A state-changing request with a session cookie must come from a page of a trusted origin (protection against CSRF):
//! a browser sends the cookie with requests of any page, and `SameSite=Lax` stops most of these but not all.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::{
    Extensions, HeaderMap,
    header::{COOKIE, ORIGIN, REFERER, USER_AGENT},
    request::Parts,
};
use lambda_http::request::RequestContext;
use portcullis_auth::{Clock, SessionCookie, SessionId, SessionSecret, SessionToken, UserId};
use portcullis_store::{AuthSession, Store};

use super::{Mounted, Routes, admit};
use crate::{
    ApiError, ErrorCode,
    origins::Origins,
    rotating::{Rotating, TRUSTED_FOR},
};

/// Longest stored user agent, in characters.
const MAXIMUM_USER_AGENT_LENGTH: usize = 256;

/// Dependencies of the browsers' tiers.
#[derive(Clone)]
pub struct BrowserGate {
    /// Secret that signs session cookies.
    pub secret: Rotating<SessionSecret>,
    /// Name and attributes of the session cookie.
    pub cookie: SessionCookie,
    /// Origins whose pages may use the cookie.
    pub origins: Arc<Origins>,
    /// Store of the sessions.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// A browser, signed in or not.
#[derive(Clone, Debug)]
pub struct Browser {
    /// Token of a cookie with a valid signature; only the store knows whether the session is still open.
    pub token: Option<SessionToken>,
    /// Client's address as the gateway saw it, never from a header.
    pub address: Option<IpAddr>,
    /// User agent, truncated.
    pub user_agent: Option<String>,
}

/// A signed-in person.
#[derive(Clone, Debug)]
pub struct User {
    /// Id of the account.
    pub id: UserId,
    /// The session that this request belongs to.
    pub session: AuthSession,
}

/// Mounts routes for browsers: [`Browser`] is the caller.
pub fn browser<S: Clone + Send + Sync + 'static>(gate: &BrowserGate, state: S, routes: Routes<S>) -> Mounted {
    let authenticate = async |State(gate): State<BrowserGate>, request: Request, next: Next| -> Response {
        let (parts, body) = request.into_parts();
        let browser = gate.browser(&parts).await;
        admit(browser, Request::from_parts(parts, body), next).await
    };
    routes.behind("browser", state, &middleware::from_fn_with_state(gate.clone(), authenticate))
}

/// Mounts routes for signed-in people: [`User`] is the caller, and [`Browser`] is available as well.
pub fn user<S: Clone + Send + Sync + 'static>(gate: &BrowserGate, state: S, routes: Routes<S>) -> Mounted {
    let authenticate = async |State(gate): State<BrowserGate>, request: Request, next: Next| -> Response {
        let (mut parts, body) = request.into_parts();
        let user = match gate.browser(&parts).await {
            Ok(browser) => {
                let user = gate.user(&browser).await;
                parts.extensions.insert(browser);
                user
            }
            Err(error) => Err(error),
        };
        admit(user, Request::from_parts(parts, body), next).await
    };
    routes.behind("user", state, &middleware::from_fn_with_state(gate.clone(), authenticate))
}

impl BrowserGate {
    async fn browser(&self, request: &Parts) -> Result<Browser, ApiError> {
        let headers = &request.headers;
        let has_cookie = self.cookie.is_in(cookies(headers));
        if !request.method.is_safe() {
            self.check_origin(headers, has_cookie)?;
        }
        let token = if has_cookie {
            let now = self.clock.now();
            let known = self.cookie.read(cookies(headers), &*self.secret.no_older_than(TRUSTED_FOR).await, now);
            match known {
                Some(token) => Some(token),
                // The secret may have been rotated since its last look-up.
                None => self.cookie.read(cookies(headers), &*self.secret.refreshed().await, now),
            }
        } else {
            None
        };
        Ok(Browser { token, address: client_address(&request.extensions), user_agent: user_agent(headers) })
    }

    /// Refuses a request from a page that is not trusted. Only a request without a cookie may lack the header, such as
    /// a script's; a page's request always has it.
    fn check_origin(&self, headers: &HeaderMap, has_cookie: bool) -> Result<(), ApiError> {
        let invalid = || ApiError::forbidden_as(ErrorCode::InvalidOrigin, "Invalid origin");
        match headers.get(ORIGIN) {
            Some(origin) if origin.is_empty() || origin == "null" => {
                Err(ApiError::forbidden_as(ErrorCode::MissingOrNullOrigin, "Missing or null Origin"))
            }
            Some(origin) if headers.get_all(ORIGIN).iter().count() == 1 && self.origins.trusts(origin) => Ok(()),
            Some(_) => Err(invalid()),
            None if !has_cookie && !headers.contains_key(REFERER) && !is_cross_site(headers) => Ok(()),
            None => Err(ApiError::forbidden_as(ErrorCode::MissingOrNullOrigin, "Missing or null Origin")),
        }
    }

    async fn user(&self, browser: &Browser) -> Result<User, ApiError> {
        let token = browser.token.as_ref().ok_or_else(unauthorized)?;
        let session = self.store.auth_session(&token.id()).await?.ok_or_else(unauthorized)?;
        Ok(User { id: session.user.clone(), session })
    }
}

impl User {
    /// Returns the id of the session that this request belongs to.
    #[must_use]
    pub fn session_id(&self) -> &SessionId {
        &self.session.id
    }
}

/// Returns whether the browser reports that another site's page made the request. Source: W3C, "Fetch Metadata Request
/// Headers".
fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok())
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(name.chars().take(MAXIMUM_USER_AGENT_LENGTH).collect())
}

/// Returns the client's address: API Gateway's `sourceIp`, or the peer of the local gateway.
#[must_use]
pub fn client_address(extensions: &Extensions) -> Option<IpAddr> {
    if let Some(RequestContext::ApiGatewayV2(context)) = extensions.get::<RequestContext>() {
        return context.http.source_ip.as_ref()?.parse().ok();
    }
    extensions.get::<ConnectInfo<std::net::SocketAddr>>().map(|info| info.0.ip())
}

fn unauthorized() -> ApiError {
    ApiError::unauthenticated("Unauthorized")
}
