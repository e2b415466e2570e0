//! Fields that several endpoints take, each validated once when it is parsed.

pub mod artifact;
pub mod bot;
pub mod person;

use portcullis_store::Change;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned},
};
use serde_json::value::RawValue;

use crate::json;

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

/// A JSON object in its original text.
#[derive(Clone, Debug)]
pub struct Object(pub Box<RawValue>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('{') { Ok(Self(raw)) } else { Err(de::Error::custom("must be a JSON object")) }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_contract::{Label, SafeInteger, Time};

    use super::*;

    #[test]
    fn an_optional_text_that_is_empty_counts_as_absent() {
        #[derive(Debug, Deserialize)]
        struct Request {
            #[serde(default, deserialize_with = "optional")]
            label: Option<Label>,
            #[serde(default, deserialize_with = "optional")]
            at: Option<Time>,
            #[serde(default, deserialize_with = "optional")]
            count: Option<SafeInteger>,
        }
        let read = |text: &str| serde_json::from_str::<Request>(text);
        for absent in ["{}", r#"{"label":"","at":""}"#, r#"{"label":null,"at":null,"count":null}"#] {
            let request = read(absent).unwrap();
            assert_eq!((request.label, request.at, request.count), (None, None, None), "{absent}");
        }
        let request = read(r#"{"label":"x","at":"2026-01-31T12:00:00+02:00","count":9007199254740991}"#).unwrap();
        assert_eq!(
            (request.label.unwrap().as_str(), request.count),
            ("x", Some(SafeInteger::from(SafeInteger::MAXIMUM)))
        );
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
}
