//! E-mail addresses of accounts.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest address in bytes. Source: RFC 5321 §4.5.3.1.3, a path of 256 octets with its angle brackets.
const MAXIMUM_LENGTH: usize = 254;
/// Longest part before the `@` in bytes. Source: RFC 5321 §4.5.3.1.1.
const MAXIMUM_LOCAL_LENGTH: usize = 64;

/// Error of a text that is not a valid address of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address such as name@example.com")]
pub struct InvalidEmail;

/// An e-mail address in lower case: addresses that differ only in case are one account, as in better-auth.
///
/// The grammar is the common part of what mail servers accept: no quoted local part, no comment, ASCII only. Many
/// servers refuse mail to other addresses, and each form that is left out cannot be used to forge a mail's header.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Email {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Email {
    type Error = InvalidEmail;

    fn try_from(text: String) -> Result<Self, InvalidEmail> {
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        if text.len() <= MAXIMUM_LENGTH && is_local_part(local) && is_domain(domain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidEmail)
        }
    }
}

/// Whether a text is a dot-atom of RFC 5322 §3.2.3.
fn is_local_part(text: &str) -> bool {
    let is_atom_text = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    (1..=MAXIMUM_LOCAL_LENGTH).contains(&text.len())
        && text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_text))
}

/// Whether a text is a host name of at least two labels (RFC 1123 §2.1), the last one not all digits.
fn is_domain(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    labels.len() >= 2
        && labels.iter().all(is_label)
        && labels.last().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()))
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        Self::try_from(text.to_owned())
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_in_lower_case() {
        for (sent, kept) in [
            ("Ada@Example.com", "ada@example.com"),
            ("a.b+tag@sub.example.co", "a.b+tag@sub.example.co"),
            ("o'brien@example.com", "o'brien@example.com"),
        ] {
            let email: Email = sent.parse().unwrap();
            assert_eq!(email.as_str(), kept);
            assert_eq!(email.to_string(), kept);
            assert_eq!(String::from(email), kept);
        }
    }

    #[test]
    fn text_that_mail_servers_refuse_or_headers_break_on_is_not_an_address() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.com", vec!["b".repeat(60); 5].join("."));
        for wrong in [
            "",
            "@",
            "a",
            "a@",
            "@example.com",
            "a@example",
            "a@b@example.com",
            "a b@example.com",
            "a@exa mple.com",
            "a\r\nBcc: x@example.com",
            "a@example.com\r\nBcc: x@example.com",
            "a@example.com\n",
            "\"a\"@example.com",
            "a@-example.com",
            "a@example-.com",
            "a..b@example.com",
            ".a@example.com",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "a@exämple.com",
            "ä@example.com",
            "<a@example.com>",
            "a@example.com,b@example.com",
            "a(b)@example.com",
            &long,
            &longer,
        ] {
            assert!(wrong.parse::<Email>().is_err(), "{wrong:?}");
        }
    }
}
