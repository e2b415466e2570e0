//! Names of toolkits' actions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest name of an action, in characters.
const MAXIMUM_LENGTH: usize = 256;

/// An action of a toolkit, such as `GMAIL_SEND_EMAIL`: `^[A-Z][A-Z0-9_]+$`, at most 256 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Action(String);

/// Error of parsing an action's name. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an action such as GMAIL_SEND_EMAIL")]
pub struct InvalidAction;

impl Action {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Action {
    type Error = InvalidAction;

    fn try_from(text: String) -> Result<Self, InvalidAction> {
        let is_valid = (2..=MAXIMUM_LENGTH).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_uppercase())
            && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        if is_valid { Ok(Self(text)) } else { Err(InvalidAction) }
    }
}

impl FromStr for Action {
    type Err = InvalidAction;

    fn from_str(text: &str) -> Result<Self, InvalidAction> {
        Self::try_from(text.to_owned())
    }
}

impl From<Action> for String {
    fn from(action: Action) -> Self {
        action.0
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_upper_case_with_digits_and_underscores() {
        for good in ["AB", "GMAIL_SEND_EMAIL", "A1", "A_", &"A".repeat(256)] {
            assert_eq!(good.parse::<Action>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "1A", "_A", "gmail_send", "GMAIL-SEND", "GMAIL SEND", "GMÄIL", &"A".repeat(257)] {
            assert_eq!(bad.parse::<Action>(), Err(InvalidAction), "{bad}");
        }
    }
}
