//! Slack's own ids.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An id that Slack gave out: of a team, an enterprise or an app. 1–64 of `A-Z`, `a-z`, `0-9`, `-` and `_`, so that a
/// stranger's body cannot write one team and app as another's route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SlackId(String);

/// Not an id of Slack's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a Slack id must be 1 to 64 of A-Z, a-z, 0-9, - and _")]
pub struct InvalidSlackId;

impl SlackId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SlackId {
    type Error = InvalidSlackId;

    fn try_from(text: String) -> Result<Self, InvalidSlackId> {
        let valid = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if valid { Ok(Self(text)) } else { Err(InvalidSlackId) }
    }
}

impl FromStr for SlackId {
    type Err = InvalidSlackId;

    fn from_str(text: &str) -> Result<Self, InvalidSlackId> {
        Self::try_from(text.to_owned())
    }
}

impl From<SlackId> for String {
    fn from(id: SlackId) -> Self {
        id.0
    }
}

impl fmt::Display for SlackId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
