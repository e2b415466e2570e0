//! State folder of an older `OpenClaw` on a pool's machine.

use std::{fmt, str::FromStr};

use crate::FilePath;

/// An absolute path of at most 512 bytes without `.`, `..`, empty segments, backslashes and control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir(String);

/// Error of parsing a [`StateDir`]. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an absolute path such as /data/openclaw, without ., .. and a / at its end")]
pub struct InvalidStateDir;

impl StateDir {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for StateDir {
    /// State folder of the reference pool.
    fn default() -> Self {
        Self("/data/openclaw".to_owned())
    }
}

impl FromStr for StateDir {
    type Err = InvalidStateDir;

    fn from_str(text: &str) -> Result<Self, InvalidStateDir> {
        let below_root = text.strip_prefix('/').ok_or(InvalidStateDir)?;
        FilePath::try_from(below_root.to_owned()).map_err(|_| InvalidStateDir)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for StateDir {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_absolute_and_plain_is_refused() {
        for bad in
            ["", "/", "data", "./data", "/data/", "//data", "/data/../etc", "/a/./b", "/a\\b", "/a\nb", "C:\\data"]
        {
            assert_eq!(bad.parse::<StateDir>(), Err(InvalidStateDir), "{bad:?}");
        }
        for good in ["/data/openclaw", "/home/node/.openclaw", "/x", "/a b", "/${HOME}"] {
            assert_eq!(good.parse::<StateDir>().unwrap().as_str(), good);
        }
        assert_eq!(StateDir::default().as_str().parse(), Ok(StateDir::default()));
    }
}
