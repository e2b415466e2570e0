//! Ids that chat platforms assign.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Id that a chat platform assigned to a team, an enterprise, a guild or an app. 1–64 of `A-Z`, `a-z`, `0-9`, `-` and
/// `_`, so that a stranger's body cannot forge another team and app's route key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$", example = "T0123456789")]
#[serde(try_from = "String", into = "String")]
pub struct PlatformId(String);

/// Error: not a platform's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a platform's id must be 1 to 64 of A-Z, a-z, 0-9, - and _")]
pub struct InvalidPlatformId;

impl PlatformId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PlatformId {
    type Error = InvalidPlatformId;

    fn try_from(text: String) -> Result<Self, InvalidPlatformId> {
        let valid = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if valid { Ok(Self(text)) } else { Err(InvalidPlatformId) }
    }
}

impl FromStr for PlatformId {
    type Err = InvalidPlatformId;

    fn from_str(text: &str) -> Result<Self, InvalidPlatformId> {
        Self::try_from(text.to_owned())
    }
}

impl From<PlatformId> for String {
    fn from(id: PlatformId) -> Self {
        id.0
    }
}

impl fmt::Display for PlatformId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
