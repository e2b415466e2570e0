//! Fields that several endpoints take, each validated once when it is parsed.

pub mod artifact;
pub mod bot;
pub mod person;

use std::fmt;

use jiff::Timestamp;
use portcullis_auth::BotId;
use portcullis_store::{Change, MAXIMUM_COUNT, MAXIMUM_METADATA_BYTES};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned},
};
use serde_json::value::RawValue;

use crate::json;

/// The rule that an invalid field breaks. It contains no part of the field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct InvalidField(&'static str);

impl InvalidField {
    /// Creates the error of a field that must be `rule`.
    #[must_use]
    pub fn new(rule: &'static str) -> Self {
        Self(rule)
    }
}

/// Reads an optional field: `null` and the empty text count as absent.
///
/// # Errors
/// Those of `T`.
pub fn optional<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let Some(raw) = Option::<Box<RawValue>>::deserialize(deserializer)? else { return Ok(None) };
    if raw.get() == "\"\"" {
        return Ok(None);
    }
    serde_json::from_str(raw.get()).map(Some).map_err(|error| de::Error::custom(json::without_position(&error)))
}

/// Reads a removable field: `null` removes it, the empty text counts as absent.
///
/// # Errors
/// Those of `T`.
pub fn change<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Change<T>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    match raw.get() {
        "null" => Ok(Change::Remove),
        "\"\"" => Ok(Change::Keep),
        text => serde_json::from_str(text)
            .map(Change::Set)
            .map_err(|error| de::Error::custom(json::without_position(&error))),
    }
}

/// A time in the format of RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub Timestamp);

impl TryFrom<String> for Time {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        text.parse().map(Self).map_err(|_| InvalidField("a time with its offset, such as 2026-01-31T12:00:00Z"))
    }
}

/// A count that JavaScript holds exactly: 0 to 2^53 − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u64);

impl Count {
    /// The largest count.
    pub const MAXIMUM: u64 = MAXIMUM_COUNT;
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let count = raw.get().parse().ok().filter(|count| *count <= Self::MAXIMUM);
        count.map(Self).ok_or_else(|| de::Error::custom("must be a whole number from 0 to 9007199254740991"))
    }
}

/// A JSON object in its original text.
#[derive(Clone, Debug)]
pub struct Object(pub Box<RawValue>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('{') { Ok(Self(raw)) } else { Err(de::Error::custom("must be a JSON object")) }
    }
}

fn is_text(text: &str, maximum: usize) -> bool {
    (1..=maximum).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A title: 1–500 characters without control characters.
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

/// A word or an id of another system: 1–256 characters without control characters.
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

impl std::str::FromStr for Label {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        Self::try_from(text.to_owned())
    }
}

/// A session's key, trimmed and in lower case: 1–512 characters without control characters.
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
    /// Returns whether the key belongs to this bot: `agent:<bot>:…`, where `<bot>` may be any of the bot's names as an
    /// agent.
    #[must_use]
    pub fn is_of(&self, bot: &BotId) -> bool {
        bot.agent_ids().iter().any(|agent| self.0.starts_with(&format!("agent:{agent}:")))
    }
}

/// JSON metadata of a row, up to 64 KiB. It is stored verbatim and never interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata(pub String);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?.get().to_owned();
        if text.len() > MAXIMUM_METADATA_BYTES {
            let kib = MAXIMUM_METADATA_BYTES / 1024;
            return Err(de::Error::custom(format_args!("must be at most {kib} KiB of JSON")));
        }
        Ok(Self(text))
    }
}

impl Metadata {
    /// Returns stored metadata as JSON; `null` for absent metadata.
    #[must_use]
    pub fn answered(stored: Option<&str>) -> Box<RawValue> {
        let kept = stored.and_then(|text| RawValue::from_string(text.to_owned()).ok());
        kept.unwrap_or_else(|| RawValue::NULL.to_owned())
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
    fn an_optional_text_that_is_empty_counts_as_absent() {
        #[derive(Debug, Deserialize)]
        struct Request {
            #[serde(default, deserialize_with = "optional")]
            label: Option<Label>,
            #[serde(default, deserialize_with = "optional")]
            at: Option<Time>,
            #[serde(default, deserialize_with = "optional")]
            count: Option<Count>,
        }
        let read = |text: &str| serde_json::from_str::<Request>(text);
        for absent in ["{}", r#"{"label":"","at":""}"#, r#"{"label":null,"at":null,"count":null}"#] {
            let request = read(absent).unwrap();
            assert_eq!((request.label, request.at, request.count), (None, None, None), "{absent}");
        }
        let request = read(r#"{"label":"x","at":"2026-01-31T12:00:00+02:00","count":9007199254740991}"#).unwrap();
        assert_eq!((request.label.unwrap().0.as_str(), request.count), ("x", Some(Count(Count::MAXIMUM))));
        assert_eq!(request.at.unwrap().0.to_string(), "2026-01-31T10:00:00Z");
        for (wrong, why) in [
            (r#"{"label":7}"#, "expected a string"),
            (r#"{"at":"2026-01-31T12:00:00"}"#, "must be a time with its offset"),
            (r#"{"at":"yesterday"}"#, "must be a time with its offset"),
            (r#"{"count":-1}"#, "must be a whole number"),
            (r#"{"count":1.5}"#, "must be a whole number"),
            (r#"{"count":1e400}"#, "must be a whole number"),
            (r#"{"count":9007199254740992}"#, "must be a whole number"),
            (r#"{"count":18446744073709551615}"#, "must be a whole number"),
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn metadata_is_any_json_of_up_to_64_kib() {
        let read = |text: &str| serde_json::from_str::<Metadata>(text);
        assert_eq!(read(r#"{"a": [1e400, "x"]}"#).unwrap().0, r#"{"a": [1e400, "x"]}"#);
        assert!(read(&format!("\"{}\"", "x".repeat(64 * 1024 - 2))).is_ok());
        assert!(read(&format!("\"{}\"", "x".repeat(64 * 1024 - 1))).is_err());
        assert_eq!(Metadata::answered(Some("[1]")).get(), "[1]");
        assert_eq!(Metadata::answered(None).get(), "null");
    }
}
