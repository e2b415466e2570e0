//! Fields of bots and of their channels.

use portcullis_contract::{InvalidField, is_text};
use secrecy::SecretString;
use serde::Deserialize;

/// Limit of a system prompt in bytes: 32 KiB.
pub const MAXIMUM_PROMPT_BYTES: usize = 32 * 1024;

/// A bot's or a team's name: 1–255 characters without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
#[serde(try_from = "String")]
pub struct Name(pub String);

impl TryFrom<String> for Name {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let rule = "1 to 255 characters, none of them a control character";
        if is_text(&text, 255) { Ok(Self(text)) } else { Err(InvalidField::new(rule)) }
    }
}

/// A bot's slug, its name in paths: 1–100 characters of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9-]{1,100}$")]
#[serde(try_from = "String")]
pub struct Slug(pub String);

impl Slug {
    const MAXIMUM: usize = 100;

    /// Returns the default slug of a bot: its name in lower case, with `-` for each run of characters that a slug
    /// cannot contain.
    #[must_use]
    pub fn of_name(name: &Name) -> Self {
        let lower = name.0.to_lowercase();
        let parts = lower.split(|character: char| !character.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
        let slug: String = parts.collect::<Vec<_>>().join("-").chars().take(Self::MAXIMUM).collect();
        if slug.is_empty() { Self("bot".to_owned()) } else { Self(slug) }
    }
}

impl TryFrom<String> for Slug {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let valid = (1..=Self::MAXIMUM).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if valid { Ok(Self(text)) } else { Err(InvalidField::new("1 to 100 of a-z, 0-9 and -")) }
    }
}

/// A model's id: 1–256 characters without white space or control characters. An empty id would make its pool's whole
/// configuration invalid.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 256, pattern = r"^[^\s\x00-\x1f\x7f-\x9f]+$")]
#[serde(try_from = "String")]
pub struct ModelId(pub String);

impl TryFrom<String> for ModelId {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let rule = "1 to 256 characters, none of them white space or a control character";
        let valid = is_text(&text, 256) && !text.chars().any(char::is_whitespace);
        if valid { Ok(Self(text)) } else { Err(InvalidField::new(rule)) }
    }
}

/// System prompt that a bot's owner writes: up to 32 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 32_768)]
#[serde(try_from = "String")]
pub struct SystemPrompt(pub String);

impl TryFrom<String> for SystemPrompt {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let valid = (1..=MAXIMUM_PROMPT_BYTES).contains(&text.len());
        if valid { Ok(Self(text)) } else { Err(InvalidField::new("at most 32768 bytes")) }
    }
}

/// Returns whether a text can be a channel's credential: printable ASCII without white space.
fn is_credential(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Signing secret of a Slack app: 16–256 printable ASCII characters without white space.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 16, max_length = 256, pattern = "^[!-~]+$")]
#[serde(try_from = "String")]
pub struct AppSigningSecret(pub SecretString);

impl TryFrom<String> for AppSigningSecret {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let rule = "16 to 256 printable ASCII characters without white space";
        if is_credential(&text, 16..=256) { Ok(Self(text.into())) } else { Err(InvalidField::new(rule)) }
    }
}

/// Bot token of a chat platform: 8–1024 printable ASCII characters without white space.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 8, max_length = 1024, pattern = "^[!-~]+$")]
#[serde(try_from = "String")]
pub struct BotToken(pub SecretString);

impl TryFrom<String> for BotToken {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let rule = "8 to 1024 printable ASCII characters without white space";
        if is_credential(&text, 8..=1024) { Ok(Self(text.into())) } else { Err(InvalidField::new(rule)) }
    }
}

/// Secret of a Feishu app, or its verification token: 8–256 printable ASCII characters without white space.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 8, max_length = 256, pattern = "^[!-~]+$")]
#[serde(try_from = "String")]
pub struct FeishuSecret(pub SecretString);

impl TryFrom<String> for FeishuSecret {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let rule = "8 to 256 printable ASCII characters without white space";
        if is_credential(&text, 8..=256) { Ok(Self(text.into())) } else { Err(InvalidField::new(rule)) }
    }
}

/// Encrypt key of a Feishu app, which its owner chooses: 1–256 characters without control characters.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
#[serde(try_from = "String")]
pub struct FeishuEncryptKey(pub SecretString);

impl TryFrom<String> for FeishuEncryptKey {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let rule = "1 to 256 characters, none of them a control character";
        if is_text(&text, 256) { Ok(Self(text.into())) } else { Err(InvalidField::new(rule)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_made_of_a_name_is_a_slug() {
        for (name, slug) in [
            ("Support Bot", "support-bot"),
            ("  É/Ü!  ", "bot"),
            ("A--b__C", "a-b-c"),
            (&"x".repeat(255), &"x".repeat(100)),
        ] {
            let made = Slug::of_name(&Name(name.to_owned()));
            assert_eq!(made.0, slug);
            assert!(Slug::try_from(made.0).is_ok());
        }
    }

    #[test]
    fn a_models_id_is_not_empty_and_holds_no_white_space() {
        for good in ["a", "anthropic/claude-sonnet-4.5", "gpt-4o:free", &"m".repeat(256)] {
            assert!(ModelId::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "a\n", "a\0", "a\u{a0}b", &"m".repeat(257)] {
            assert!(ModelId::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_credential_is_refused_when_short_long_or_with_white_space() {
        assert!(AppSigningSecret::try_from("0".repeat(32)).is_ok());
        for bad in ["0".repeat(15), "0".repeat(257), format!("{} ", "0".repeat(31)), "é".repeat(16)] {
            assert!(AppSigningSecret::try_from(bad.clone()).is_err(), "{bad:?}");
        }
        for bad in ["xoxb-12".to_owned(), format!("xoxb-{}\n", "1".repeat(9)), "x".repeat(1025)] {
            assert!(BotToken::try_from(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
