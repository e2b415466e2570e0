//! The dialects of `openclaw.json`, and the `OpenClaw` versions that read them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest version in bytes.
const MAXIMUM_LENGTH: usize = 64;

/// Maximum number of digits of a version's year, month and patch.
const MAXIMUM_DIGITS: usize = 9;

/// First year and month of an `OpenClaw` that reads [`Dialect::Entries`].
const FIRST_WITH_ENTRIES: (u32, u32) = (2026, 9);

/// Shape of a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Read by `OpenClaw` 2026.3: `agents.list`, absolute workspaces, and none of the later keys. Also for a pool that
    /// names no version.
    #[default]
    List,
    /// Read by `OpenClaw` 2026.9 and later: `agents.entries`.
    Entries,
}

impl Dialect {
    /// All dialects, oldest first.
    pub const ALL: [Self; 2] = [Self::List, Self::Entries];

    /// Name of the dialect: the first version that it was written for. Stored, so it never changes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "2026.3",
            Self::Entries => "2026.9",
        }
    }

    /// Returns the newest dialect that a pool's `OpenClaw` reads; the oldest one if the version is unknown.
    #[must_use]
    pub fn of(version: Option<&OpenClawVersion>) -> Self {
        match version {
            Some(version) if (version.year, version.month) >= FIRST_WITH_ENTRIES => Self::Entries,
            _ => Self::List,
        }
    }
}

/// A version of `OpenClaw`, such as `2026.9.6`, `2026.3.7-1` or `2026.9.0-beta.2`: year, month and patch, at most 64
/// characters with the suffix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OpenClawVersion {
    text: String,
    year: u32,
    month: u32,
}

/// Error of parsing an [`OpenClawVersion`]. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a version of OpenClaw such as 2026.9.6, at most {MAXIMUM_LENGTH} characters")]
pub struct InvalidOpenClawVersion;

impl OpenClawVersion {
    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for OpenClawVersion {
    type Error = InvalidOpenClawVersion;

    fn try_from(text: String) -> Result<Self, InvalidOpenClawVersion> {
        if text.len() > MAXIMUM_LENGTH {
            return Err(InvalidOpenClawVersion);
        }
        let (numbers, suffix) = match text.split_once(['-', '+']) {
            Some((numbers, suffix)) => (numbers, Some(suffix)),
            None => (text.as_str(), None),
        };
        if suffix.is_some_and(|suffix| !is_suffix(suffix)) {
            return Err(InvalidOpenClawVersion);
        }
        let numbers: Option<Vec<u32>> = numbers.split('.').map(number).collect();
        let Some([year, month, _patch]) = numbers.as_deref() else { return Err(InvalidOpenClawVersion) };
        Ok(Self { year: *year, month: *month, text })
    }
}

impl FromStr for OpenClawVersion {
    type Err = InvalidOpenClawVersion;

    fn from_str(text: &str) -> Result<Self, InvalidOpenClawVersion> {
        text.to_owned().try_into()
    }
}

impl From<OpenClawVersion> for String {
    fn from(version: OpenClawVersion) -> Self {
        version.text
    }
}

impl fmt::Display for OpenClawVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Parses a number without a sign and, as in a semantic version, without leading zeros.
fn number(text: &str) -> Option<u32> {
    let is_number = text.len() <= MAXIMUM_DIGITS
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if is_number { text.parse().ok() } else { None }
}

fn is_suffix(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    text.split(['.', '+']).all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(version: &str) -> Dialect {
        Dialect::of(Some(&version.parse().unwrap()))
    }

    #[test]
    fn versions_are_compared_by_year_and_month_as_numbers() {
        for version in ["2026.3.7", "2026.3.7-1", "2026.8.31", "2026.4.0-beta.1", "2025.12.1", "0.0.1", "1.9.9"] {
            assert_eq!(dialect(version), Dialect::List, "{version}");
        }
        for version in ["2026.9.6", "2026.9.0-beta.2", "2026.9.6+eb377ac", "2026.10.0", "2026.12.1-rc.1+x", "2027.1.1"]
        {
            assert_eq!(dialect(version), Dialect::Entries, "{version}");
        }
        assert_eq!(dialect("999999999.0.0"), Dialect::Entries, "newer than known");
        assert_eq!(Dialect::of(None), Dialect::List, "no version");
    }

    #[test]
    fn a_text_that_is_no_version_is_refused() {
        let long = format!("2026.9.6-{}", "a".repeat(56));
        for text in [
            "",
            " ",
            "latest",
            "2026",
            "2026.9",
            "2026.9.6.1",
            "v2026.9.6",
            " 2026.9.6",
            "2026.9.6 ",
            "2026.9.6\n",
            "2026.9.x",
            "-1.2.3",
            "+2026.9.6",
            "2026.-9.6",
            "2026..6",
            ".9.6",
            "2026.9.",
            "2026.09.6",
            "2026.9.6-",
            "2026.9.6+",
            "2026.9.6-a..b",
            "2026.9.6-é",
            "2026.9.6-a/b",
            "2026.9.6-${HOME}",
            "2026.9.6\0",
            "２０２６.9.6",
            "9999999999.1.1",
            "2026.9.6 (eb377ac)",
            "OpenClaw 2026.9.6",
            &long,
        ] {
            assert_eq!(text.parse::<OpenClawVersion>(), Err(InvalidOpenClawVersion), "{text:?}");
        }
        assert!(long.get(..MAXIMUM_LENGTH).unwrap().parse::<OpenClawVersion>().is_ok());
    }

    #[test]
    fn dialects_have_names_of_their_own() {
        assert_ne!(Dialect::List.name(), Dialect::Entries.name());
        for dialect in Dialect::ALL {
            let first: OpenClawVersion = format!("{}.0", dialect.name()).parse().unwrap();
            assert_eq!(Dialect::of(Some(&first)), dialect);
        }
    }
}
