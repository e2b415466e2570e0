//! Fields that several endpoints take, each checked once, where it is read.

use std::fmt;

use portcullis_auth::BotId;
use portcullis_store::MAXIMUM_METADATA_BYTES;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

/// Why a text is not what its field takes. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct InvalidField(&'static str);

fn is_text(text: &str, maximum: usize) -> bool {
    (1..=maximum).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A title: 1–500 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 500, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
#[serde(try_from = "String")]
pub struct Title(pub String);

impl TryFrom<String> for Title {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let rule = "1 to 500 characters, none of them a control character";
        if is_text(&text, 500) { Ok(Self(text)) } else { Err(InvalidField(rule)) }
    }
}

/// A word or an id of another system: 1–256 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
#[serde(try_from = "String")]
pub struct Label(pub String);

impl TryFrom<String> for Label {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let rule = "1 to 256 characters, none of them a control character";
        if is_text(&text, 256) { Ok(Self(text)) } else { Err(InvalidField(rule)) }
    }
}

/// A session's key, trimmed and in lower case: 1–512 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 512, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
#[serde(try_from = "String")]
pub struct SessionKey(pub String);

impl TryFrom<String> for SessionKey {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let key = text.trim().to_lowercase();
        let rule = "1 to 512 characters, none of them a control character";
        if is_text(&key, 512) { Ok(Self(key)) } else { Err(InvalidField(rule)) }
    }
}

impl SessionKey {
    /// Whether it is a key of this bot's: `agent:<bot>:…`, where `<bot>` may be the bot's name as an agent too.
    #[must_use]
    pub fn is_of(&self, bot: &BotId) -> bool {
        let named = |name: &str| self.0.starts_with(&format!("agent:{name}:").to_lowercase());
        named(bot.as_str()) || named(&bot.agent_id())
    }
}

/// What a caller keeps with a row: any JSON, at most 64 KiB of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata(pub String);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Value::deserialize(deserializer)?.to_string();
        if text.len() > MAXIMUM_METADATA_BYTES {
            let kib = MAXIMUM_METADATA_BYTES / 1024;
            return Err(de::Error::custom(format_args!("must be at most {kib} KiB of JSON")));
        }
        Ok(Self(text))
    }
}

impl Metadata {
    /// What was kept, as JSON again; `null` where it is none.
    #[must_use]
    pub fn answered(stored: Option<&str>) -> Value {
        stored.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
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
    fn a_sessions_key_is_trimmed_and_in_lower_case() {
        let key = SessionKey::try_from("  Agent:Bot-1:Main ".to_owned()).unwrap();
        assert_eq!(key.0, "agent:bot-1:main");
        assert!(key.is_of(&"Bot-1".parse().unwrap()));
        assert!(!key.is_of(&"Bot".parse().unwrap()));
        for wrong in ["", "  ", "a\0b"] {
            assert!(SessionKey::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
        assert!(SessionKey::try_from("x".repeat(513)).is_err());
    }

    #[test]
    fn metadata_is_any_json_of_up_to_64_kib() {
        let read = |text: &str| serde_json::from_str::<Metadata>(text);
        assert_eq!(read(r#"{"a": [1, "x"]}"#).unwrap().0, r#"{"a":[1,"x"]}"#);
        assert!(read(&format!("\"{}\"", "x".repeat(64 * 1024 - 2))).is_ok());
        assert!(read(&format!("\"{}\"", "x".repeat(64 * 1024 - 1))).is_err());
        assert_eq!(Metadata::answered(Some("[1]")), serde_json::json!([1]));
        assert_eq!(Metadata::answered(None), Value::Null);
    }
}
