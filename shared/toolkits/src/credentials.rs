//! A person's own keys for a toolkit.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use crate::Toolkit;

/// Longest value of a credential, in bytes.
pub const MAXIMUM_CREDENTIAL_BYTES: usize = 8 * 1024;

/// Minimum length of a credential whose last characters are shown: for a shorter one they would reveal too much.
const FEWEST_FOR_A_HINT: usize = 12;
/// Number of characters that a hint shows.
const SHOWN: usize = 4;

/// Credentials by the keys of the toolkit's fields.
pub type Credentials = BTreeMap<String, SecretString>;

/// Violation of a rule by a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct CredentialProblem {
    /// Key of the field.
    pub field: String,
    /// Violated rule.
    pub rule: &'static str,
}

impl Toolkit {
    /// Validates credentials for the toolkit. Returns them without white space at their ends.
    ///
    /// # Errors
    /// All problems: fields that are missing, empty, too long, with a control character, or not the toolkit's.
    pub fn check_credentials(&self, given: Credentials) -> Result<Credentials, Vec<CredentialProblem>> {
        let problem = |field: &str, rule| CredentialProblem { field: field.to_owned(), rule };
        let is_field = |key: &str| self.auth_fields.iter().any(|field| field.key == key);
        let unknown =
            given.keys().filter(|key| !is_field(key)).map(|key| problem(key, "is not a field of this toolkit"));
        let missing = self.auth_fields.iter().filter(|field| !given.contains_key(&field.key));
        let missing = missing.map(|field| problem(&field.key, "is required"));
        let mut problems: Vec<_> = unknown.chain(missing).collect();
        let mut taken = Credentials::new();
        for (key, value) in given.into_iter().filter(|(key, _)| is_field(key)) {
            let text = value.expose_secret().trim();
            if text.is_empty() {
                problems.push(problem(&key, "must not be empty"));
            } else if text.len() > MAXIMUM_CREDENTIAL_BYTES {
                problems.push(problem(&key, "must be at most 8 KiB"));
            } else if text.chars().any(char::is_control) {
                problems.push(problem(&key, "must not have a control character"));
            } else {
                taken.insert(key, text.into());
            }
        }
        if problems.is_empty() { Ok(taken) } else { Err(problems) }
    }
}

/// Hint of a credential: its last four characters if it has twelve or more, else none of them.
#[must_use]
pub fn hint(credential: &SecretString) -> String {
    let text = credential.expose_secret();
    let length = text.chars().count();
    let shown: String =
        if length < FEWEST_FOR_A_HINT { String::new() } else { text.chars().skip(length - SHOWN).collect() };
    format!("****{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToolkitChange, ToolkitSlug};

    fn toolkit() -> Toolkit {
        let change: ToolkitChange = serde_json::from_value(serde_json::json!({
            "displayName": "Acme", "domain": "acme.example", "category": "Other", "authScheme": "api_key_user",
            "authFields": [
                { "key": "api_key", "label": "API key", "type": "secret" },
                { "key": "subdomain", "label": "Subdomain", "type": "text" },
            ],
        }))
        .unwrap();
        change.apply(&"acme".parse::<ToolkitSlug>().unwrap(), None).unwrap()
    }

    fn check(given: &[(&str, &str)]) -> Result<Vec<(String, String)>, Vec<String>> {
        let given = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let exposed = |taken: Credentials| {
            taken.into_iter().map(|(key, value)| (key, value.expose_secret().to_owned())).collect()
        };
        toolkit().check_credentials(given).map(exposed).map_err(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn all_fields_are_given_and_no_other() {
        let taken = check(&[("api_key", " k-1\n"), ("subdomain", "acme")]).unwrap();
        assert_eq!(taken, [("api_key".to_owned(), "k-1".to_owned()), ("subdomain".to_owned(), "acme".to_owned())]);
        assert_eq!(check(&[("api_key", "k")]).unwrap_err(), ["subdomain is required"]);
        assert_eq!(check(&[]).unwrap_err().len(), 2);
        let long = "k".repeat(MAXIMUM_CREDENTIAL_BYTES + 1);
        for (value, rule) in [
            (" ", "must not be empty"),
            (&long, "must be at most 8 KiB"),
            ("a\nb", "must not have a control character"),
        ] {
            assert_eq!(check(&[("api_key", value), ("subdomain", "acme")]).unwrap_err(), [format!("api_key {rule}")]);
        }
        let other = check(&[("api_key", "k"), ("subdomain", "acme"), ("other", "x")]).unwrap_err();
        assert_eq!(other, ["other is not a field of this toolkit"]);
    }

    #[test]
    fn a_hint_shows_the_last_four_of_twelve_or_more() {
        for (credential, shown) in
            [("abcdefghijkl", "****ijkl"), ("abcdefghijk", "****"), ("", "****"), ("ääääääääääää", "****ääää")]
        {
            assert_eq!(hint(&credential.into()), shown, "{credential}");
        }
    }
}
