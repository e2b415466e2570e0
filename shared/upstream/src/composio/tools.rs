//! Composio's tools: actions of toolkits.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Composio, ComposioError, ComposioKey, EXECUTE_TIMEOUT, NOT_UNDERSTOOD};

/// Request to execute an action.
#[derive(Serialize)]
pub struct Execution<'a> {
    /// Composio's id of the user whose account is used.
    pub user_id: &'a str,
    /// Id of the account; `None` if the toolkit needs none, or with `custom_connection_data`.
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
    /// Keys by field.
    #[serde(serialize_with = "exposed")]
    pub val: &'a BTreeMap<String, SecretString>,
}

fn exposed<S: Serializer>(keys: &BTreeMap<String, SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(keys.iter().map(|(field, value)| (field, value.expose_secret())))
}

/// Outcome of an action.
#[derive(Debug, Deserialize)]
pub struct ActionOutcome {
    /// Answer of the toolkit, as JSON.
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
    /// Error text of the toolkit.
    #[serde(default)]
    pub error: Option<String>,
    /// Whether the action succeeded.
    pub successful: bool,
}

impl Composio {
    /// Fetches the newest version of a tool's toolkit.
    ///
    /// # Errors
    /// [`ComposioError`]; [`ComposioError::NotFound`] for a tool that does not exist.
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

    /// Executes an action, and never retries it: it may send a mail.
    ///
    /// # Errors
    /// [`ComposioError`].
    pub async fn execute(
        &self,
        key: &ComposioKey,
        tool: &str,
        execution: &Execution<'_>,
    ) -> Result<ActionOutcome, ComposioError> {
        let request = self.post(key, &["tools", "execute", tool]).timeout(EXECUTE_TIMEOUT).json(execution);
        self.answer(request).await
    }
}
