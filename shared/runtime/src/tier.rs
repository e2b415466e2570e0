//! Tiers: the only way to mount a route.
//!
//! A tier authenticates before anything else reads the request, and puts a typed caller where the handler takes it as an
//! argument. [`Routes`] cannot be served; only a tier turns them into [`Mounted`] ones, and only those can be handed to
//! [`crate::front::serve`]. `clippy.toml` forbids axum's own ways of mounting everywhere else.

mod bearer;
mod browser;
mod internal;
mod skill;
mod webhook;

use std::{convert::Infallible, str::FromStr};

use axum::{
    Router,
    extract::{FromRequestParts, Request},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::request::Parts;
use tower::{Layer, Service};

use crate::ApiError;

pub use browser::{Browser, BrowserGate, User, browser, client_address, user};
pub use internal::{InternalGate, Operator, Runtime, internal, operator, registration};
pub use skill::{Skill, SkillGate, skill};
pub use webhook::{SignedRequest, Verified, WebhookGate, webhook};

/// What a static token is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenMode {
    /// For everything of its tier.
    #[default]
    Any,
    /// Only for what cannot be done with a bound token.
    Bound,
}

/// A token mode is one of two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be any or bound")]
pub struct InvalidTokenMode;

impl FromStr for TokenMode {
    type Err = InvalidTokenMode;

    fn from_str(text: &str) -> Result<Self, InvalidTokenMode> {
        match text {
            "any" => Ok(Self::Any),
            "bound" => Ok(Self::Bound),
            _ => Err(InvalidTokenMode),
        }
    }
}

/// Routes that nobody can reach yet.
pub struct Routes<S> {
    routes: Vec<(&'static str, MethodRouter<S>)>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes.
    #[must_use]
    pub fn new() -> Self {
        Self { routes: Vec::new() }
    }

    /// Adds a path with its methods; any other method is our 405, behind the tier's authentication.
    #[must_use]
    pub fn at(mut self, path: &'static str, methods: MethodRouter<S>) -> Self {
        self.routes.push((path, methods.fallback(async || ApiError::method_not_allowed())));
        self
    }

    /// Puts each route behind `layer`, one by one: a layer over a whole router would cover its 404 as well.
    fn behind<L>(self, tier: &'static str, state: S, layer: &L) -> Mounted
    where
        L: Layer<axum::routing::Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let mut router = Router::new();
        let mut paths = Vec::new();
        for (path, methods) in self.routes {
            #[expect(clippy::disallowed_methods, reason = "this is the one place where routes are mounted")]
            {
                router = router.route(path, methods.layer(layer.clone()));
            }
            paths.push((path, tier));
        }
        Mounted { router: router.with_state(state), paths }
    }
}

/// Routes behind a tier.
pub struct Mounted {
    pub(crate) router: Router,
    pub(crate) paths: Vec<(&'static str, &'static str)>,
}

impl Mounted {
    /// Each path with the name of its tier.
    #[must_use]
    pub fn paths(&self) -> &[(&'static str, &'static str)] {
        &self.paths
    }
}

/// Takes the caller that a tier has put into the request.
///
/// # Errors
/// 500 where the route is not mounted under that tier: a mistake of ours that must not let anyone in.
fn caller<C: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<C, ApiError> {
    parts.extensions.get::<C>().cloned().ok_or_else(|| ApiError::internal("the route is not behind its tier"))
}

/// Lets a type be taken by a handler as the caller that its tier has authenticated.
macro_rules! taken_as_caller {
    ($type:ty) => {
        impl<S: Sync> FromRequestParts<S> for $type {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
                caller(parts)
            }
        }
    };
}

taken_as_caller!(Operator);
taken_as_caller!(Runtime);
taken_as_caller!(Skill);
taken_as_caller!(Browser);
taken_as_caller!(User);

/// Passes a request on with its caller, or answers the refusal.
async fn admit<C: Clone + Send + Sync + 'static>(
    outcome: Result<C, ApiError>,
    mut request: Request,
    next: axum::middleware::Next,
) -> Response {
    match outcome {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests;
