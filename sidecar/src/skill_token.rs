//! Generation of a pool's skill tokens, and the token in the child's environment.
//!
//! `DELETE …/skill-tokens` raises the pool's generation, and with it every token of an earlier one is refused. The answer to a
//! heartbeat has the generation, and each token is renewed when it changes.

use secrecy::SecretString;

/// The pool's generation of skill tokens, as far as the sidecar knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// No heartbeat has been tried yet.
    NotYet,
    /// The control plane has not answered, or its answer has no generation, as that of an older one.
    Unknown,
    /// The newest that a heartbeat was answered.
    Known(u64),
}

impl Generation {
    /// The generation as a number.
    #[must_use]
    pub fn known(self) -> Option<u64> {
        match self {
            Self::Known(generation) => Some(generation),
            Self::NotYet | Self::Unknown => None,
        }
    }

    /// Whether a token is refused that was issued when the pool's generation was `issued`. A token whose generation is not known
    /// is taken for one of the first: it is good unless the pool's tokens were ever revoked.
    #[must_use]
    pub fn refuses(self, issued: Option<u64>) -> bool {
        self.known().is_some_and(|now| now != issued.unwrap_or(0))
    }
}

/// A token as it was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The token.
    pub token: SecretString,
    /// When it ends, in seconds since the Unix epoch: when it was asked to, or sooner, as no token outlives the one that it was
    /// asked for with.
    pub ends: u64,
}

/// A token for the child's environment.
#[derive(Clone, Debug)]
pub struct ChildToken {
    /// The token.
    pub token: SecretString,
    /// When it ends, in seconds since the Unix epoch.
    pub ends: u64,
    /// The pool's generation when it was asked for: that of the token, or an earlier one.
    pub generation: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_refused_where_the_pools_generation_is_known_to_be_another() {
        for (now, issued, is_refused) in [
            (Generation::NotYet, Some(1), false),
            (Generation::Unknown, Some(1), false),
            (Generation::Unknown, None, false),
            (Generation::Known(1), Some(1), false),
            (Generation::Known(2), Some(1), true),
            // The pool was made anew, or its table restored.
            (Generation::Known(1), Some(2), true),
            (Generation::Known(0), None, false),
            (Generation::Known(1), None, true),
        ] {
            assert_eq!(now.refuses(issued), is_refused, "{now:?} {issued:?}");
        }
    }
}
