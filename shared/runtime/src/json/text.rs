//! JSON text with the tolerance of JavaScript's `JSON.parse`.
//!
//! `serde_json` alone refuses an escaped lone surrogate and a number that is too large for a double, even in fields
//! that nobody reads, and follows only 128 levels. An event of Slack's must not be lost for these.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::IgnoredAny;

/// The text is not JSON. The error contains the position and no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedJson {
    line: usize,
    column: usize,
}

impl fmt::Display for MalformedJson {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

/// Returns the text of a body, with each escaped lone surrogate replaced by an escaped U+FFFD of the same length. The
/// result is one JSON value of any depth, in UTF-8.
///
/// # Errors
/// [`MalformedJson`].
pub fn well_formed(body: &[u8]) -> Result<Cow<'_, str>, MalformedJson> {
    let text = readable(body).ok_or(MalformedJson { line: 1, column: 0 })?;
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(IgnoredAny) => Ok(text),
        Err(error) => Err(MalformedJson { line: error.line(), column: error.column() }),
    }
}

/// Returns the text of a body with its lone surrogates replaced; `None` if the body is not UTF-8. The text is not
/// checked to be JSON.
#[must_use]
pub fn readable(body: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(body).ok()?;
    let lone = lone_surrogates(body);
    if lone.is_empty() {
        return Some(Cow::Borrowed(text));
    }
    let mut replaced = body.to_vec();
    for at in lone {
        if let Some(escape) = replaced.get_mut(at..at + ESCAPE) {
            escape.copy_from_slice(br"\ufffd");
        }
    }
    String::from_utf8(replaced).ok().map(Cow::Owned)
}

/// Length of `\uXXXX`.
const ESCAPE: usize = 6;

/// Returns the positions of escaped surrogates without their other half.
fn lone_surrogates(body: &[u8]) -> Vec<usize> {
    let mut lone = Vec::new();
    let mut at = 0;
    // A backslash is inside a string, or the text is not JSON.
    while let Some(distance) = body.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += distance;
        match escaped_unit(body, at) {
            Some(0xd800..=0xdbff) if matches!(escaped_unit(body, at + ESCAPE), Some(0xdc00..=0xdfff)) => {
                at += 2 * ESCAPE;
            }
            Some(0xd800..=0xdfff) => {
                lone.push(at);
                at += ESCAPE;
            }
            Some(_) => at += ESCAPE,
            // An escape of two characters, such as `\\`.
            None => at += 2,
        }
    }
    lone
}

/// Returns the UTF-16 code unit that is escaped at this position.
fn escaped_unit(body: &[u8], at: usize) -> Option<u16> {
    let escape = body.get(at..at.checked_add(ESCAPE)?)?;
    let digits = escape.strip_prefix(br"\u")?;
    let mut unit = 0;
    for digit in digits {
        unit = unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?;
    }
    Some(unit)
}

/// Returns whether any object in `json`, which must be well-formed, has a repeated key. Parsers differ in which value
/// counts, and this check must see the values that other parsers read.
#[must_use]
pub fn has_duplicate_key(json: &str) -> bool {
    let bytes = json.as_bytes();
    let mut keys: HashSet<(usize, Cow<'_, str>)> = HashSet::new();
    // Number of each open object; `None` for an array. Not recursive, since the sender chooses the depth.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut objects = 0;
    let mut is_key = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => {
                open.push(Some(objects));
                objects += 1;
                is_key = true;
            }
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            b',' => is_key = matches!(open.last(), Some(Some(_))),
            b'"' => {
                let end = string_end(bytes, at);
                if let (true, Some(Some(object)), Some(literal)) = (is_key, open.last(), json.get(at..end)) {
                    is_key = false;
                    if !keys.insert((*object, unescaped(literal))) {
                        return true;
                    }
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    false
}

/// Returns the position after the string literal that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Returns the text of a string literal; a malformed literal is returned as it is.
#[must_use]
pub fn unescaped(literal: &str) -> Cow<'_, str> {
    let inner = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        _ => serde_json::from_str(literal).map_or(Cow::Borrowed(literal), Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_key_is_found_at_any_depth_and_however_it_is_written() {
        for json in [
            r#"{"a":1,"a":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[{"a":1,"\u0061":2}]}"#,
            r#"{"x":[1,[2,{}],"y"],"b":{"c":"}"},"x":0}"#,
            r#"{"\ufffd":1,"\ufffd":2}"#,
        ] {
            assert!(has_duplicate_key(json), "{json}");
        }
        let deep = format!("{}{{\"a\":1,\"a\":2}}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(has_duplicate_key(&deep));
    }

    #[test]
    fn equal_keys_of_different_objects_and_equal_values_are_no_duplicates() {
        for json in [
            r#"{"a":{"a":1},"b":[{"a":1},{"a":1}],"c":"a"}"#,
            r#"{"x":["a","a","a"],"y":"x"}"#,
            r#"{"a\"":1,"a":2,"a\\":3}"#,
            r#""a""#,
            "[]",
        ] {
            assert!(!has_duplicate_key(json), "{json}");
        }
    }

    #[test]
    fn text_without_a_lone_surrogate_is_not_copied() {
        assert!(matches!(readable(br#"{"a":"\ud83d\ude00\\ud83d"}"#), Some(Cow::Borrowed(_))));
        assert!(matches!(readable(br#"{"a":"\ud83d"}"#), Some(Cow::Owned(_))));
        assert!(readable(b"\xed\xa0\x80").is_none(), "a surrogate in UTF-8 is not UTF-8");
    }
}
