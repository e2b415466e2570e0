//! Names and scopes of secrets.

use std::{fmt, str::FromStr};

use portcullis_auth::SkillName;
use serde::{Deserialize, Serialize};

/// Longest name of a secret.
const MAXIMUM_NAME_LENGTH: usize = 128;

/// Name of a secret and of its environment variable: `[A-Za-z_][A-Za-z0-9_]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

/// Error: not a secret's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret's name must be 1 to {MAXIMUM_NAME_LENGTH} of A-Z, a-z, 0-9 and _, and not begin with a digit")]
pub struct InvalidSecretName;

impl SecretName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SecretName {
    type Error = InvalidSecretName;

    fn try_from(text: String) -> Result<Self, InvalidSecretName> {
        let valid = text.len() <= MAXIMUM_NAME_LENGTH
            && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if valid { Ok(Self(text)) } else { Err(InvalidSecretName) }
    }
}

impl FromStr for SecretName {
    type Err = InvalidSecretName;

    fn from_str(text: &str) -> Result<Self, InvalidSecretName> {
        Self::try_from(text.to_owned())
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Readers of a secret within its pool; written `pool` or `skill:<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Every skill of the pool, and its runtime.
    Pool,
    /// Only this skill.
    Skill(SkillName),
}

/// Error: not a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope must be pool, or skill: and 1 to 64 of a-z, 0-9, - and _")]
pub struct InvalidScope;

impl Scope {
    /// Prefix of the sort keys of this scope's secrets.
    pub(super) fn prefix(&self) -> String {
        format!("{self}#")
    }

    /// Sort key of a secret of this scope.
    pub(super) fn sort_key(&self, name: &SecretName) -> String {
        format!("{self}#{name}")
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        if text == "pool" {
            return Ok(Self::Pool);
        }
        let skill = text.strip_prefix("skill:").ok_or(InvalidScope)?;
        skill.parse().map(Self::Skill).map_err(|_| InvalidScope)
    }
}

impl TryFrom<String> for Scope {
    type Error = InvalidScope;

    fn try_from(text: String) -> Result<Self, InvalidScope> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool => formatter.write_str("pool"),
            Self::Skill(name) => write!(formatter, "skill:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_the_pool_or_one_skill_and_nothing_near_it() {
        for text in ["pool", "skill:maps", "skill:a-b_2"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for text in ["", "Pool", "pool ", "pool#", "skill:", "skill:Maps", "skill:a#b", "skill", "skills:maps", "*"] {
            assert_eq!(text.parse::<Scope>(), Err(InvalidScope), "{text}");
        }
    }

    #[test]
    fn a_secrets_name_is_one_that_an_environment_variable_may_have() {
        for text in ["A", "_", "maps_KEY_2", &"N".repeat(128)] {
            assert!(text.parse::<SecretName>().is_ok(), "{text}");
        }
        for text in ["", "2A", "A-B", "A/B", "A#B", "A B", "É", &"N".repeat(129)] {
            assert_eq!(text.parse::<SecretName>(), Err(InvalidSecretName), "{text}");
        }
    }
}
