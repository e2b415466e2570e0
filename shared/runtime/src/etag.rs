//! Entity tags and conditional requests: a caller that has the current version gets a 304 instead of a body.
//!
//! Source: RFC 9110, §8.8.3 (`ETag`) and §13.1.2 (`If-None-Match`).

use axum::response::{IntoResponse, Response};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ETAG, IF_NONE_MATCH},
};

use crate::ApiError;

/// The entity tags of a request's `if-none-match`.
///
/// A malformed header counts up to its first fault: its caller may get a full response, which is never wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfNoneMatch {
    /// `*`: any current version.
    Any,
    /// These tags, each without quotes and `W/`, since `if-none-match` compares weakly. Empty without a header.
    Tags(Vec<String>),
}

impl From<&HeaderMap> for IfNoneMatch {
    fn from(headers: &HeaderMap) -> Self {
        // Several headers form a single list (RFC 9110 §5.3).
        let values = || headers.get_all(IF_NONE_MATCH).iter().map(HeaderValue::as_bytes);
        if values().count() == 1 && values().all(|value| value.trim_ascii() == b"*") {
            return Self::Any;
        }
        Self::Tags(values().flat_map(tags).collect())
    }
}

impl IfNoneMatch {
    /// Returns whether the caller has the version of `etag`, a tag without its quotes.
    #[must_use]
    pub fn matches(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag == etag),
        }
    }
}

/// Returns the tags of one header, up to its first fault.
fn tags(mut rest: &[u8]) -> Vec<String> {
    let mut tags = Vec::new();
    loop {
        // Empty list elements are skipped (RFC 9110 §5.6.1).
        rest = skip(rest, |byte| matches!(byte, b' ' | b'\t' | b','));
        let quoted = rest.strip_prefix(b"W/").unwrap_or(rest).strip_prefix(b"\"");
        let Some((tag, after)) = quoted.and_then(|quoted| split_at_quote(quoted)) else { return tags };
        // Tags that are not UTF-8 are skipped: this server's own tags are ASCII.
        tags.extend(str::from_utf8(tag).map(str::to_owned));
        rest = skip(after, |byte| matches!(byte, b' ' | b'\t'));
        if !matches!(rest.first(), None | Some(b',')) {
            return tags;
        }
    }
}

fn skip(bytes: &[u8], skipped: fn(u8) -> bool) -> &[u8] {
    let start = bytes.iter().position(|byte| !skipped(*byte)).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// Splits at the next quote. A tag has no escapes.
fn split_at_quote(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'"')?;
    let (tag, rest) = bytes.split_at_checked(end)?;
    Some((tag, rest.strip_prefix(b"\"")?))
}

/// Returns whether `if-none-match` contains `etag`, so that the response is a 304.
#[must_use]
pub fn matches(headers: &HeaderMap, etag: &str) -> bool {
    IfNoneMatch::from(headers).matches(etag)
}

/// Returns the `ETag` header for `etag`, a tag without its quotes.
///
/// # Errors
/// 500 if the tag contains a quote or a character that no header may contain, which is a defect.
pub fn header(etag: &str) -> Result<(HeaderName, HeaderValue), ApiError> {
    let is_tag = etag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    let value = is_tag.then(|| HeaderValue::from_str(&format!("\"{etag}\"")).ok()).flatten();
    value.map(|value| (ETAG, value)).ok_or_else(|| ApiError::internal("an etag is not one"))
}

/// Returns the 304 for a caller that has the version of `etag`.
///
/// # Errors
/// Those of [`header`].
pub fn not_modified(etag: &str) -> Result<Response, ApiError> {
    Ok((StatusCode::NOT_MODIFIED, [header(etag)?]).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(values: &[&str]) -> IfNoneMatch {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_NONE_MATCH, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        IfNoneMatch::from(&headers)
    }

    #[test]
    fn a_tag_matches_itself_weak_or_not_alone_or_in_a_list() {
        for matching in [
            vec!["\"1-ab\""],
            vec!["W/\"1-ab\""],
            vec![" \t\"1-ab\" "],
            vec!["\"other\", \"1-ab\""],
            vec!["\"1-ab\",W/\"other\""],
            vec![",, \"other\" ,\t, W/\"1-ab\","],
            vec!["\"a,b\",\"1-ab\""],
            vec!["\"other\"", "\"1-ab\""],
            vec!["\"\", \"1-ab\""],
            vec!["\"é\", \"1-ab\""],
        ] {
            assert!(asked(&matching).matches("1-ab"), "{matching:?}");
        }
    }

    #[test]
    fn nothing_else_matches_it() {
        for other in [
            vec![],
            vec![""],
            vec!["1-ab"],
            vec!["\"1-ab"],
            vec!["1-ab\""],
            vec!["'1-ab'"],
            vec!["w/\"1-ab\""],
            vec!["W/ \"1-ab\""],
            vec!["\"1-abc\""],
            vec!["\"1-AB\""],
            vec!["\"x1-ab\""],
            vec!["\"W/1-ab\""],
            vec!["\"x, 1-ab\""],
            vec!["\"other\" \"1-ab\""],
            vec!["\"other\"; \"1-ab\""],
        ] {
            assert!(!asked(&other).matches("1-ab"), "{other:?}");
        }
        assert!(!asked(&[]).matches(""));
    }

    #[test]
    fn a_star_alone_matches_whatever_there_is() {
        assert!(asked(&["*"]).matches("1-ab") && asked(&[" * "]).matches(""));
        for not_alone in [vec!["\"*\""], vec!["*, \"x\""], vec!["*", "*"], vec!["**"]] {
            assert!(!asked(&not_alone).matches("1-ab"), "{not_alone:?}");
        }
    }

    #[test]
    fn only_the_tags_in_the_header_match() {
        let (name, value) = header("1-ab").unwrap();
        assert_eq!((name, value.to_str().unwrap()), (ETAG, "\"1-ab\""));
        assert!(asked(&[value.to_str().unwrap()]).matches("1-ab"));
        for not_a_tag in ["\"", "a\"b", "a b", "a\nb", "é", "\u{7f}"] {
            assert!(header(not_a_tag).is_err(), "{not_a_tag:?}");
        }
    }

    #[test]
    fn a_304_has_its_tag() {
        let response = not_modified("1-ab").unwrap();
        assert_eq!(
            (response.status(), response.headers().get(ETAG).unwrap().to_str().unwrap()),
            (StatusCode::NOT_MODIFIED, "\"1-ab\"")
        );
    }
}
