//! Authorization of callers for a pool.

use portcullis_auth::Generation;

use crate::PoolError;

/// Rights of a caller over one pool, decided by the tier that authenticated it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolReach {
    /// Anything: the caller holds a static token.
    Any,
    /// Anything while tokens of this generation are valid: the caller holds a token that is bound to the pool.
    While(Generation),
}

impl PoolReach {
    /// Admits the caller to a pool, by the generation that the pool's row has now for tokens of the caller's kind. `held` is
    /// `None` where the pool is unknown or terminated: its tokens have ended with it.
    ///
    /// # Errors
    /// [`PoolError::NotFound`] for a static token, [`PoolError::Revoked`] for a bound one.
    pub(crate) fn admit(self, held: Option<Generation>) -> Result<(), PoolError> {
        match self {
            Self::Any => held.map(drop).ok_or(PoolError::NotFound),
            Self::While(generation) if held == Some(generation) => Ok(()),
            Self::While(_) => Err(PoolError::Revoked),
        }
    }

    /// The error of a pool that is unknown or terminated.
    pub(crate) fn unknown(self) -> PoolError {
        match self {
            Self::Any => PoolError::NotFound,
            Self::While(_) => PoolError::Revoked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_token_counts_for_a_live_pool_of_its_generation_alone() {
        let (old, new) = (Generation(1), Generation(2));
        for (reach, held, expected) in [
            (PoolReach::Any, None, Err(PoolError::NotFound)),
            (PoolReach::Any, Some(old), Ok(())),
            (PoolReach::Any, Some(new), Ok(())),
            (PoolReach::While(old), None, Err(PoolError::Revoked)),
            (PoolReach::While(old), Some(old), Ok(())),
            (PoolReach::While(old), Some(new), Err(PoolError::Revoked)),
            (PoolReach::While(new), Some(old), Err(PoolError::Revoked)),
        ] {
            assert_eq!(reach.admit(held), expected, "{reach:?} {held:?}");
            if held.is_none() {
                assert_eq!(expected, Err(reach.unknown()), "{reach:?}");
            }
        }
    }
}
