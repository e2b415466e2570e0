//! Preview URLs: their normal form, and the row that makes each one artifact's alone.

use std::{borrow::Cow, fmt, str::FromStr};

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use portcullis_auth::BotId;
use portcullis_crypto::Digest;
use serde::Deserialize;
use url::Url;
use utoipa::openapi::{
    RefOr, Schema,
    schema::{ObjectBuilder, Type},
};

use super::{Artifact, TABLE};
use crate::{
    Store, StoreError,
    attribute::{Item, SCHEMA, attributes, names, schema, text},
    batch::RowKey,
    row::Row,
    store::built,
};

/// Longest preview URL, in characters.
const MAXIMUM_LENGTH: usize = 2048;

/// An http or https address, kept as it was given. Two spellings of one address (RFC 3986 §6.2.2) are equal, and the
/// fragment is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PreviewUrl {
    given: String,
    digest: Digest,
}

/// Error: not a preview URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an http or https URL of at most {MAXIMUM_LENGTH} characters, without a user or a password")]
pub struct InvalidPreviewUrl;

impl FromStr for PreviewUrl {
    type Err = InvalidPreviewUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPreviewUrl> {
        if text.chars().count() > MAXIMUM_LENGTH || text.chars().any(char::is_control) {
            return Err(InvalidPreviewUrl);
        }
        let url = Url::parse(text).map_err(|_| InvalidPreviewUrl)?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || has_user || url.host_str().is_none_or(str::is_empty) {
            return Err(InvalidPreviewUrl);
        }
        let normal = normalized(&url).ok_or(InvalidPreviewUrl)?;
        Ok(Self { given: text.to_owned(), digest: Digest::of(normal.as_bytes()) })
    }
}

/// Normal form of an address (RFC 3986 §6.2.2 and §6.2.3). The parser has already put scheme and host into lower case,
/// left the scheme's own port out and resolved dot segments.
fn normalized(url: &Url) -> Option<String> {
    // A trailing dot of the host is optional (RFC 3986 §3.2.2).
    let host = url.host_str()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let (path, query) = (escaped(url.path()), url.query().map(escaped));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    // A partly escaped dot segment shows only after decoding, so the path is resolved once more.
    let mut resolved = Url::parse(&format!("{}://{host}{port}{path}{query}", url.scheme())).ok()?;
    resolved.set_fragment(None);
    Some(resolved.into())
}

/// Normal form of a path or a query: only characters that need an escape have one, and escapes are in upper case.
fn escaped(text: &str) -> String {
    let bytes = percent_decode_unreserved(text.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Characters that never need an escape (RFC 3986 §2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Characters that are allowed unescaped in a path or a query but mean something else when escaped (RFC 3986 §2.2 and
/// §3.4).
fn is_reserved(byte: u8) -> bool {
    b":/?@!$&'()*+,;=".contains(&byte)
}

fn percent_decode_unreserved(text: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        let escape = match rest {
            [b'%', high, low, ..] => hex::decode([*high, *low]).ok().and_then(|decoded| decoded.first().copied()),
            _ => None,
        };
        let (byte, is_escape) = escape.map_or((*byte, false), |decoded| (decoded, true));
        if is_unreserved(byte) || (is_reserved(byte) && !is_escape) {
            normal.push(byte);
        } else {
            normal.push(b'%');
            normal.extend(hex::encode_upper([byte]).into_bytes());
        }
        rest = if is_escape { behind.get(2..).unwrap_or_default() } else { behind };
    }
    normal
}

impl PreviewUrl {
    /// Address as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// Returns whether both are spellings of one address.
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

impl utoipa::PartialSchema for PreviewUrl {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("An http or https URL."))
            .max_length(Some(MAXIMUM_LENGTH))
            .pattern(Some("^https?://"))
            .examples(["https://example.com/"])
            .into()
    }
}

impl utoipa::ToSchema for PreviewUrl {
    fn name() -> Cow<'static, str> {
        "WebUrl".into()
    }
}

impl TryFrom<String> for PreviewUrl {
    type Error = InvalidPreviewUrl;

    fn try_from(text: String) -> Result<Self, InvalidPreviewUrl> {
        text.parse()
    }
}

impl fmt::Display for PreviewUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.given)
    }
}

/// Owner of a preview URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewOwner {
    /// Id of the artifact.
    pub artifact: String,
    /// The artifact's bot.
    pub bot: BotId,
    /// The artifact's session.
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

    /// Returns whether the owner is this session of this bot.
    pub(super) fn is_session(&self, bot: &BotId, session_key: &str) -> bool {
        self.bot == *bot && self.session_key.as_deref() == Some(session_key)
    }
}

impl Store {
    /// Action that gives a URL to an artifact, on the condition that no artifact has it.
    pub(super) fn take_preview(&self, url: &PreviewUrl, artifact: &Artifact) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#id)";
        // The attribute is not called `bot`, so that the index of a bot's artifacts leaves this row out.
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

    /// Action that frees a URL, on the condition that this artifact has it.
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
        for same in [
            "HTTPS://example.com/b",
            "https://example.com./b",
            "https://example.com.:443/b",
            "https://example.com/%62",
            "https://example.com/a/%2e%2e/b",
            "https://example.com/a/%2E./b",
            "https://ex%61mple.com/b",
            "https://example.com\\b",
            " https://example.com/b",
        ] {
            assert!(one.is_same(&url(same)), "{same}");
        }
        for other in
            ["http://example.com/b", "https://example.com/b/", "https://example.com/b?", "https://example.com:8443/b"]
        {
            assert!(!one.is_same(&url(other)), "{other}");
        }
        assert_eq!(one.as_str(), "https://Example.com:443/a/../b#part");
    }

    #[test]
    fn an_escape_is_the_same_in_either_case_and_of_what_needs_none_it_is_nothing() {
        for (one, other, are_same) in [
            ("https://h/%7Ea?%7eb", "https://h/~a?~b", true),
            ("https://h/%c3%a9", "https://h/%C3%A9", true),
            ("https://h/%c3%a9", "https://h/\u{e9}", true),
            ("https://h/a|b^c", "https://h/a%7Cb%5ec", true),
            ("https://h/a b", "https://h/a%20b", true),
            ("https://h/?q=%41", "https://h/?q=A", true),
            ("https://h/100%", "https://h/100%25", true),
            ("https://h/a%2Fb", "https://h/a/b", false),
            ("https://h/a%3Fb", "https://h/a?b", false),
            ("https://h/%2541", "https://h/A", false),
            ("https://h/A", "https://h/a", false),
            ("https://[2001:db8:0::1]/", "https://[2001:DB8::1]/", true),
            ("http://0x7f.1/", "http://127.0.0.1/", true),
        ] {
            assert_eq!(url(one).is_same(&url(other)), are_same, "{one} {other}");
        }
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
