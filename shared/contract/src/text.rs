//! Bounded texts.

use std::{fmt, str::FromStr};

use portcullis_auth::BotId;
use serde::{Deserialize, Serialize};

/// Error of a text that its field does not take. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct InvalidField(&'static str);

impl InvalidField {
    /// The error of a field that must be `rule`.
    #[must_use]
    pub const fn new(rule: &'static str) -> Self {
        Self(rule)
    }
}

/// Returns whether a text has 1 to `maximum` characters, none of them a control character.
#[must_use]
pub fn is_text(text: &str, maximum: usize) -> bool {
    (1..=maximum).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Defines a bounded text: a newtype that only holds text of 1 to `$maximum` characters, none of them a control character.
macro_rules! text {
    ($(#[$attribute:meta])* $type:ident, $maximum:literal, $rule:literal, $normalize:expr) => {
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        $(#[$attribute])*
        #[serde(try_from = "String")]
        pub struct $type(String);

        impl $type {
            /// Longest text, in characters.
            pub const MAXIMUM_LENGTH: usize = $maximum;

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidField;

            fn try_from(text: String) -> Result<Self, InvalidField> {
                let normalize: fn(String) -> String = $normalize;
                let text = normalize(text);
                if is_text(&text, $maximum) { Ok(Self(text)) } else { Err(InvalidField($rule)) }
            }
        }

        impl FromStr for $type {
            type Err = InvalidField;

            fn from_str(text: &str) -> Result<Self, InvalidField> {
                Self::try_from(text.to_owned())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl From<$type> for String {
            fn from(text: $type) -> Self {
                text.0
            }
        }
    };
}

text!(
    /// A title: 1–500 characters, none of them a control character.
    #[schema(value_type = String, min_length = 1, max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    Title,
    500,
    "1 to 500 characters, none of them a control character",
    std::convert::identity
);

impl Title {
    /// Makes a title of another system's name: leaves out control characters and cuts it at [`Title::MAXIMUM_LENGTH`]. `None`
    /// where nothing but white space is left.
    #[must_use]
    pub fn shortened(name: &str) -> Option<Self> {
        let printable = name.chars().filter(|character| !character.is_control());
        let title: String = printable.take(Self::MAXIMUM_LENGTH).collect();
        if title.trim().is_empty() { None } else { Some(Self(title)) }
    }
}

text!(
    /// A word or an id of another system: 1–256 characters, none of them a control character.
    #[schema(value_type = String, min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    Label,
    256,
    "1 to 256 characters, none of them a control character",
    std::convert::identity
);

text!(
    /// A session's key, trimmed and in lower case: 1–512 characters, none of them a control character.
    #[schema(value_type = String, min_length = 1, max_length = 512, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    SessionKey,
    512,
    "1 to 512 characters, none of them a control character",
    |text| text.trim().to_lowercase()
);

impl SessionKey {
    /// Returns whether the key is one of this bot's: `agent:<bot>:…`, where `<bot>` is any name of the bot as an agent.
    #[must_use]
    pub fn is_of(&self, bot: &BotId) -> bool {
        bot.agent_ids().iter().any(|agent| self.0.starts_with(&format!("agent:{agent}:")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_has_up_to_500_characters_whatever_their_bytes() {
        assert!(Title::try_from("🦀".repeat(500)).is_ok());
        for wrong in [String::new(), "x".repeat(501), "a\0b".to_owned(), "a\nb".to_owned()] {
            assert!(Title::try_from(wrong).is_err());
        }
    }

    #[test]
    fn a_shortened_name_is_a_title_or_nothing() {
        assert_eq!(Title::shortened("a\nb\0c").unwrap().as_str(), "abc");
        let long = Title::shortened(&"🦀".repeat(600)).unwrap();
        assert_eq!(Title::try_from(long.to_string()).unwrap(), long);
        for nothing in ["", "  ", "\n\t"] {
            assert_eq!(Title::shortened(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_sessions_key_is_trimmed_and_in_lower_case() {
        let key: SessionKey = "  Agent:Bot-1:Main ".parse().unwrap();
        assert_eq!(key.as_str(), "agent:bot-1:main");
        assert!(key.is_of(&"Bot-1".parse().unwrap()));
        assert!(!key.is_of(&"Bot".parse().unwrap()));
        for wrong in ["", "  ", "a\0b"] {
            assert!(wrong.parse::<SessionKey>().is_err(), "{wrong:?}");
        }
        assert!("x".repeat(513).parse::<SessionKey>().is_err());
    }
}
