//! Tokens bound to one pool: skill tokens (`pst_…`) and runtime tokens (`prt_…`).
//!
//! A token is `prefix ‖ base64url(key id ‖ claims) ‖ "." ‖ base64url(HMAC-SHA256)`. The MAC covers everything before
//! the dot, under a key that is derived from the keyring for this kind alone, so neither kind is ever accepted as the
//! other. Nothing is stored: a token ends at its expiry, when its pool's generation is raised, or when its key leaves
//! the keyring.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use portcullis_crypto::{KeyId, Keyring, MAC_LENGTH};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{PoolId, SkillName};

/// Longest token that is parsed, in bytes: a longer one would not pass API Gateway's limit of 10,240 for all headers.
pub const MAXIMUM_TOKEN_LENGTH: usize = 8 * 1024;

/// Maximum number of skills in a token, so that it stays under [`MAXIMUM_TOKEN_LENGTH`].
pub const MAXIMUM_SKILLS: usize = 64;

/// Number of revocations of a pool's tokens of one kind. A token is valid only while its generation equals its pool's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// Why a bound token is rejected. The reason is never sent to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundTokenError {
    /// The text is not a token of this kind.
    #[error("not a token of this kind")]
    Malformed,
    /// The token is signed under a key that the keyring does not hold.
    #[error("signed under unknown key {0}")]
    UnknownKey(KeyId),
    /// The token is forged, changed, or of the other kind.
    #[error("the token does not authenticate")]
    NotAuthentic,
    /// The token's expiry has passed.
    #[error("the token has expired")]
    Expired,
}

/// Error of naming more than [`MAXIMUM_SKILLS`] skills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must name at most {MAXIMUM_SKILLS} skills")]
pub struct TooManySkills;

/// Set of up to [`MAXIMUM_SKILLS`] skills, so that a token that names them can always be issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<SkillName>", into = "BTreeSet<SkillName>")]
pub struct SkillNames(BTreeSet<SkillName>);

impl SkillNames {
    /// Whether `skill` is in the set.
    #[must_use]
    pub fn contains(&self, skill: &SkillName) -> bool {
        self.0.contains(skill)
    }
}

impl TryFrom<BTreeSet<SkillName>> for SkillNames {
    type Error = TooManySkills;

    fn try_from(names: BTreeSet<SkillName>) -> Result<Self, TooManySkills> {
        if names.len() > MAXIMUM_SKILLS { Err(TooManySkills) } else { Ok(Self(names)) }
    }
}

impl From<SkillNames> for BTreeSet<SkillName> {
    fn from(names: SkillNames) -> Self {
        names.0
    }
}

/// Skills that a token is valid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkillSet {
    /// All skills of the pool.
    All,
    /// Only these skills. An empty set makes a token for operations without secrets.
    Only(SkillNames),
}

impl SkillSet {
    /// Restricts a token to these skills; duplicates count once.
    ///
    /// # Errors
    /// [`TooManySkills`] for more than [`MAXIMUM_SKILLS`].
    pub fn only(names: impl IntoIterator<Item = SkillName>) -> Result<Self, TooManySkills> {
        // Stops one past the limit, however long the list is.
        let mut distinct = BTreeSet::new();
        for name in names {
            distinct.insert(name);
            if distinct.len() > MAXIMUM_SKILLS {
                return Err(TooManySkills);
            }
        }
        Ok(Self::Only(SkillNames(distinct)))
    }

    /// Whether `skill` is in the set.
    #[must_use]
    pub fn contains(&self, skill: &SkillName) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(skill),
        }
    }
}

/// Grant of a skill token: the secrets of these skills of this pool, until the expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillGrant {
    /// The only pool that the token is valid for.
    pub pool: PoolId,
    /// The only skills that the token is valid for.
    pub skills: SkillSet,
    /// The pool's generation of skill tokens at issue.
    pub generation: Generation,
    /// End of validity (exclusive), in whole milliseconds.
    pub expires_at: Timestamp,
}

/// Grant of a runtime token: the operations of a pool's own machine, until the expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeGrant {
    /// The only pool that the token is valid for.
    pub pool: PoolId,
    /// The pool's generation of runtime tokens at issue.
    pub generation: Generation,
    /// End of validity (exclusive), in whole milliseconds.
    pub expires_at: Timestamp,
}

/// Prefix and key purpose that separate the kinds of tokens.
struct Kind {
    prefix: &'static str,
    purpose: &'static str,
}

const SKILL: Kind = Kind { prefix: "pst_", purpose: "portcullis/skill-token/v1" };
const RUNTIME: Kind = Kind { prefix: "prt_", purpose: "portcullis/runtime-token/v1" };

/// Claims of a token. An unknown claim is an error: a claim of a newer version may narrow the grant, and ignoring it
/// would widen the token. So a new claim is deployed in two steps: first all functions read it, then it is issued. In
/// this order nothing is rejected; in the wrong order the newer tokens are, never the older ones.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    pool: PoolId,
    /// Only in skill tokens; if absent, the token is for all skills.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    skills: Option<SkillNames>,
    generation: Generation,
    /// Milliseconds since the Unix epoch.
    expires: i64,
}

/// Rejects `null`: an absent field is the only way to grant all skills.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SkillNames>, D::Error> {
    SkillNames::deserialize(deserializer).map(Some)
}

impl SkillGrant {
    /// Whether `token` has this kind's prefix. Its authenticity is not checked.
    #[must_use]
    pub fn is_claimed_by(token: &[u8]) -> bool {
        token.starts_with(SKILL.prefix.as_bytes())
    }

    /// Issues a token with this grant, signed under the keyring's current key.
    #[must_use]
    pub fn issue(&self, keyring: &Keyring) -> SecretString {
        let skills = match &self.skills {
            SkillSet::All => None,
            SkillSet::Only(names) => Some(names.clone()),
        };
        let expires = self.expires_at.as_millisecond();
        SKILL.issue(keyring, &Claims { pool: self.pool.clone(), skills, generation: self.generation, expires })
    }

    /// Verifies a skill token and its expiry, and returns its grant. The caller compares its generation with the
    /// pool's.
    ///
    /// # Errors
    /// [`BoundTokenError`].
    pub fn check(keyring: &Keyring, token: &[u8], now: Timestamp) -> Result<Self, BoundTokenError> {
        let (claims, expires_at) = SKILL.check(keyring, token, now)?;
        let skills = claims.skills.map_or(SkillSet::All, SkillSet::Only);
        Ok(Self { pool: claims.pool, skills, generation: claims.generation, expires_at })
    }
}

impl RuntimeGrant {
    /// Whether `token` has this kind's prefix. Its authenticity is not checked.
    #[must_use]
    pub fn is_claimed_by(token: &[u8]) -> bool {
        token.starts_with(RUNTIME.prefix.as_bytes())
    }

    /// Issues a token with this grant, signed under the keyring's current key.
    #[must_use]
    pub fn issue(&self, keyring: &Keyring) -> SecretString {
        let expires = self.expires_at.as_millisecond();
        RUNTIME.issue(keyring, &Claims { pool: self.pool.clone(), skills: None, generation: self.generation, expires })
    }

    /// Verifies a runtime token and its expiry, and returns its grant. The caller compares its generation with the
    /// pool's.
    ///
    /// # Errors
    /// [`BoundTokenError`].
    pub fn check(keyring: &Keyring, token: &[u8], now: Timestamp) -> Result<Self, BoundTokenError> {
        let (claims, expires_at) = RUNTIME.check(keyring, token, now)?;
        if claims.skills.is_some() {
            return Err(BoundTokenError::Malformed);
        }
        Ok(Self { pool: claims.pool, generation: claims.generation, expires_at })
    }
}

impl Kind {
    fn issue(&self, keyring: &Keyring, claims: &Claims) -> SecretString {
        let (key_id, key) = keyring.derive_current(self.purpose);
        let mut payload = key_id.to_bytes().to_vec();
        serde_json::to_writer(&mut payload, claims).unwrap_or_else(|_| unreachable!("claims are plain JSON"));
        // Exact capacity: growing would leave parts of the token in memory that no drop wipes.
        let length = self.prefix.len() + base64_length(payload.len()) + 1 + base64_length(MAC_LENGTH);
        let mut token = String::with_capacity(length);
        token.push_str(self.prefix);
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let mac = key.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut token);
        debug_assert_eq!(token.len(), length, "it has grown");
        token.into()
    }

    fn check(&self, keyring: &Keyring, token: &[u8], now: Timestamp) -> Result<(Claims, Timestamp), BoundTokenError> {
        use BoundTokenError::{Expired, Malformed, NotAuthentic, UnknownKey};
        if token.len() > MAXIMUM_TOKEN_LENGTH {
            return Err(Malformed);
        }
        let token = std::str::from_utf8(token).map_err(|_| Malformed)?;
        let (signed, mac) = token.rsplit_once('.').ok_or(Malformed)?;
        let payload = signed.strip_prefix(self.prefix).ok_or(Malformed)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Malformed)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| Malformed)?;
        let (key_id, claims) = payload.split_first_chunk().ok_or(Malformed)?;
        let key_id = KeyId::from_bytes(*key_id);
        let key = keyring.derive(key_id, self.purpose).ok_or(UnknownKey(key_id))?;
        if !key.verify(signed.as_bytes(), &mac) {
            return Err(NotAuthentic);
        }
        let claims: Claims = serde_json::from_slice(claims).map_err(|_| Malformed)?;
        let expires_at = Timestamp::from_millisecond(claims.expires).map_err(|_| Malformed)?;
        if now >= expires_at { Err(Expired) } else { Ok((claims, expires_at)) }
    }
}

/// Length of unpadded base64 of this many bytes, in characters.
const fn base64_length(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}
