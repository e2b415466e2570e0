//! Tiers: the only way to mount a route.
//!
//! A tier authenticates before any other code reads the request, and passes a typed caller to the handler as an
//! argument. [`Routes`] cannot be served: only a tier converts them to [`Mounted`] ones, and only those are accepted
//! by [`crate::front::Service`]. `clippy.toml` forbids axum's own ways of mounting everywhere else.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use axum::{Router, routing};
//! # use portcullis_runtime::{Environment, front, tier::{InternalGate, Routes, operator}};
//! fn router(environment: &Environment, gate: &InternalGate) -> Router {
//!     let routes = Routes::new().at("/things", routing::get(async || "things"));
//!     front::Service::new("things", Duration::from_secs(1), [operator(gate, (), routes)]).router(environment)
//! }
//! ```
//!
//! The same routes without a tier do not compile:
//!
//! ```compile_fail,E0271
//! # use std::time::Duration;
//! # use axum::{Router, routing};
//! # use portcullis_runtime::{Environment, front, tier::{InternalGate, Routes, operator}};
//! fn router(environment: &Environment, gate: &InternalGate) -> Router {
//!     let routes: Routes<()> = Routes::new().at("/things", routing::get(async || "things"));
//!     front::Service::new("things", Duration::from_secs(1), [routes]).router(environment)
//! }
//! ```

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
pub use internal::{InternalGate, Operator, PoolMachine, internal, operator, registration};
pub use skill::{Skill, SkillGate, skill};
pub use webhook::{SignedRequest, Verified, WebhookGate, webhook};

/// Permissions of a static token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenMode {
    /// All operations of the tier.
    #[default]
    Any,
    /// Only operations that have no bound token.
    Bound,
}

/// The text is not a token mode.
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

/// Routes without authentication, which cannot be served yet.
pub struct Routes<S> {
    routes: Vec<(&'static str, MethodRouter<S>)>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Creates an empty set of routes.
    #[must_use]
    pub fn new() -> Self {
        Self { routes: Vec::new() }
    }

    /// Adds a path with its methods. Any other method is a 405, after the tier's authentication.
    #[must_use]
    pub fn at(mut self, path: &'static str, methods: MethodRouter<S>) -> Self {
        self.routes.push((path, methods.fallback(async || ApiError::method_not_allowed())));
        self
    }

    /// Puts each route behind `layer`, one by one: a layer over the whole router would also cover its 404.
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

/// Routes behind a tier, which can be served.
pub struct Mounted {
    pub(crate) router: Router,
    pub(crate) paths: Vec<(&'static str, &'static str)>,
}

impl Mounted {
    /// Returns each path with the name of its tier.
    #[must_use]
    pub fn paths(&self) -> &[(&'static str, &'static str)] {
        &self.paths
    }
}

/// Returns the caller that the tier has put into the request.
///
/// # Errors
/// 500 if the route is not mounted under that tier: a defect that must not let anyone in.
fn caller<C: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<C, ApiError> {
    parts.extensions.get::<C>().cloned().ok_or_else(|| ApiError::internal("the route is not behind its tier"))
}

/// Makes a type the handler's argument for the caller that its tier has authenticated.
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
taken_as_caller!(PoolMachine);
taken_as_caller!(Skill);
taken_as_caller!(Browser);
taken_as_caller!(User);

/// Passes a request on with its caller, or responds with the refusal.
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
