//! The internal tier: the operator's static token, or a runtime token bound to a pool.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::HeaderMap;
use jiff::Timestamp;
use portcullis_auth::{BoundTokenError, Clock, PoolId, RuntimeGrant, StaticToken};
use portcullis_crypto::Keyring;
use portcullis_store::{BotAccessError, BotReach, PoolReach};

use super::{Mounted, Routes, TokenMode, admit, bearer};
use crate::{
    ApiError, ErrorCode,
    rotating::{Rotating, TRUSTED_FOR},
};

/// Dependencies of the internal tier.
#[derive(Clone)]
pub struct InternalGate {
    /// The operator's static token.
    pub token: Rotating<StaticToken>,
    /// Permissions of the operator's token on a pool's routes.
    pub mode: TokenMode,
    /// Keys that sign runtime tokens.
    pub keyring: Rotating<Keyring>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// A caller with the operator's static token.
#[derive(Clone, Copy, Debug)]
pub struct Operator(());

/// A caller with the rights of a pool's runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolMachine {
    /// The operator, with rights to every pool.
    Operator,
    /// A pool's own machine, with rights to that pool.
    Bound(RuntimeGrant),
}

impl PoolMachine {
    /// Returns the caller's reach to `pool`, which the store checks in the call that does the work.
    ///
    /// # Errors
    /// 403 if the token belongs to another pool.
    pub fn reach(&self, pool: &PoolId) -> Result<PoolReach, ApiError> {
        match self {
            Self::Operator => Ok(PoolReach::Any),
            Self::Bound(grant) if grant.pool == *pool => Ok(PoolReach::While(grant.generation)),
            Self::Bound(_) => Err(wrong_pool()),
        }
    }

    /// Returns the end of the caller's token; `None` for the operator.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::Operator => None,
            Self::Bound(grant) => Some(grant.expires_at),
        }
    }

    /// Returns the caller's reach to bots.
    #[must_use]
    pub fn bots(&self) -> BotReach<'_> {
        match self {
            Self::Operator => BotReach::Any,
            Self::Bound(grant) => BotReach::PoolMachine(&grant.pool, grant.generation),
        }
    }

    /// Converts the store's refusal of a bot that the caller does not reach.
    #[must_use]
    pub fn refuse_bot(error: BotAccessError) -> ApiError {
        match error {
            BotAccessError::NotFound => ApiError::bad_request(ErrorCode::BotNotFound, "Bot not found"),
            BotAccessError::NotOfPool => wrong_pool(),
            BotAccessError::Revoked => unauthorized(),
            BotAccessError::Store(error) => error.into(),
        }
    }

    /// Returns the 401 for a token whose generation is revoked.
    #[must_use]
    pub fn revoked() -> ApiError {
        unauthorized()
    }
}

/// Mounts routes for a pool's runtime: [`PoolMachine`] is the caller. [`TokenMode::Bound`] refuses the static token.
pub fn internal<S: Clone + Send + Sync + 'static>(gate: &InternalGate, state: S, routes: Routes<S>) -> Mounted {
    let authenticate = async |State(gate): State<InternalGate>, request: Request, next: Next| -> Response {
        let caller = gate.authenticate(request.headers()).await.and_then(|caller| match caller {
            PoolMachine::Operator if gate.mode == TokenMode::Bound => Err(wrong_pool()),
            caller => Ok(caller),
        });
        admit(caller, request, next).await
    };
    routes.behind("internal", state, &middleware::from_fn_with_state(gate.clone(), authenticate))
}

/// Mounts the routes with which a pool's machine registers: [`PoolMachine`] is the caller, and the static token is
/// accepted in either mode.
pub fn registration<S: Clone + Send + Sync + 'static>(gate: &InternalGate, state: S, routes: Routes<S>) -> Mounted {
    let authenticate = async |State(gate): State<InternalGate>, request: Request, next: Next| -> Response {
        admit(gate.authenticate(request.headers()).await, request, next).await
    };
    routes.behind("registration", state, &middleware::from_fn_with_state(gate.clone(), authenticate))
}

/// Mounts routes for the operator alone: [`Operator`] is the caller, and a bound token is refused with 403.
pub fn operator<S: Clone + Send + Sync + 'static>(gate: &InternalGate, state: S, routes: Routes<S>) -> Mounted {
    let authenticate = async |State(gate): State<InternalGate>, request: Request, next: Next| -> Response {
        let caller = gate.authenticate(request.headers()).await.and_then(|caller| match caller {
            PoolMachine::Operator => Ok(Operator(())),
            PoolMachine::Bound(_) => Err(ApiError::forbidden("This needs the operator's token")),
        });
        admit(caller, request, next).await
    };
    routes.behind("operator", state, &middleware::from_fn_with_state(gate.clone(), authenticate))
}

impl InternalGate {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<PoolMachine, ApiError> {
        let presented = bearer::presented(headers).ok_or_else(unauthorized)?;
        if self.token.no_older_than(TRUSTED_FOR).await.accepts(presented, self.clock.now()) {
            return Ok(PoolMachine::Operator);
        }
        if RuntimeGrant::is_claimed_by(presented) {
            return self.check_bound(presented).await.map(PoolMachine::Bound).map_err(|_| unauthorized());
        }
        // The token may have been rotated since its last look-up, for example while this instance was frozen.
        if self.token.refreshed().await.accepts(presented, self.clock.now()) {
            return Ok(PoolMachine::Operator);
        }
        Err(unauthorized())
    }

    async fn check_bound(&self, token: &[u8]) -> Result<RuntimeGrant, BoundTokenError> {
        let now = self.clock.now();
        match RuntimeGrant::check(&*self.keyring.no_older_than(TRUSTED_FOR).await, token, now) {
            Err(BoundTokenError::UnknownKey(_)) => RuntimeGrant::check(&*self.keyring.refreshed().await, token, now),
            outcome => outcome,
        }
    }
}

fn unauthorized() -> ApiError {
    ApiError::unauthenticated("Unauthorized internal request")
}

fn wrong_pool() -> ApiError {
    ApiError::forbidden("Token is not valid for this pool")
}
