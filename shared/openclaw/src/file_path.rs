//! Paths of files that a pool's machine writes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest path in bytes.
const MAXIMUM_LENGTH: usize = 512;

/// Longest segment of a path in bytes; Linux's `NAME_MAX`.
const MAXIMUM_SEGMENT_LENGTH: usize = 255;

/// Relative path of a file below some folder: segments between `/`, none of them empty, `.` or `..`, without
/// backslashes and control characters, so that no path leads out of the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

/// Error of parsing a [`FilePath`]. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path must be at most {MAXIMUM_LENGTH} bytes of segments between /, none of them empty, ., .. or more than \
     {MAXIMUM_SEGMENT_LENGTH} bytes, without backslashes and control characters"
)]
pub struct InvalidFilePath;

impl FilePath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Paths of the folders that the file is in, outermost first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').filter_map(|(end, _)| self.0.get(..end))
    }
}

impl TryFrom<String> for FilePath {
    type Error = InvalidFilePath;

    fn try_from(text: String) -> Result<Self, InvalidFilePath> {
        let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.len() <= MAXIMUM_SEGMENT_LENGTH;
        let is_valid = text.len() <= MAXIMUM_LENGTH
            && text.split('/').all(is_segment)
            && !text.contains(|character: char| character == '\\' || character.is_control());
        if is_valid { Ok(Self(text)) } else { Err(InvalidFilePath) }
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<FilePath, InvalidFilePath> {
        FilePath::try_from(text.to_owned())
    }

    #[test]
    fn a_path_that_leads_out_of_its_folder_is_refused() {
        for bad in
            ["../x", "/etc/x", "a/../../b", "a/..", "..", ".", "./x", "a//b", "a/", "", "a\\b", "..\\x", "a\0", "a\nb"]
        {
            assert_eq!(path(bad), Err(InvalidFilePath), "{bad:?}");
        }
        for good in ["SKILL.md", "scripts/run.sh", "...", "a/..b/c..", ".hidden", "ünï/文", "a b"] {
            assert_eq!(path(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_path_that_no_file_system_takes_is_refused() {
        assert!(path(&"a".repeat(255)).is_ok());
        assert!(path(&"a".repeat(256)).is_err());
        assert!(path(&["a".repeat(250), "b".repeat(250), "c".repeat(9)].join("/")).is_ok());
        assert!(path(&["a".repeat(250), "b".repeat(250), "c".repeat(11)].join("/")).is_err());
    }

    #[test]
    fn the_folders_of_a_path_are_its_prefixes() {
        assert_eq!(path("a/b/c").unwrap().folders().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(path("c").unwrap().folders().count(), 0);
    }
}
