//! Generation of a pool's skill tokens, and the token in the child's environment.
//!
//! `DELETE …/skill-tokens` raises the pool's generation, which revokes every token of an earlier one. The answer to a
//! heartbeat has the generation, and the sidecar renews each token when it changes.

use secrecy::SecretString;

/// The pool's generation of skill tokens, as far as the sidecar knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Before the first heartbeat.
    NotYet,
    /// The control plane has not answered, or is an older one, whose answers have no generation.
    Unknown,
    /// Generation in the newest answer to a heartbeat.
    Known(u64),
}

impl Generation {
    /// Generation as a number, if it is known.
    #[must_use]
    pub fn known(self) -> Option<u64> {
        match self {
            Self::Known(generation) => Some(generation),
            Self::NotYet | Self::Unknown => None,
        }
    }

    /// Whether a token that was issued at the generation `issued` is revoked. An unknown generation counts as 0: the
    /// token is valid unless the pool's tokens were ever revoked.
    #[must_use]
    pub fn refuses(self, issued: Option<u64>) -> bool {
        self.known().is_some_and(|now| now != issued.unwrap_or(0))
    }
}

/// A token and its end, as issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The secret token.
    pub token: SecretString,
    /// End in seconds since the Unix epoch. It may be sooner than requested, because no token outlives the one that the
    /// request was authorized with.
    pub ends: u64,
}

/// A token for the child's environment.
#[derive(Clone, Debug)]
pub struct ChildToken {
    /// The secret token.
    pub token: SecretString,
    /// End in seconds since the Unix epoch.
    pub ends: u64,
    /// The pool's generation when the token was requested; the token's own is this one or a later one.
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
            // The pool was created anew, or its table restored.
            (Generation::Known(1), Some(2), true),
            (Generation::Known(0), None, false),
            (Generation::Known(1), None, true),
        ] {
            assert_eq!(now.refuses(issued), is_refused, "{now:?} {issued:?}");
        }
    }
}
