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
use crate::{ApiError, ErrorCode, rotating::Rotating};

/// What the skill tier checks credentials against.
#[derive(Clone)]
pub struct SkillGate {
    /// The shared skill token.
    pub token: Rotating<StaticToken>,
    /// Whether the shared skill token is good for anything.
    pub mode: TokenMode,
    /// The operator's token.
    pub internal_token: Rotating<StaticToken>,
    /// Whether the operator's token is good for a skill's work.
    pub internal_mode: TokenMode,
    /// What skill tokens are signed with.
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
    /// Returns how far this caller reaches `pool` as `skill`. The store checks it in the same call that does the work.
    ///
    /// # Errors
    /// 403 where the token is another pool's or another skill's.
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

    /// Which bots this caller reaches.
    #[must_use]
    pub fn bots(&self) -> BotReach<'_> {
        match self {
            Self::Static => BotReach::Any,
            Self::Bound(grant) => BotReach::Skill(&grant.pool, grant.generation),
        }
    }

    /// The pool that this caller's token is bound to.
    #[must_use]
    pub fn pool(&self) -> Option<&PoolId> {
        match self {
            Self::Static => None,
            Self::Bound(grant) => Some(&grant.pool),
        }
    }

    /// What this caller is told of a bot that it does not reach.
    #[must_use]
    pub fn refuse_bot(error: BotAccessError) -> ApiError {
        match error {
            BotAccessError::NotFound => ApiError::bad_request(ErrorCode::BotNotFound, "Bot not found"),
            BotAccessError::NotOfPool => ApiError::forbidden("Token is not valid for this bot"),
            BotAccessError::Revoked => unauthorized(),
            BotAccessError::Store(error) => error.into(),
        }
    }

    /// The 401 for a token whose generation turned out to be revoked.
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
        let (token, internal_token) = (self.token.trusted().await, self.internal_token.trusted().await);
        if let Some(outcome) = self.check_static(presented, &token, &internal_token) {
            return outcome;
        }
        // Either may have been rotated since we looked.
        let (token, internal_token) = tokio::join!(self.token.look_again(), self.internal_token.look_again());
        self.check_static(presented, &token, &internal_token).unwrap_or_else(|| Err(unauthorized()))
    }

    /// `None` where neither token is presented.
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
        match SkillGrant::check(&*self.keyring.trusted().await, token, now) {
            Err(BoundTokenError::UnknownKey(_)) => SkillGrant::check(&*self.keyring.look_again().await, token, now),
            outcome => outcome,
        }
    }
}

fn unauthorized() -> ApiError {
    ApiError::unauthenticated("Unauthorized skill request")
}
