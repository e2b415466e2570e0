//! The router that Lambda and the local gateway both serve, and the rules for all of its responses.

use std::{borrow::Cow, collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Path, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing,
};
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use portcullis_store::round_trips;
use serde_json::json;
use tracing::Instrument;

use crate::{
    ApiError, Environment, ErrorCode, cors,
    documents::Documents,
    error::{ErrorBody, Kind, Refusal},
    metrics::{Metric, Metrics},
    origins::Origins,
    pages::Pages,
    tier::Mounted,
};

/// Header with the request's id, which is the same from the first response to the delivery in a pool.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is accepted from a caller, in characters.
const MAXIMUM_REQUEST_ID_LENGTH: usize = 64;

/// Id of a request: the caller's if it is well-formed, else a new one.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

#[derive(Clone)]
struct Front {
    function: &'static str,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    metrics: Metrics,
    deadline: Duration,
    has_codes_in_capitals: bool,
}

/// A function's HTTP service: its routes behind their tiers, and the public ones.
pub struct Service {
    /// Name of the function, in its health route.
    pub function: &'static str,
    /// Longest time of a response: a longer one becomes a 503.
    pub deadline: Duration,
    /// Commit that the binary was built from, if it is known.
    pub commit_hash: Option<String>,
    /// Routes behind their tiers.
    pub mounted: Vec<Mounted>,
    /// The API's documentation, as public routes: `GET /openapi.json` and `GET /docs`.
    pub documents: Option<Documents>,
    /// Static pages, as public routes.
    pub pages: Option<Pages>,
    /// Origins whose pages may call with credentials (CORS).
    pub origins: Option<Arc<Origins>>,
    /// Whether error codes are written in capitals, as better-auth's clients expect.
    pub has_codes_in_capitals: bool,
}

impl Service {
    /// A service without documentation, pages or foreign origins.
    #[must_use]
    pub fn new(function: &'static str, deadline: Duration, mounted: impl IntoIterator<Item = Mounted>) -> Self {
        Self {
            function,
            deadline,
            commit_hash: None,
            mounted: mounted.into_iter().collect(),
            documents: None,
            pages: None,
            origins: None,
            has_codes_in_capitals: false,
        }
    }

    /// Builds the router, with the public `GET /health` and `GET /health/{function}`.
    pub fn router(self, environment: &Environment) -> Router {
        let front = Front {
            function: self.function,
            clock: Arc::clone(&environment.clock),
            randomness: Arc::clone(&environment.randomness),
            metrics: environment.metrics.clone(),
            deadline: self.deadline * environment.patience,
            has_codes_in_capitals: self.has_codes_in_capitals,
        };
        let mut router = public(self.function, self.commit_hash.as_deref());
        if let Some(documents) = self.documents {
            router = router.merge(described(Arc::new(documents)));
        }
        if let Some(pages) = self.pages {
            router = router.merge(shown(Arc::new(pages)));
        }
        let mut behind_tiers = Router::new();
        for mounted in self.mounted {
            behind_tiers = behind_tiers.merge(mounted.router);
        }
        // Applied to the tiers' routes alone: no other route answers a preflight.
        if let Some(origins) = self.origins {
            behind_tiers = behind_tiers.layer(cors::layer(origins));
        }
        router = router.merge(behind_tiers);
        #[expect(clippy::disallowed_methods, reason = "the 404 gives nothing away")]
        let router = router.fallback(async || ApiError::not_found("Not found"));
        router.layer(middleware::from_fn_with_state(front, answer))
    }
}

/// Returns the public health routes. They touch no store.
fn public(function: &str, commit_hash: Option<&str>) -> Router {
    let health = axum::Json(json!({ "status": "ok", "metadata": { "commitHash": commit_hash } }));
    let methods = || {
        let health = health.clone();
        routing::get(async || health).fallback(async || ApiError::method_not_allowed())
    };
    #[expect(clippy::disallowed_methods, reason = "this is the list of public routes")]
    Router::new().route("/health", methods()).route(&format!("/health/{function}"), methods())
}

/// Returns the public routes of the documentation.
fn described(documents: Arc<Documents>) -> Router {
    let page = Arc::clone(&documents);
    let refused = async || ApiError::method_not_allowed();
    #[expect(clippy::disallowed_methods, reason = "this is the list of public routes")]
    Router::new()
        .route("/openapi.json", routing::get(async move || documents.document()).fallback(refused))
        .route("/docs", routing::get(async move || page.page()).fallback(refused))
}

/// Returns the public routes of static pages.
fn shown(pages: Arc<Pages>) -> Router {
    let refused = async || ApiError::method_not_allowed();
    let of_page = Arc::clone(&pages);
    let page = routing::get(async move |headers: HeaderMap| of_page.page(&headers)).fallback(refused);
    let (paths, files_route) = (pages.page_paths, pages.files_route);
    let file = routing::get(async move |Path(name): Path<String>, headers: HeaderMap| pages.file(&name, &headers));
    #[expect(clippy::disallowed_methods, reason = "this is the list of public routes")]
    let router = Router::new().route(files_route, file.fallback(refused));
    #[expect(clippy::disallowed_methods, reason = "this is the list of public routes")]
    paths.iter().fold(router, |router, path| router.route(path, page.clone()))
}

/// Gives the request its id and runs it. Produces the response, the log line and the counts.
async fn answer(State(front): State<Front>, mut request: Request, next: Next) -> Response {
    let started = front.clock.now();
    let id = request_id(request.headers(), &*front.randomness);
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let method = request.method().clone();
    // The route's pattern, not the path: a path is arbitrary text, and contains pools' names.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());

    let span = tracing::info_span!("request", requestId = &*id);
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span);
    let (outcome, store_rounds) = round_trips::counted(tokio::time::timeout(front.deadline, handled)).await;
    let response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            front.metrics.count(Metric::Panic);
            ApiError::internal("panic").into_response()
        }
        Err(_) => ApiError::unavailable("the answer took longer than its deadline").into_response(),
    };

    let status = response.status();
    let refusal = response.extensions().get::<Refusal>().cloned();
    front.record(refusal.as_ref());
    let (route, code) =
        (route.as_deref().unwrap_or("-"), refusal.as_ref().map_or("-", |refusal| refusal.code.as_str()));
    let detail = refusal.as_ref().and_then(|refusal| refusal.detail.as_deref()).unwrap_or("-");
    let took = front.clock.now().duration_since(started).as_millis_f64();
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                requestId = &*id,
                function = front.function,
                method = %method,
                route,
                status = status.as_u16(),
                code,
                detail,
                durationMs = took,
                storeRounds = store_rounds,
                "request"
            )
        };
    }
    // A constant level per call, as `tracing` requires; 5xx are errors that somebody must look at.
    if status.is_server_error() {
        line!(warn);
    } else {
        line!(info);
    }
    finish(response, refusal, &id, front.has_codes_in_capitals)
}

impl Front {
    fn record(&self, refusal: Option<&Refusal>) {
        match refusal.map(|refusal| refusal.kind) {
            Some(Kind::Unauthenticated) => self.metrics.count(Metric::Unauthenticated),
            Some(Kind::Unavailable) => self.metrics.count(Metric::DependencyUnavailable),
            Some(Kind::Unopened) => self.metrics.count(Metric::SealedValueUnopened),
            Some(Kind::Refused | Kind::Broken) | None => {}
        }
    }
}

/// Adds the common headers to a response, and a body to an error.
fn finish(response: Response, refusal: Option<Refusal>, id: &str, has_codes_in_capitals: bool) -> Response {
    let (mut parts, mut body) = response.into_parts();
    // An error without a [`Refusal`] is a rejection by the framework, in plain text.
    let refusal = refusal.or_else(|| {
        (parts.status.is_client_error() || parts.status.is_server_error()).then(|| Refusal {
            code: ErrorCode::Refused,
            message: parts.status.canonical_reason().unwrap_or("Refused").into(),
            fields: BTreeMap::new(),
            extra: serde_json::Map::new(),
            detail: None,
            kind: Kind::Refused,
        })
    });
    if let Some(refusal) = refusal {
        let code = refusal.code.as_str();
        let code = if has_codes_in_capitals { code.to_ascii_uppercase().into() } else { Cow::Borrowed(code) };
        let (message, fields, extra) = (&refusal.message, &refusal.fields, &refusal.extra);
        let error = ErrorBody { message, code: &code, fields, extra, request_id: id };
        body = serde_json::to_vec(&error).map_or_else(|_| Body::empty(), Body::from);
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        parts.headers.remove(http::header::CONTENT_LENGTH);
    }
    let headers = &mut parts.headers;
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains"));
    // Pages set their own policy.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static("default-src 'none'"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID_HEADER, id);
    }
    // A response to HEAD has no body, and neither has a 204 or 304.
    if matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        body = Body::empty();
    }
    Response::from_parts(parts, body)
}

fn request_id(headers: &HeaderMap, randomness: &dyn Randomness) -> Arc<str> {
    let callers = headers.get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok()).filter(|id| {
        (1..=MAXIMUM_REQUEST_ID_LENGTH).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    });
    callers.map_or_else(|| new_request_id(randomness).into(), Into::into)
}

/// Returns a new request id: a version 4 UUID (RFC 9562 §5.4).
#[must_use]
pub fn new_request_id(randomness: &dyn Randomness) -> String {
    let mut bytes = [0; 16];
    randomness.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
