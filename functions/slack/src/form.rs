//! A parser of Slack's forms, `application/x-www-form-urlencoded`.
//!
//! Stricter than the URL Standard's parser, which accepts any bytes: text that this parser and the pool's would read
//! differently is refused.
//!
//! Source: WHATWG, "URL", "application/x-www-form-urlencoded parsing",
//! <https://url.spec.whatwg.org/#urlencoded-parsing>.

use std::{borrow::Cow, collections::HashMap};

/// Limit of a form's fields: the pool's parser ignores all further ones. Slack sends about 15.
///
/// Source: Node.js, "Query string", `maxKeys` of `querystring.parse`.
const MAXIMUM_FIELDS: usize = 1000;

/// The decoded fields of a form; each name is unique.
#[derive(Debug, Default)]
pub struct Form<'a> {
    fields: HashMap<Cow<'a, str>, Cow<'a, str>>,
}

impl<'a> Form<'a> {
    /// Parses a form; `None` if a name is repeated, a name or a value is not UTF-8, an escape is truncated, or there
    /// are more than [`MAXIMUM_FIELDS`].
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut fields = HashMap::new();
        for field in text.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let is_second = fields.insert(decoded(name)?, decoded(value)?).is_some();
            if is_second || fields.len() > MAXIMUM_FIELDS {
                return None;
            }
        }
        Some(Self { fields })
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(AsRef::as_ref)
    }
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Returns the value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let form = Form::parse(b"command=%2Fweather&text=94070+%2b+caf%C3%A9&empty=&bare&&a=b=c&%74eam=T1").unwrap();
        for (name, value) in [
            ("command", "/weather"),
            ("text", "94070 + café"),
            ("empty", ""),
            ("bare", ""),
            ("a", "b=c"),
            ("team", "T1"),
        ] {
            assert_eq!(form.get(name), Some(value), "{name}");
        }
        assert_eq!(form.get("none"), None);
        assert!(Form::parse(b"").unwrap().fields.is_empty());
    }

    #[test]
    fn a_name_that_stands_twice_makes_no_form_however_it_is_written() {
        for twice in ["a=1&a=1", "a=1&b=2&a", "a=1&%61=2", "a+b=1&a%20b=2", "=1&=2"] {
            assert!(Form::parse(twice.as_bytes()).is_none(), "{twice}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_make_no_form() {
        let hostile: [&[u8]; 8] = [b"a=\xff", b"\xff=a", b"a=%ff", b"%C3=a", b"a=%", b"a=%2", b"a=%zz", b"a=%C3%"];
        for bad in hostile {
            assert!(Form::parse(bad).is_none(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn a_form_has_at_most_1000_fields() {
        let of = |count: usize| (0..count).map(|number| format!("n{number}=")).collect::<Vec<_>>().join("&");
        assert!(Form::parse(of(1000).as_bytes()).is_some());
        assert!(Form::parse(of(1001).as_bytes()).is_none());
    }
}
