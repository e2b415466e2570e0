//! Escapes text from records, so that `OpenClaw` expands no variables in it.

/// Escapes `text` so that `OpenClaw` reads exactly `text`: there `${NAME}` is an expansion and `$${NAME}` is read as
/// `${NAME}`, both only with a name of `[A-Z_][A-Z0-9_]*`. Any other `$` and `{` is literal, so it must not be changed.
/// `OpenClaw` expands only values, never keys of objects.
pub(crate) fn escaped(text: &str) -> String {
    let (mut written, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once("${") {
        written.push_str(before);
        if opens_with_expansion(behind) {
            written.push('$');
        }
        written.push_str("${");
        rest = behind;
    }
    written + rest
}

/// Returns whether `${` before this text opens an expansion.
fn opens_with_expansion(text: &str) -> bool {
    let Some((name, _)) = text.split_once('}') else { return false };
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name_at<'a>(text: &'a str, opening: &str) -> Option<&'a str> {
        let (name, _) = text.strip_prefix(opening)?.split_once('}')?;
        let is_letter = |letter: char| letter.is_ascii_uppercase() || letter == '_';
        let is_name =
            name.starts_with(is_letter) && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit());
        is_name.then_some(name)
    }

    /// Expands a text as `OpenClaw`'s `config/env-substitution.ts` does; the error is the text from the first expansion
    /// on.
    fn expanded(text: &str) -> Result<String, &str> {
        let (mut read, mut rest) = (String::new(), text);
        while let Some(first) = rest.chars().next() {
            if let Some(name) = name_at(rest, "$${") {
                read.extend(["${", name, "}"]);
                rest = rest.get("$${}".len() + name.len()..).unwrap();
            } else if name_at(rest, "${").is_some() {
                return Err(rest);
            } else {
                read.push(first);
                rest = rest.get(first.len_utf8()..).unwrap();
            }
        }
        Ok(read)
    }

    #[test]
    fn text_that_looks_like_an_expansion_is_read_as_it_is_written() {
        for text in [
            "${A}",
            "$${A}",
            "$$${A}",
            "a${A}${B}",
            "${",
            "$",
            "{",
            "$$",
            "${${A}}",
            "${a}",
            "$${a}",
            "${a ${B}}",
            "${}",
            "${1A}",
            "${A1}",
            "${A",
            "${Ä}",
            "`${name}`",
        ] {
            assert_eq!(expanded(&escaped(text)).as_deref(), Ok(text));
        }
        assert!(expanded("${A}").is_err());
    }

    #[test]
    fn a_text_without_an_expansion_is_not_changed() {
        for text in ["`Hello ${name}`", "$${name}", "${}", "a $ b { c }", "${A"] {
            assert_eq!(escaped(text), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_is_written(text in "[$\\{\\}Aa1\n\"]{0,40}") {
            let escaped = escaped(&text);
            prop_assert_eq!(expanded(&escaped), Ok(text));
        }
    }
}
