//! The tiers of chat platforms' webhooks: a signature over the raw body.
//!
//! The secret of a signature depends on the channel that the body names, so the function that knows channels verifies
//! it. The tier guarantees that no handler sees a request before that.

use std::{future::Future, sync::Arc};

use axum::{
    extract::{FromRequestParts, RawPathParams, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, request::Parts};

use super::{Mounted, Routes};
use crate::{ApiError, front::RequestId, json};

/// A webhook request before its verification.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    /// Channel id of the path, unchecked.
    pub channel: Option<String>,
    /// Id of the request, which the pool gets with the event.
    pub request_id: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The raw body.
    pub body: Bytes,
}

/// Verifies a platform's requests.
pub trait WebhookGate: Send + Sync + 'static {
    /// Name of the tier.
    const TIER: &'static str;

    /// The verified event that a handler gets instead of the request.
    type Event: Clone + Send + Sync + 'static;

    /// Verifies a request.
    ///
    /// # Errors
    /// The response to a refused request.
    fn verify(&self, request: SignedRequest) -> impl Future<Output = Result<Self::Event, ApiError>> + Send;
}

/// Mounts routes for a platform: the handler's argument is [`Verified`], and the body is consumed.
pub fn webhook<G: WebhookGate, S: Clone + Send + Sync + 'static>(gate: Arc<G>, state: S, routes: Routes<S>) -> Mounted {
    let authenticate = async |State(gate): State<Arc<G>>, request: Request, next: Next| -> Response {
        match verify(&*gate, request).await {
            Ok(request) => next.run(request).await,
            Err(error) => error.into_response(),
        }
    };
    routes.behind(G::TIER, state, &middleware::from_fn_with_state(gate, authenticate))
}

/// A verified request. It is moved out of the request, not cloned, since an event holds its body.
#[derive(Clone, Debug)]
pub struct Verified<E>(pub E);

impl<E: Clone + Send + Sync + 'static, S: Sync> FromRequestParts<S> for Verified<E> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.remove().ok_or_else(|| ApiError::internal("the route is not behind its tier"))
    }
}

async fn verify<G: WebhookGate>(gate: &G, request: Request) -> Result<Request, ApiError> {
    let (mut parts, body) = request.into_parts();
    let channel = match RawPathParams::from_request_parts(&mut parts, &()).await {
        Ok(params) => params.iter().find(|(name, _)| *name == "channelId").map(|(_, value)| value.to_owned()),
        // A channel id that is not UTF-8 becomes an empty one, which names no channel; `None` would be the path
        // without an id.
        Err(_) => Some(String::new()),
    };
    let body = json::read_body(Request::new(body), json::BODY_LIMIT).await?;
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default();
    let event = gate.verify(SignedRequest { channel, request_id, headers: parts.headers.clone(), body }).await?;
    parts.extensions.insert(Verified(event));
    Ok(Request::from_parts(parts, axum::body::Body::empty()))
}
