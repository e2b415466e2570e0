//! Parser of `.env` files: `NAME=value` a line, comments after `#`, values in quotes where they need it.

use secrecy::SecretString;

use super::Settings;

/// Error: a line that is not `NAME=value`. It holds the line's number and nothing of its text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is not NAME=value")]
pub struct MalformedLine(pub usize);

/// Parses a file's text. The last line of a name wins.
pub(super) fn parse(text: &str) -> Result<Settings, MalformedLine> {
    let mut settings = Settings::new();
    for (position, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = setting(line).ok_or(MalformedLine(position + 1))?;
        settings.insert(name.to_owned(), SecretString::from(value));
    }
    Ok(settings)
}

fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let name = name.trim_end();
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    is_name.then_some((name, self::value(value.trim())?))
}

fn value(text: &str) -> Option<&str> {
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            let (value, after) = rest.split_once(quote)?;
            let after = after.trim_start();
            return (after.is_empty() || after.starts_with('#')).then_some(value);
        }
    }
    Some(text.split_once(" #").map_or(text, |(value, _)| value.trim_end()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn values_are_read_with_and_without_quotes_and_comments() {
        let text =
            "# a comment\n\nA=1\n export B = two words # why\nC='# not a comment' # one\nD=\"x=y\"\nE=\nA=2\nF=a#b\n";
        let settings = parse(text).unwrap();
        let read: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(
            read,
            [("A", "2"), ("B", "two words"), ("C", "# not a comment"), ("D", "x=y"), ("E", ""), ("F", "a#b")]
        );
    }

    #[test]
    fn a_malformed_line_is_named_by_its_number_and_never_shown() {
        for line in ["no-assignment", "1A=x", "A B=x", "=x", "A=\"open", "A='x' y"] {
            let error = parse(&format!("OK=1\n\n{line}\n")).unwrap_err();
            assert_eq!(error.to_string(), "line 3 is not NAME=value", "{line}");
        }
    }
}
