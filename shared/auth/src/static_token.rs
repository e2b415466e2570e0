//! Static bearer tokens: the operator's internal token and the shared skill token.

use jiff::Timestamp;
use portcullis_crypto::Digest;

/// Minimum length of a token in characters.
pub const MINIMUM_TOKEN_LENGTH: usize = 32;

/// Error of a token with fewer than [`MINIMUM_TOKEN_LENGTH`] characters, which could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be at least {MINIMUM_TOKEN_LENGTH} characters")]
pub struct TokenTooShort;

/// Digest of a static token, and that of its previous value while it is valid.
///
/// Digests have one length, so comparing them in constant time also hides the token's length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticToken {
    current: Digest,
    previous: Option<Previous>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Previous {
    digest: Digest,
    valid_until: Option<Timestamp>,
}

impl StaticToken {
    /// Creates a token without a previous value.
    ///
    /// # Errors
    /// [`TokenTooShort`].
    pub fn new(token: &str) -> Result<Self, TokenTooShort> {
        Ok(Self { current: digest(token)?, previous: None })
    }

    /// Adds the value before the last rotation, which is valid until `valid_until` (`None`: until an operator removes
    /// it).
    ///
    /// # Errors
    /// [`TokenTooShort`].
    pub fn with_previous(self, token: &str, valid_until: Option<Timestamp>) -> Result<Self, TokenTooShort> {
        Ok(Self { previous: Some(Previous { digest: digest(token)?, valid_until }), ..self })
    }

    /// Whether `presented` is the current value, or the previous one while that is valid.
    #[must_use]
    pub fn accepts(&self, presented: &[u8], now: Timestamp) -> bool {
        let presented = Digest::of(presented);
        let is_current = presented == self.current;
        let is_previous = self.previous.as_ref().is_some_and(|previous| {
            let counts = previous.valid_until.is_none_or(|end| now < end);
            (presented == previous.digest) & counts
        });
        is_current | is_previous
    }

    /// Whether two tokens have a value in common, which tokens of different tiers must not.
    #[must_use]
    pub fn shares_a_value_with(&self, other: &Self) -> bool {
        let values = |token: &Self| [Some(token.current), token.previous.as_ref().map(|previous| previous.digest)];
        values(self).into_iter().flatten().any(|value| values(other).contains(&Some(value)))
    }
}

fn digest(token: &str) -> Result<Digest, TokenTooShort> {
    if token.chars().count() < MINIMUM_TOKEN_LENGTH { Err(TokenTooShort) } else { Ok(Digest::of(token.as_bytes())) }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    const OLD: &str = "an-old-token-of-32-characters-or-more";
    const NEW: &str = "a-new-token-of-32-characters-or-more";
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn the_current_value_is_accepted_and_nothing_near_it() {
        let token = StaticToken::new(NEW).unwrap();
        assert!(token.accepts(NEW.as_bytes(), NOW));
        for near in ["", NEW.get(1..).unwrap(), &format!("{NEW} "), &NEW.to_uppercase(), OLD] {
            assert!(!token.accepts(near.as_bytes(), NOW), "{near:?}");
        }
    }

    #[test]
    fn the_previous_value_counts_until_its_end_and_not_at_it() {
        let end = NOW + 24.hours();
        let token = StaticToken::new(NEW).unwrap().with_previous(OLD, Some(end)).unwrap();
        assert!(token.accepts(OLD.as_bytes(), end - 1.nanoseconds()));
        assert!(!token.accepts(OLD.as_bytes(), end));
        assert!(token.accepts(NEW.as_bytes(), end));
    }

    #[test]
    fn a_previous_value_without_an_end_counts_until_it_is_taken_away() {
        let token = StaticToken::new(NEW).unwrap().with_previous(OLD, None).unwrap();
        assert!(token.accepts(OLD.as_bytes(), NOW + (24 * 365).hours()));
    }

    #[test]
    fn a_token_under_32_characters_is_refused() {
        assert_eq!(StaticToken::new(&"t".repeat(31)).unwrap_err(), TokenTooShort);
        assert!(StaticToken::new(&"t".repeat(32)).is_ok());
        assert!(StaticToken::new(NEW).unwrap().with_previous("", None).is_err());
    }

    #[test]
    fn tokens_of_two_tiers_that_share_a_value_are_told() {
        let one = StaticToken::new(NEW).unwrap().with_previous(OLD, None).unwrap();
        assert!(one.shares_a_value_with(&StaticToken::new(OLD).unwrap()));
        assert!(!one.shares_a_value_with(&StaticToken::new(&"x".repeat(32)).unwrap()));
    }

    #[test]
    fn a_second_rotation_ends_the_value_before_the_last() {
        let oldest = "the-oldest-token-of-32-characters-or-more";
        let token =
            StaticToken::new(NEW).unwrap().with_previous(oldest, None).unwrap().with_previous(OLD, None).unwrap();
        assert!(token.accepts(OLD.as_bytes(), NOW));
        assert!(!token.accepts(oldest.as_bytes(), NOW));
    }

    #[test]
    fn a_value_put_back_counts_as_the_current_one_after_its_end_as_the_previous_one() {
        let token = StaticToken::new(NEW).unwrap().with_previous(NEW, Some(NOW)).unwrap();
        assert!(token.accepts(NEW.as_bytes(), NOW + 1.hour()));
        assert!(token.accepts(NEW.as_bytes(), NOW - 1.hour()), "and before");
    }

    #[test]
    fn a_presented_token_may_be_any_bytes_of_any_length() {
        let token = StaticToken::new(NEW).unwrap().with_previous(OLD, None).unwrap();
        for bytes in [&b"\xff\xfe"[..], b"\0", &[NEW.as_bytes(), b"\0"].concat(), &vec![b'a'; 1 << 20]] {
            assert!(!token.accepts(bytes, NOW));
        }
        assert!(!token.accepts(&[NEW.as_bytes(), OLD.as_bytes()].concat(), NOW));
        assert!(!token.accepts(Digest::of(NEW.as_bytes()).as_bytes(), NOW), "the digest is not the token");
        assert!(!token.accepts(Digest::of(NEW.as_bytes()).to_hex().as_bytes(), NOW));
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert!(StaticToken::new(&"é".repeat(16)).is_err());
        assert!(StaticToken::new(&"é".repeat(32)).is_ok());
    }

    #[test]
    fn a_previous_value_that_another_tier_has_is_told_also_when_it_has_ended() {
        let ended = StaticToken::new(NEW).unwrap().with_previous(OLD, Some(NOW)).unwrap();
        let other = StaticToken::new(&"x".repeat(32)).unwrap().with_previous(OLD, None).unwrap();
        assert!(ended.shares_a_value_with(&other) && other.shares_a_value_with(&ended));
        assert!(ended.shares_a_value_with(&ended));
    }

    #[test]
    fn a_token_prints_neither_itself_nor_its_digest() {
        let printed = format!("{:?}", StaticToken::new(NEW).unwrap().with_previous(OLD, Some(NOW)).unwrap());
        for value in [NEW, OLD] {
            assert!(!printed.contains(value) && !printed.contains(&Digest::of(value.as_bytes()).to_hex()), "{printed}");
        }
        assert!(printed.contains("Digest(..)"));
    }
}
