//! Composio's tools: actions of toolkits.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Composio, ComposioError, ComposioKey, EXECUTE_TIMEOUT, NOT_UNDERSTOOD};

/// An action to be executed.
#[derive(Serialize)]
pub struct Execution<'a> {
    /// The user whose account is used, in Composio's words.
    pub user_id: &'a str,
    /// The account; `None` where the toolkit needs none, or where `custom_connection_data` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_account_id: Option<&'a str>,
    /// Version of the toolkit.
    pub version: &'a str,
    /// The action's parameters.
    pub arguments: &'a RawValue,
    /// The person's own keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_connection_data: Option<CustomConnection<'a>>,
}

/// A person's own keys for one action. Source: Composio, "Execute tool" (`custom_connection_data`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomConnection<'a> {
    /// Always `API_KEY`.
    pub auth_scheme: &'static str,
    /// The toolkit.
    pub toolkit_slug: &'a str,
    /// The keys by their fields.
    #[serde(serialize_with = "exposed")]
    pub val: &'a BTreeMap<String, SecretString>,
}

fn exposed<S: Serializer>(keys: &BTreeMap<String, SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(keys.iter().map(|(field, value)| (field, value.expose_secret())))
}

/// Outcome of an action.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// Answer of the toolkit.
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
    /// Why it did not do it.
    #[serde(default)]
    pub error: Option<String>,
    /// Whether the toolkit did it.
    pub successful: bool,
}

impl Composio {
    /// The newest version of the toolkit that a tool is of.
    ///
    /// # Errors
    /// [`ComposioError`]; [`ComposioError::NotFound`] for a tool that is not there.
    pub async fn tool_version(&self, key: &ComposioKey, tool: &str) -> Result<String, ComposioError> {
        #[derive(Deserialize)]
        struct Tool {
            version: String,
        }
        let request = || self.get(key, &["tools", tool]).query(&[("toolkit_versions", "latest")]);
        let Tool { version } = self.read(request).await?;
        let is_version = (1..=64).contains(&version.len())
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if is_version { Ok(version) } else { Err(NOT_UNDERSTOOD) }
    }

    /// Executes an action, once: it may be one that sends a mail.
    ///
    /// # Errors
    /// [`ComposioError`].
    pub async fn execute(
        &self,
        key: &ComposioKey,
        tool: &str,
        execution: &Execution<'_>,
    ) -> Result<Outcome, ComposioError> {
        let request = self.post(key, &["tools", "execute", tool]).timeout(EXECUTE_TIMEOUT).json(execution);
        self.answer(request).await
    }
}
