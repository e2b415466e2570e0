//! JSON that a caller stores with a row.

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// Most bytes of [`Metadata`].
pub const MAXIMUM_METADATA_BYTES: usize = 64 * 1024;

/// JSON that a caller stores with a row, at most [`MAXIMUM_METADATA_BYTES`]. It is stored as it was written and not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata(String);

impl Metadata {
    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns stored metadata as JSON again; `null` where a row has none.
    #[must_use]
    pub fn answered(stored: Option<&str>) -> Box<RawValue> {
        let kept = stored.and_then(|text| RawValue::from_string(text.to_owned()).ok());
        kept.unwrap_or_else(|| RawValue::NULL.to_owned())
    }
}

impl std::str::FromStr for Metadata {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_any_json_of_up_to_64_kib() {
        let read = |text: &str| text.parse::<Metadata>();
        assert_eq!(read(r#"{"a": [1e400, "x"]}"#).unwrap().as_str(), r#"{"a": [1e400, "x"]}"#);
        assert!(read(&format!("\"{}\"", "x".repeat(64 * 1024 - 2))).is_ok());
        assert!(read(&format!("\"{}\"", "x".repeat(64 * 1024 - 1))).is_err());
        assert_eq!(Metadata::answered(Some("[1]")).get(), "[1]");
        assert_eq!(Metadata::answered(None).get(), "null");
    }
}
