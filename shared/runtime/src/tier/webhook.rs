//! The tiers of chat platforms' webhooks: a signature over the raw body.
//!
//! Which secret a request must be signed with depends on what its body names, so the function that knows channels does
//! the checking; the tier makes sure that nothing of the request goes on before it.

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

/// A request as it came, before anybody looked into it.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    /// The channel that the path names, unchecked.
    pub channel: Option<String>,
    /// Id of the request, which goes with the event to the pool.
    pub request_id: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The raw body.
    pub body: Bytes,
}

/// Decides whether a request is a platform's.
pub trait WebhookGate: Send + Sync + 'static {
    /// Name of the tier.
    const TIER: &'static str;

    /// What a handler gets in the request's place.
    type Event: Clone + Send + Sync + 'static;

    /// Verifies a request.
    ///
    /// # Errors
    /// The answer for one that is refused.
    fn verify(&self, request: SignedRequest) -> impl Future<Output = Result<Self::Event, ApiError>> + Send;
}

/// Mounts routes for a platform: [`Verified`] is the handler's argument, and the body has been taken.
pub fn webhook<G: WebhookGate, S: Clone + Send + Sync + 'static>(gate: Arc<G>, state: S, routes: Routes<S>) -> Mounted {
    let authenticate = async |State(gate): State<Arc<G>>, request: Request, next: Next| -> Response {
        match verify(&*gate, request).await {
            Ok(request) => next.run(request).await,
            Err(error) => error.into_response(),
        }
    };
    routes.behind(G::TIER, state, &middleware::from_fn_with_state(gate, authenticate))
}

/// A request whose signature the tier has verified. It is moved out of the request, not cloned, since an event holds its body.
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
        // A path that names a channel in bytes that are no text names none, and is not the path that names no channel.
        Err(_) => Some(String::new()),
    };
    let body = json::read_body(Request::new(body), json::BODY_LIMIT).await?;
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default();
    let event = gate.verify(SignedRequest { channel, request_id, headers: parts.headers.clone(), body }).await?;
    parts.extensions.insert(Verified(event));
    Ok(Request::from_parts(parts, axum::body::Body::empty()))
}
