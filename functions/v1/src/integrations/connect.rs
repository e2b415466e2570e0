//! `POST /v1/integrations/connect`: connects an account, at the toolkit's own page or with the caller's own keys.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json as Answer, extract::State};
use http::{HeaderMap, header::SET_COOKIE};
use portcullis_contract::InvalidField;
use portcullis_runtime::{ApiError, ErrorCode, fields::optional, json::StrictJson, openapi, tier::User};
use portcullis_store::{IntegrationError, IntegrationSource, IntegrationStatus};
use portcullis_toolkits::{AuthScheme, ToolkitSlug};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Begin, Integration, STATE_BYTES, to_api_error};
use crate::{
    app::App,
    browser_cookie::{Begun, BrowserCookie},
    return_path::front_end_path,
};

/// An account to connect. `credentials` are for toolkits of `api_key_user`, by their fields' keys.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConnectIntegration)]
pub(crate) struct Request {
    toolkit_slug: ToolkitSlug,
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    credentials: Option<BTreeMap<String, SecretString>>,
    source: Option<IntegrationSource>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(max_length = 2048)]
    return_to: Option<String>,
}

/// The integration. `connectUrl`, the consent page, and `state` are present for toolkits of `oauth2` alone.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConnectedIntegration)]
pub(crate) struct Response {
    integration: Integration,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_url: Option<String>,
    /// Proof, valid for ten minutes, that the caller began the connection, for clients that do not send the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

#[utoipa::path(
    post,
    path = "/v1/integrations/connect",
    tag = "user",
    request_body = Request,
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    headers: HeaderMap,
    StrictJson(request): StrictJson<Request>,
) -> Result<(HeaderMap, Answer<Response>), ApiError> {
    let refuse_path = || ApiError::invalid_field("returnTo", InvalidField::new("a path of the front end").to_string());
    let return_to =
        request.return_to.map(|text| front_end_path(&app.origins, &text).ok_or_else(refuse_path)).transpose()?;
    let source = request.source.unwrap_or(IntegrationSource::Page);
    let known = app.store.integration(&caller.id, &request.toolkit_slug);
    let (catalogue, known) = tokio::try_join!(app.store.catalogue(), known)?;
    let toolkit = catalogue.get(&request.toolkit_slug);
    let toolkit = toolkit.ok_or_else(|| ApiError::invalid_field("toolkitSlug", "is no toolkit of this server"))?;
    if !toolkit.enabled {
        return Err(ApiError::forbidden_as(ErrorCode::ToolNotAllowed, "Your operator does not allow this toolkit"));
    }
    match (toolkit.auth_scheme, request.credentials) {
        (AuthScheme::ApiKeyGlobal, _) => {
            Err(ApiError::invalid_field("toolkitSlug", "needs no account: everyone can use it"))
        }
        (AuthScheme::ApiKeyUser, given) => {
            let at = |field: String| format!("credentials.{field}");
            let checked = toolkit.check_credentials(given.unwrap_or_default()).map_err(|problems| {
                ApiError::invalid_fields(problems.into_iter().map(|found| (at(found.field), found.rule.to_owned())))
            })?;
            let new_id = app.new_id();
            let stored = app.store.connect_with_credentials(&caller.id, &toolkit.slug, &new_id, &checked, source).await;
            let integration = Integration::new(toolkit, Some(&stored.map_err(to_api_error)?));
            Ok((HeaderMap::new(), Answer(Response { integration, connect_url: None, state: None })))
        }
        (AuthScheme::Oauth2, Some(_)) => {
            Err(ApiError::invalid_field("credentials", "must not be given: the account is connected at its own page"))
        }
        (AuthScheme::Oauth2, None) => {
            if known.is_some_and(|known| known.status == IntegrationStatus::Active) {
                return Err(to_api_error(IntegrationError::AlreadyActive));
            }
            let cookie = BrowserCookie::new(app.origins.api().is_secure(), Begun::Connections);
            let secret = cookie.read_or_new(&headers, &*app.randomness);
            let state = app.random_hex::<STATE_BYTES>();
            let begun = Begin {
                user: &caller.id,
                toolkit: &toolkit.slug,
                state: &state,
                browser: cookie.digest(&secret),
                source,
                return_to,
            };
            let (url, integration) = app.begin_connection(begun).await?;
            let integration = Integration::new(toolkit, Some(&integration));
            let headers = HeaderMap::from_iter([(SET_COOKIE, cookie.set(&secret)?)]);
            let answer = Response { integration, connect_url: Some(url.into()), state: Some(state) };
            Ok((headers, Answer(answer)))
        }
    }
}
