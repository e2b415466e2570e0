//! Times.

use jiff::Timestamp;
use serde::Deserialize;

use crate::InvalidField;

/// A time of RFC 3339, with its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-02T03:04:05.678Z")]
#[serde(try_from = "String")]
pub struct Time(pub Timestamp);

impl TryFrom<String> for Time {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let rule = "a time with its offset, such as 2026-01-31T12:00:00Z";
        text.parse().map(Self).map_err(|_| InvalidField::new(rule))
    }
}
