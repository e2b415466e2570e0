//! Reader of a request's token.

use http::{HeaderMap, header::AUTHORIZATION};

/// Header in which existing clients send their token; it takes precedence over `Authorization`.
const INTERNAL_TOKEN_HEADER: &str = "x-internal-token";

const SCHEME: &[u8] = b"bearer ";

/// Returns a request's token: `x-internal-token`, else `Authorization: Bearer` (RFC 6750 §2.1).
///
/// A repeated header yields no token: otherwise a proxy on the way could choose which of the two counts.
pub(super) fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if headers.contains_key(INTERNAL_TOKEN_HEADER) {
        return only(headers, INTERNAL_TOKEN_HEADER);
    }
    let authorization = only(headers, AUTHORIZATION.as_str())?;
    let (scheme, token) = authorization.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::presented;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn the_internal_header_wins_over_authorization() {
        let both = headers(&[("authorization", "Bearer b"), ("x-internal-token", "a")]);
        assert_eq!(presented(&both), Some(b"a".as_slice()));
        assert_eq!(presented(&headers(&[("authorization", "bearer b")])), Some(b"b".as_slice()));
    }

    #[test]
    fn an_empty_internal_header_does_not_fall_back() {
        let both = headers(&[("authorization", "Bearer b"), ("x-internal-token", "")]);
        assert_eq!(presented(&both), Some(b"".as_slice()));
    }

    #[test]
    fn another_scheme_and_a_header_that_is_there_twice_present_nothing() {
        assert_eq!(presented(&headers(&[("authorization", "Basic b")])), None);
        assert_eq!(presented(&headers(&[("authorization", "Bear")])), None);
        assert_eq!(presented(&headers(&[])), None);
        let mut twice = headers(&[("x-internal-token", "a")]);
        twice.append("x-internal-token", HeaderValue::from_static("b"));
        assert_eq!(presented(&twice), None);
    }
}
