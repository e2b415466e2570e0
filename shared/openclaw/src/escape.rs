//! Keeping `OpenClaw` from expanding what is none of ours.

/// The text in whose place `OpenClaw` reads exactly `text`: `${` opens an expansion there, `$${` is a `${` that opens none.
pub(crate) fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `OpenClaw` makes of a text: `$${` is a `${`, and a `${` of its own opens an expansion.
    fn expanded(text: &str) -> Result<String, &str> {
        let (mut read, mut rest) = (String::new(), text);
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("$${") {
                read.push_str("${");
                rest = after;
            } else if rest.starts_with("${") {
                return Err(rest);
            } else {
                read.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        Ok(read)
    }

    #[test]
    fn what_looks_like_an_expansion_is_read_as_it_is_written() {
        for text in ["${A}", "$${A}", "$$${A}", "a${A}${B}", "${", "$", "{", "$$", "${${A}}"] {
            assert_eq!(expanded(&escaped(text)).as_deref(), Ok(text));
        }
        assert!(expanded("${A}").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_is_written(text in "[$\\{\\}A\n\"]{0,40}") {
            let escaped = escaped(&text);
            prop_assert_eq!(expanded(&escaped), Ok(text));
        }
    }
}
