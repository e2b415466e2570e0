//! Fields of a person's profile.

use portcullis_contract::InvalidField;
use serde::Deserialize;
use url::Url;

/// Name of a person: 1–80 characters without control characters and without white space at its ends.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 80, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
#[serde(try_from = "String")]
pub struct PersonName(pub String);

impl TryFrom<String> for PersonName {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let name = text.trim();
        let is_name = (1..=80).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        let rule = "1 to 80 characters, none of them a control character";
        if is_name { Ok(Self(name.to_owned())) } else { Err(InvalidField::new(rule)) }
    }
}

/// Limit of a stored picture in bytes.
const MAXIMUM_IMAGE_LENGTH: usize = 64 * 1024;

/// Picture of a person: an https URL, or a `data:image/…` URL of up to 64 KiB.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, max_length = 65536, pattern = "^(https://|data:image/)")]
#[serde(try_from = "String")]
pub struct Picture(pub String);

impl TryFrom<String> for Picture {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let is_url = text.starts_with("https://") && Url::parse(&text).is_ok();
        let is_image = is_url || text.starts_with("data:image/");
        let is_clean = text.len() <= MAXIMUM_IMAGE_LENGTH && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        let rule = "an https URL or a data:image/ URL of at most 64 KiB";
        if is_image && is_clean { Ok(Self(text)) } else { Err(InvalidField::new(rule)) }
    }
}
