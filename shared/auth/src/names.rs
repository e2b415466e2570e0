//! Validated names and ids. Each is parsed once, at the edge, so that no invalid one exists inside.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Error of parsing a name. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct InvalidName {
    what: &'static str,
    rule: &'static str,
}

/// Defines a name: a string newtype that only holds valid text.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $valid:expr) => {
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        $(#[$doc])*
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidName { what: $what, rule: $rule }) }
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

/// Defines the id of a record: a name that is read and described like every other id.
macro_rules! id {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        name!(
            $(#[$doc])*
            #[schema(
                as = Id,
                value_type = String,
                min_length = 1,
                max_length = 128,
                pattern = r"^[^\x00-\x1f\x7f-\x9f]+$",
                example = "pool-1",
                description = "The id of a pool, a bot, a channel or a person: 1 to 128 characters, none of them a control character."
            )]
            $type,
            $what,
            "1 to 128 characters, none of them a control character",
            |text| (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        );
    };
}

id!(
    /// Id of a pool of machines: 1–128 characters, none of them a control character.
    PoolId,
    "a pool's id"
);

id!(
    /// Id of a bot: 1–128 characters, none of them a control character.
    BotId,
    "a bot's id"
);

id!(
    /// Id of a connected channel: 1–128 characters, none of them a control character.
    ChannelId,
    "a channel's id"
);

id!(
    /// Id of a person's account: 1–128 characters, none of them a control character.
    UserId,
    "a user's id"
);

name!(
    /// Id of a browser's session: the SHA-256 of its token as 64 lower-case hex digits. It identifies the session but
    /// does not authenticate it.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    SessionId,
    "a session's id",
    "64 hex digits in lower case",
    |text| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
);

impl SessionId {
    pub(crate) fn of_digest(digest: &portcullis_crypto::Digest) -> Self {
        Self(digest.to_hex())
    }
}

name!(
    /// Name of a skill: 1–64 of `a-z`, `0-9`, `-` and `_`.
    #[schema(value_type = String, pattern = "^[a-z0-9_-]{1,64}$", example = "maps")]
    SkillName,
    "a skill's name",
    "1 to 64 of a-z, 0-9, - and _",
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
);

fn is_folder_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_template_name(text: &str) -> bool {
    let Some(stem) = text.strip_suffix(".md") else { return false };
    (1..=60).contains(&stem.len())
        && stem.starts_with(|first: char| first.is_ascii_uppercase())
        && stem.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_'))
}

name!(
    /// Name of a skill's folder: 1–64 of `a-z`, `0-9` and `-`, the first not `-`.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9-]{0,63}$", example = "maps")]
    SkillFolder,
    "a name",
    "1 to 64 of a-z, 0-9 and -, the first of them not -",
    is_folder_name
);

name!(
    /// File name of a workspace template: `[A-Z][A-Z0-9_-]{0,59}\.md`.
    #[schema(value_type = String, pattern = r"^[A-Z][A-Z0-9_-]{0,59}\.md$", example = "AGENTS.md")]
    TemplateName,
    "a name",
    "a file's name such as AGENTS.md: 1 to 60 of A-Z, 0-9, - and _, the first of them a letter, and .md",
    is_template_name
);

name!(
    /// Name of a document that every pool copies: a [`SkillFolder`] or a [`TemplateName`].
    #[schema(
        value_type = String,
        max_length = 64,
        example = "maps",
        description = "The name of a skill's folder or of a workspace template's file."
    )]
    LibraryName,
    "a name",
    "a skill's folder or a template's file name",
    |text| is_folder_name(text) || is_template_name(text)
);

impl From<SkillFolder> for LibraryName {
    fn from(name: SkillFolder) -> Self {
        Self(name.0)
    }
}

impl From<TemplateName> for LibraryName {
    fn from(name: TemplateName) -> Self {
        Self(name.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_refused_when_empty_too_long_or_of_other_characters() {
        assert!("".parse::<PoolId>().is_err());
        assert!("p".repeat(128).parse::<PoolId>().is_ok());
        assert!("é".repeat(128).parse::<PoolId>().is_ok(), "characters are counted, not bytes");
        assert!("p".repeat(129).parse::<PoolId>().is_err());
        assert!("pool\0".parse::<PoolId>().is_err());
        assert!("line\nbreak".parse::<BotId>().is_err());
        assert!("maps-2_x".parse::<SkillName>().is_ok());
        for bad in ["", "Maps", "maps/x", "maps#x", "maps x", "máps"] {
            assert!(bad.parse::<SkillName>().is_err(), "{bad}");
        }
        assert!("s".repeat(64).parse::<SkillName>().is_ok());
        assert!("s".repeat(65).parse::<SkillName>().is_err());
    }

    #[test]
    fn a_library_name_is_the_name_of_a_plain_folder() {
        for good in ["a", "0-a", &"s".repeat(64)] {
            assert!(good.parse::<SkillFolder>().is_ok() && good.parse::<LibraryName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a_b", "A", ".", "..", "a/b", &"s".repeat(65)] {
            assert!(bad.parse::<SkillFolder>().is_err() && bad.parse::<LibraryName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_template_is_named_like_its_file() {
        for good in ["AGENTS.md", "A.md", "A-1_B.md", &format!("{}.md", "A".repeat(60))] {
            assert!(good.parse::<TemplateName>().is_ok() && good.parse::<LibraryName>().is_ok(), "{good}");
        }
        for bad in
            ["", ".md", "agents.md", "AGENTS", "1.md", "A/B.md", "A..md", "A.md.md", &format!("{}.md", "A".repeat(61))]
        {
            assert!(bad.parse::<TemplateName>().is_err() && bad.parse::<LibraryName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_what_was_sent() {
        let refusal = "sent\u{7}by a stranger".parse::<PoolId>().unwrap_err().to_string();
        assert_eq!(refusal, "a pool's id must be 1 to 128 characters, none of them a control character");
    }

    #[test]
    fn a_name_is_checked_when_it_is_read_from_json_as_well() {
        assert_eq!(serde_json::from_str::<SkillName>(r#""maps""#).unwrap().as_str(), "maps");
        assert_eq!(serde_json::to_string(&"maps".parse::<SkillName>().unwrap()).unwrap(), r#""maps""#);
        for bad in [r#""""#, r#""Maps""#, r#""maps\u0000""#, "1", "null"] {
            assert!(serde_json::from_str::<SkillName>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<PoolId>(r#""pool\u0000""#).is_err());
    }
}
