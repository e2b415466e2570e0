//! The skill tier: the shared skill token, a skill token bound to a pool, or the operator's internal token.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::HeaderMap;
use portcullis_auth::{BoundTokenError, Clock, PoolId, SkillGrant, SkillName, StaticToken};
use portcullis_crypto::Keyring;
use portcullis_store::{BotAccessError, BotReach, PoolReach};

use super::{Mounted, Routes, TokenMode, admit, bearer};
use crate::{
    ApiError, ErrorCode,
    rotating::{Rotating, TRUSTED_FOR},
};

/// Dependencies of the skill tier.
#[derive(Clone)]
pub struct SkillGate {
    /// The shared skill token.
    pub token: Rotating<StaticToken>,
    /// Permissions of the shared skill token; with [`TokenMode::Bound`] it is refused.
    pub mode: TokenMode,
    /// The operator's static token.
    pub internal_token: Rotating<StaticToken>,
    /// Permissions of the operator's token on skills' routes; with [`TokenMode::Bound`] it is refused.
    pub internal_mode: TokenMode,
    /// Keys that sign skill tokens.
    pub keyring: Rotating<Keyring>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// The caller of a skill's routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skill {
    /// A static token, valid for each pool and skill.
    Static,
    /// A token bound to a pool and to some or all of its skills.
    Bound(SkillGrant),
}

impl Skill {
    /// Returns the caller's reach to `pool` as `skill`, which the store checks in the call that does the work.
    ///
    /// # Errors
    /// 403 if the token belongs to another pool or another skill.
    pub fn reach(&self, pool: &PoolId, skill: &SkillName) -> Result<PoolReach, ApiError> {
        match self {
            Self::Static => Ok(PoolReach::Any),
            Self::Bound(grant) if grant.pool != *pool => Err(ApiError::forbidden("Token is not valid for this pool")),
            Self::Bound(grant) if !grant.skills.contains(skill) => {
                Err(ApiError::forbidden("Token is not valid for this skill"))
            }
            Self::Bound(grant) => Ok(PoolReach::While(grant.generation)),
        }
    }

    /// Returns the caller's reach to bots.
    #[must_use]
    pub fn bots(&self) -> BotReach<'_> {
        match self {
            Self::Static => BotReach::Any,
            Self::Bound(grant) => BotReach::Skill(&grant.pool, grant.generation),
        }
    }

    /// Returns the pool that the caller's token is bound to.
    #[must_use]
    pub fn pool(&self) -> Option<&PoolId> {
        match self {
            Self::Static => None,
            Self::Bound(grant) => Some(&grant.pool),
        }
    }

    /// Converts the store's refusal of a bot that the caller does not reach.
    #[must_use]
    pub fn refuse_bot(error: BotAccessError) -> ApiError {
        match error {
            BotAccessError::NotFound => ApiError::bad_request(ErrorCode::BotNotFound, "Bot not found"),
            BotAccessError::NotOfPool => ApiError::forbidden("Token is not valid for this bot"),
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

/// Mounts routes for skills: [`Skill`] is the caller.
pub fn skill<S: Clone + Send + Sync + 'static>(gate: &SkillGate, state: S, routes: Routes<S>) -> Mounted {
    let authenticate = async |State(gate): State<SkillGate>, request: Request, next: Next| -> Response {
        admit(gate.authenticate(request.headers()).await, request, next).await
    };
    routes.behind("skill", state, &middleware::from_fn_with_state(gate.clone(), authenticate))
}

impl SkillGate {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Skill, ApiError> {
        let presented = bearer::presented(headers).ok_or_else(unauthorized)?;
        if SkillGrant::is_claimed_by(presented) {
            let grant = self.check_bound(presented).await.map_err(|_| unauthorized())?;
            return Ok(Skill::Bound(grant));
        }
        let (token, internal_token) =
            (self.token.no_older_than(TRUSTED_FOR).await, self.internal_token.no_older_than(TRUSTED_FOR).await);
        if let Some(outcome) = self.check_static(presented, &token, &internal_token) {
            return outcome;
        }
        // Either token may have been rotated since its last look-up.
        let (token, internal_token) = tokio::join!(self.token.refreshed(), self.internal_token.refreshed());
        self.check_static(presented, &token, &internal_token).unwrap_or_else(|| Err(unauthorized()))
    }

    /// Checks the static tokens; `None` if neither was presented.
    fn check_static(
        &self,
        presented: &[u8],
        token: &StaticToken,
        internal_token: &StaticToken,
    ) -> Option<Result<Skill, ApiError>> {
        let now = self.clock.now();
        let is_skill = token.accepts(presented, now);
        let is_internal = internal_token.accepts(presented, now);
        match (is_skill, is_internal) {
            (true, _) if self.mode == TokenMode::Bound => Some(Err(unauthorized())),
            (_, true) if self.internal_mode == TokenMode::Bound => {
                Some(Err(ApiError::forbidden("Token is not valid for this pool")))
            }
            (false, false) => None,
            _ => Some(Ok(Skill::Static)),
        }
    }

    async fn check_bound(&self, token: &[u8]) -> Result<SkillGrant, BoundTokenError> {
        let now = self.clock.now();
        match SkillGrant::check(&*self.keyring.no_older_than(TRUSTED_FOR).await, token, now) {
            Err(BoundTokenError::UnknownKey(_)) => SkillGrant::check(&*self.keyring.refreshed().await, token, now),
            outcome => outcome,
        }
    }
}

fn unauthorized() -> ApiError {
    ApiError::unauthenticated("Unauthorized skill request")
}
