//! Whose a preview's URL is.

use std::{fmt, str::FromStr};

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use portcullis_auth::BotId;
use portcullis_crypto::Digest;
use url::Url;

use super::{Artifact, TABLE};
use crate::{
    Store, StoreError,
    attribute::{Item, SCHEMA, attributes, names, schema, text},
    batch::RowKey,
    row::Row,
    store::built,
};

/// The most characters of a preview's URL.
const MAXIMUM_LENGTH: usize = 2048;

/// A web address, as it was given. Two spellings of one address (RFC 3986 §6.2.2, and whatever their fragments) are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewUrl {
    given: String,
    digest: Digest,
}

/// Not a preview's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an http or https URL of at most {MAXIMUM_LENGTH} characters, without a user or a password")]
pub struct InvalidPreviewUrl;

impl FromStr for PreviewUrl {
    type Err = InvalidPreviewUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPreviewUrl> {
        if text.chars().count() > MAXIMUM_LENGTH || text.chars().any(char::is_control) {
            return Err(InvalidPreviewUrl);
        }
        let mut url = Url::parse(text).map_err(|_| InvalidPreviewUrl)?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || has_user || url.host_str().is_none_or(str::is_empty) {
            return Err(InvalidPreviewUrl);
        }
        url.set_fragment(None);
        Ok(Self { given: text.to_owned(), digest: Digest::of(url.as_str().as_bytes()) })
    }
}

impl PreviewUrl {
    /// The address as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// Whether the two are spellings of one address.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    fn row_id(&self) -> String {
        format!("previewUrl#{}", self.digest.to_hex())
    }

    pub(super) fn key(&self) -> RowKey {
        RowKey::new(TABLE, [&self.row_id()])
    }
}

impl fmt::Display for PreviewUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.given)
    }
}

/// Whose a preview's URL is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewOwner {
    /// The artifact.
    pub artifact: String,
    /// Its bot.
    pub bot: BotId,
    /// Its session.
    pub session_key: Option<String>,
}

impl PreviewOwner {
    pub(super) fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        Ok(Self {
            artifact: row.text("artifact")?.to_owned(),
            bot: row.parsed("owner")?,
            session_key: row.optional_text("sessionKey")?.map(str::to_owned),
        })
    }

    /// Whether it is this session's of this bot.
    pub(super) fn is_session(&self, bot: &BotId, session_key: &str) -> bool {
        self.bot == *bot && self.session_key.as_deref() == Some(session_key)
    }
}

impl Store {
    /// The action that makes a URL an artifact's, on the condition that it is nobody's.
    pub(super) fn take_preview(&self, url: &PreviewUrl, artifact: &Artifact) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#id)";
        // The bot is not called `bot` here, so that this row is in no list of a bot's artifacts.
        let mut row = attributes([
            (SCHEMA, schema()),
            ("id", text(url.row_id())),
            ("artifact", text(&artifact.id)),
            ("owner", text(&artifact.bot)),
        ]);
        row.extend(artifact.session_key.iter().map(|key| ("sessionKey".to_owned(), text(key))));
        let put = Put::builder()
            .table_name(self.table_name(TABLE))
            .set_item(Some(row))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    /// The action that gives a URL up, on the condition that it is this artifact's.
    pub(super) fn give_up_preview(&self, url: &PreviewUrl, artifact: &str) -> Result<TransactWriteItem, StoreError> {
        let condition = "#artifact = :artifact";
        let delete = Delete::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(url.row_id()))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":artifact", text(artifact));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> PreviewUrl {
        text.parse().expect(text)
    }

    #[test]
    fn two_spellings_of_an_address_are_one() {
        let one = url("https://Example.com:443/a/../b#part");
        assert!(one.is_same(&url("HTTPS://example.com/b")));
        assert!(!one.is_same(&url("http://example.com/b")));
        assert_eq!(one.as_str(), "https://Example.com:443/a/../b#part");
    }

    #[test]
    fn only_web_addresses_are_previews() {
        let long = format!("https://example.com/{}", "x".repeat(MAXIMUM_LENGTH));
        for wrong in [
            "",
            "example.com",
            "ftp://example.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "https://",
            "https://user@example.com/",
            "https://:password@example.com/",
            "https://example.com/\u{0}",
            "https://example.com/\n",
            long.as_str(),
        ] {
            assert_eq!(wrong.parse::<PreviewUrl>().err(), Some(InvalidPreviewUrl), "{wrong:.40}");
        }
    }
}
