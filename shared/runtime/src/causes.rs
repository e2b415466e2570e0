//! Text of an error with its causes, for the log.

use std::{error::Error, fmt::Write as _};

/// Returns the texts of an error and of its causes, separated by colons. A cause that its parent's text already ends
/// with is not repeated. The text contains no `Debug` output.
#[must_use]
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{fmt, io};

    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("the call failed")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_without_debug_output() {
        assert_eq!(causes(&Outer(io::Error::other("no space left"))), "the call failed: no space left");
    }
}
