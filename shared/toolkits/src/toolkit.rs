//! A toolkit, and an operator's changes to it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use portcullis_contract::{is_text, words};
use serde::{Deserialize, Serialize};

/// Longest slug of a toolkit, in characters.
const MAXIMUM_SLUG_LENGTH: usize = 64;
/// Longest name, category, domain, key, label or placeholder, in characters.
const MAXIMUM_NAME_LENGTH: usize = 100;
/// Longest description, in characters.
const MAXIMUM_DESCRIPTION_LENGTH: usize = 500;
/// Maximum number of a form's fields, and of additional prefixes of a toolkit's actions.
const MAXIMUM_LIST_LENGTH: usize = 10;

/// Slug of a toolkit in URLs and in Composio's API: 1–64 of `a-z`, `0-9`, `-` and `_`, the first a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,63}$", example = "gmail")]
#[serde(try_from = "String", into = "String")]
pub struct ToolkitSlug(String);

/// Error of parsing a toolkit's slug. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a toolkit such as gmail: 1 to 64 of a-z, 0-9, - and _, the first a letter or a digit")]
pub struct InvalidToolkitSlug;

impl ToolkitSlug {
    /// The slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ToolkitSlug {
    type Error = InvalidToolkitSlug;

    fn try_from(text: String) -> Result<Self, InvalidToolkitSlug> {
        let is_valid = (1..=MAXIMUM_SLUG_LENGTH).contains(&text.len())
            && !text.starts_with(['-', '_'])
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if is_valid { Ok(Self(text)) } else { Err(InvalidToolkitSlug) }
    }
}

impl FromStr for ToolkitSlug {
    type Err = InvalidToolkitSlug;

    fn from_str(text: &str) -> Result<Self, InvalidToolkitSlug> {
        Self::try_from(text.to_owned())
    }
}

impl From<ToolkitSlug> for String {
    fn from(slug: ToolkitSlug) -> Self {
        slug.0
    }
}

impl fmt::Display for ToolkitSlug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

words! {
    /// How calls of a toolkit are authorized.
    pub enum AuthScheme {
        /// A person consents at the toolkit's own page; Composio stores the account.
        Oauth2 = "oauth2",
        /// One key for everyone, stored by Composio: nobody connects an account.
        ApiKeyGlobal = "api_key_global",
        /// Each person's own keys, sealed in our store.
        ApiKeyUser = "api_key_user",
    }
}

words! {
    /// Whether a form shows a field's input.
    pub enum FieldType {
        /// The input is shown.
        Text = "text",
        /// The input is hidden.
        Secret = "secret",
    }
}

/// A credential that a person enters for a toolkit of [`AuthScheme::ApiKeyUser`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthField {
    /// Key in requests, and in calls of Composio.
    pub key: String,
    /// Label in a form.
    pub label: String,
    /// Whether a form shows the input.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// Placeholder of the empty field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
}

/// A third-party service with its actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolkit {
    /// Slug in URLs and in Composio's API.
    pub slug: ToolkitSlug,
    /// Display name.
    pub display_name: String,
    /// Purpose, in a sentence.
    pub description: String,
    /// Domain of its maker, for the icon.
    pub domain: String,
    /// Category in a list.
    pub category: String,
    /// How its calls are authorized.
    pub auth_scheme: AuthScheme,
    /// Fields of the form for a person's keys; empty unless the scheme is [`AuthScheme::ApiKeyUser`].
    pub auth_fields: Vec<AuthField>,
    /// Prefixes of its actions' names besides its slug in upper case, such as `GOOGLE_CALENDAR`.
    pub action_prefixes: Vec<String>,
    /// Whether the toolkit can be used.
    pub enabled: bool,
    /// Position in a list, ascending; equal ones are sorted by slug.
    pub order: u16,
}

impl Toolkit {
    /// Stand-in for a toolkit that has left the catalogue while somebody has it connected: it can only be disconnected.
    #[must_use]
    pub fn removed(slug: ToolkitSlug) -> Self {
        Self {
            display_name: slug.to_string(),
            description: "Not offered by this server any more.".to_owned(),
            domain: "example.com".to_owned(),
            category: "Removed".to_owned(),
            auth_scheme: AuthScheme::Oauth2,
            auth_fields: Vec::new(),
            action_prefixes: Vec::new(),
            enabled: false,
            order: u16::MAX,
            slug,
        }
    }

    /// URL of the toolkit's icon. Source: Composio, "Toolkits" (`logo` of its catalogue).
    #[must_use]
    pub fn icon_url(&self) -> String {
        format!("https://logos.composio.dev/api/{}", self.slug)
    }

    /// URL of its maker's icon, used when the first one fails to load.
    #[must_use]
    pub fn fallback_icon_url(&self) -> String {
        format!("https://www.google.com/s2/favicons?domain={}&sz=128", self.domain)
    }
}

/// An operator's change of a toolkit: the changed fields of a known one, or all fields of a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolkitChange {
    /// See [`Toolkit::display_name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// See [`Toolkit::description`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// See [`Toolkit::domain`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// See [`Toolkit::category`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// See [`Toolkit::auth_scheme`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_scheme: Option<AuthScheme>,
    /// See [`Toolkit::auth_fields`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_fields: Option<Vec<AuthField>>,
    /// See [`Toolkit::action_prefixes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_prefixes: Option<Vec<String>>,
    /// See [`Toolkit::enabled`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// See [`Toolkit::order`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u16>,
}

/// Why a change does not result in a valid toolkit: the field and its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct IncompleteToolkit {
    /// Name of the field in JSON.
    pub field: &'static str,
    /// Violated rule.
    pub rule: &'static str,
}

const REQUIRED: &str = "is required for a toolkit that is not in the catalogue";
const IS_TEXT: &str = "must be 1 to 100 characters, none of them a control character";

impl ToolkitChange {
    /// Applies the change to a known toolkit, or creates a new one from it.
    ///
    /// # Errors
    /// [`IncompleteToolkit`].
    pub fn apply(&self, slug: &ToolkitSlug, known: Option<&Toolkit>) -> Result<Toolkit, IncompleteToolkit> {
        let text = |field, given: &Option<String>, known: Option<&String>| {
            let value = given.as_ref().or(known).ok_or(IncompleteToolkit { field, rule: REQUIRED })?;
            if is_text(value, MAXIMUM_NAME_LENGTH) {
                Ok(value.clone())
            } else {
                Err(IncompleteToolkit { field, rule: IS_TEXT })
            }
        };
        let toolkit = Toolkit {
            slug: slug.clone(),
            display_name: text("displayName", &self.display_name, known.map(|known| &known.display_name))?,
            description: self
                .description
                .clone()
                .or_else(|| known.map(|known| known.description.clone()))
                .unwrap_or_default(),
            domain: text("domain", &self.domain, known.map(|known| &known.domain))?,
            category: text("category", &self.category, known.map(|known| &known.category))?,
            auth_scheme: (self.auth_scheme.or(known.map(|known| known.auth_scheme)))
                .ok_or(IncompleteToolkit { field: "authScheme", rule: REQUIRED })?,
            auth_fields: list(self.auth_fields.as_ref(), known.map(|known| &known.auth_fields)),
            action_prefixes: list(self.action_prefixes.as_ref(), known.map(|known| &known.action_prefixes)),
            enabled: self.enabled.or(known.map(|known| known.enabled)).unwrap_or(true),
            order: self.order.or(known.map(|known| known.order)).unwrap_or(u16::MAX),
        };
        toolkit.check().map(|()| toolkit)
    }
}

impl Toolkit {
    fn check(&self) -> Result<(), IncompleteToolkit> {
        let refuse = |field, rule| Err(IncompleteToolkit { field, rule });
        if self.description.chars().count() > MAXIMUM_DESCRIPTION_LENGTH
            || self.description.chars().any(char::is_control)
        {
            return refuse("description", "must be at most 500 characters, none of them a control character");
        }
        if !self.domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
            return refuse("domain", "must be a domain's name such as example.com");
        }
        if self.auth_fields.is_empty() == (self.auth_scheme == AuthScheme::ApiKeyUser) {
            return refuse("authFields", "must be given for api_key_user, and for no other scheme");
        }
        let keys: BTreeSet<_> = self.auth_fields.iter().map(|field| &field.key).collect();
        let are_fields = self.auth_fields.iter().all(|field| {
            is_key(&field.key)
                && is_text(&field.label, MAXIMUM_NAME_LENGTH)
                && field.placeholder.as_ref().is_none_or(|text| is_text(text, MAXIMUM_NAME_LENGTH))
        });
        if !are_fields || keys.len() < self.auth_fields.len() || keys.len() > MAXIMUM_LIST_LENGTH {
            return refuse(
                "authFields",
                "must be at most 10 fields, each with a key of its own of a-z, 0-9 and _, and a label",
            );
        }
        if self.action_prefixes.len() > MAXIMUM_LIST_LENGTH || !self.action_prefixes.iter().all(|text| is_prefix(text))
        {
            return refuse("actionPrefixes", "must be at most 10 of A-Z, 0-9 and _, the first a letter");
        }
        Ok(())
    }
}

fn list<T: Clone>(given: Option<&Vec<T>>, known: Option<&Vec<T>>) -> Vec<T> {
    given.or(known).cloned().unwrap_or_default()
}

fn is_key(text: &str) -> bool {
    (1..=MAXIMUM_NAME_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

fn is_prefix(text: &str) -> bool {
    (1..=MAXIMUM_NAME_LENGTH).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slug(text: &str) -> ToolkitSlug {
        text.parse().unwrap()
    }

    fn change(json: serde_json::Value) -> ToolkitChange {
        serde_json::from_value(json).unwrap()
    }

    fn whole() -> serde_json::Value {
        json!({
            "displayName": "Acme", "domain": "acme.example", "category": "Other", "authScheme": "api_key_user",
            "authFields": [{ "key": "api_key", "label": "API key", "type": "secret" }],
        })
    }

    #[test]
    fn a_slug_is_lower_case() {
        for good in ["gmail", "0", "a-b_c", &"a".repeat(64)] {
            assert_eq!(good.parse::<ToolkitSlug>().unwrap().as_str(), good);
        }
        for bad in ["", "Gmail", "-a", "_a", "a b", "a/b", "ä", &"a".repeat(65)] {
            assert_eq!(bad.parse::<ToolkitSlug>(), Err(InvalidToolkitSlug), "{bad}");
        }
    }

    #[test]
    fn a_new_toolkit_needs_all_that_cannot_be_guessed() {
        let acme = change(whole()).apply(&slug("acme"), None).unwrap();
        assert!(acme.enabled && acme.description.is_empty());
        for field in ["displayName", "domain", "category", "authScheme"] {
            let mut partial = whole();
            partial.as_object_mut().unwrap().remove(field);
            let error = change(partial).apply(&slug("acme"), None).unwrap_err();
            assert_eq!((error.field, error.rule), (field, REQUIRED));
        }
    }

    #[test]
    fn a_known_toolkit_keeps_what_is_not_given() {
        let acme = change(whole()).apply(&slug("acme"), None).unwrap();
        let off = change(json!({ "enabled": false, "order": 3 })).apply(&slug("acme"), Some(&acme)).unwrap();
        assert_eq!(off, Toolkit { enabled: false, order: 3, ..acme });
    }

    #[test]
    fn each_field_has_its_rule() {
        let long = "a".repeat(101);
        let field = |key: &str| json!({ "key": key, "label": "L", "type": "text" });
        for (name, value) in [
            ("displayName", json!("")),
            ("displayName", json!("a\nb")),
            ("displayName", json!(long)),
            ("description", json!("a".repeat(501))),
            ("domain", json!("acme example")),
            ("domain", json!("acme.example&x=1")),
            ("authFields", json!([])),
            ("authFields", json!([field("A")])),
            ("authFields", json!([field("a"), field("a")])),
            ("authFields", json!((0..11).map(|index| field(&format!("k{index}"))).collect::<Vec<_>>())),
            ("actionPrefixes", json!(["acme"])),
            ("actionPrefixes", json!([""])),
        ] {
            let mut changed = whole();
            changed[name] = value.clone();
            let error = change(changed).apply(&slug("acme"), None).unwrap_err();
            assert_eq!(error.field, name, "{value}");
        }
        let mut oauth = whole();
        oauth["authScheme"] = json!("oauth2");
        assert_eq!(change(oauth).apply(&slug("acme"), None).unwrap_err().field, "authFields");
        assert!(serde_json::from_value::<ToolkitChange>(json!({ "slug": "x" })).is_err());
        assert!(serde_json::from_value::<ToolkitChange>(json!({ "authScheme": "basic" })).is_err());
    }
}
