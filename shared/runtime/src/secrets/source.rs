//! Source of secrets: the environment on a developer's machine, Secrets Manager on AWS.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_secretsmanager::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::SdkError,
    operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::causes::causes;

use super::{PREVIOUS_VALUE_COUNTS_FOR, SecretId, SecretVersions};

/// Connect time-out: within a region, a slower connection is lost.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time-out of an attempt. A look-up takes about 20 ms; this is five times the slowest that was seen.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of all attempts together: a request may wait for a look-up, so it stays below a client's patience.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 3;

/// Reason for which a secret could not be looked up. No variant contains any part of it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The secret is not set.
    #[error("is not set")]
    Missing,
    /// The secret is binary.
    #[error("must be text, not binary")]
    NotText,
    /// Secrets Manager did not answer, or refused the call.
    #[error("could not be looked up: {0}")]
    Unavailable(String),
}

/// Source of secrets.
pub enum SecretSource {
    /// Settings by name, as they were at the start; they do not change.
    Environment(BTreeMap<String, SecretString>),
    /// Secrets Manager, under a prefix that ends with `/`.
    SecretsManager {
        /// Client with its time-outs set.
        client: Client,
        /// Prefix of each secret's name.
        prefix: String,
    },
}

impl SecretSource {
    /// Creates a source in Secrets Manager under `prefix` (`/portcullis/<stage>/`).
    #[must_use]
    pub fn secrets_manager(config: &aws_types::SdkConfig, prefix: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let config = aws_sdk_secretsmanager::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build();
        Self::SecretsManager { client: Client::from_conf(config), prefix: format!("{}/", prefix.trim_end_matches('/')) }
    }

    /// Returns whether a second look-up can find another value.
    #[must_use]
    pub fn can_change(&self) -> bool {
        matches!(self, Self::SecretsManager { .. })
    }

    /// Returns the operator's name of this secret in this source, for error messages.
    #[must_use]
    pub fn describe(&self, id: SecretId) -> String {
        match self {
            Self::Environment(_) => variables(id).join(" or "),
            Self::SecretsManager { prefix, .. } => format!("secret {prefix}{}", id.name()),
        }
    }

    /// Looks up a secret's values.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self, id: SecretId) -> Result<SecretVersions, FetchError> {
        let found = match self {
            Self::Environment(values) => from_environment(values, id),
            Self::SecretsManager { client, prefix } => fetch(client, &format!("{prefix}{}", id.name()), id).await,
        };
        match found {
            Err(FetchError::Missing)
                if matches!(id, SecretId::LiteLlm | SecretId::SlackClient | SecretId::Composio) =>
            {
                Ok(SecretVersions { current: "{}".into(), derive: None, previous: None })
            }
            found => found,
        }
    }
}

/// Returns a secret's variables in the environment; the first one that is set wins.
fn variables(id: SecretId) -> &'static [&'static str] {
    match id {
        SecretId::Keys(_) => &["ENCRYPTION_KEYS", "ENCRYPTION_KEY"],
        SecretId::InternalToken => &["INTERNAL_API_TOKEN"],
        SecretId::SkillToken => &["SKILL_API_TOKEN"],
        SecretId::Slack => &["SLACK_SIGNING_SECRET"],
        SecretId::SlackClient => &["SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"],
        SecretId::Session => &["BETTER_AUTH_SECRET"],
        SecretId::Composio => &["COMPOSIO_API_KEY"],
        SecretId::LiteLlm => &["LITELLM_BASE_URL", "LITELLM_API_KEY", "LITELLM_MASTER_KEY"],
    }
}

fn from_environment(values: &BTreeMap<String, SecretString>, id: SecretId) -> Result<SecretVersions, FetchError> {
    let get = |name: &str| values.get(name).map(trimmed).filter(|value| !value.expose_secret().is_empty());
    let current = variables(id).iter().find_map(|name| get(name)).ok_or(FetchError::Missing)?;
    let previous =
        variables(id).first().filter(|_| id.has_previous()).and_then(|name| get(&format!("{name}_PREVIOUS")));
    // In the environment, an app's fields are separate variables.
    let (current, previous) = match id {
        SecretId::Slack => {
            let previous = previous.map(|value| object([("SLACK_SIGNING_SECRET", &value)]));
            (fields(values, variables(id)), previous)
        }
        SecretId::LiteLlm | SecretId::SlackClient | SecretId::Composio => (fields(values, variables(id)), None),
        _ => (current, previous),
    };
    // In the environment a single key is enough: each domain's keys are derived from it.
    let derive = match id {
        SecretId::Keys(domain) => Some(domain),
        _ => None,
    };
    Ok(SecretVersions { current, derive, previous: previous.map(|value| (value, None)) })
}

/// Trims a value: editors, shells and `file://` leave a line break at its end.
fn trimmed(value: &SecretString) -> SecretString {
    value.expose_secret().trim().into()
}

/// Returns JSON of the variables that are set.
fn fields(values: &BTreeMap<String, SecretString>, names: &[&'static str]) -> SecretString {
    object(names.iter().filter_map(|name| Some((*name, values.get(*name)?))))
}

/// Returns JSON of the values that are not empty.
fn object<'a>(values: impl IntoIterator<Item = (&'static str, &'a SecretString)>) -> SecretString {
    let set = values.into_iter().map(|(name, value)| (name.to_owned(), value.expose_secret().trim().into()));
    serde_json::Value::Object(set.filter(|(_, value): &(String, serde_json::Value)| value != "").collect())
        .to_string()
        .into()
}

async fn fetch(client: &Client, name: &str, id: SecretId) -> Result<SecretVersions, FetchError> {
    let previous = async {
        if !id.has_previous() {
            return Ok(None);
        }
        match get_value(client, name, "AWSPREVIOUS").await {
            Ok(output) => text(&output).map(Some),
            // The secret was never rotated, or an operator removed the label to end the previous value at once.
            Err(FetchError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let (current, previous) = tokio::join!(get_value(client, name, "AWSCURRENT"), previous);
    let current = current?;
    let made_at = current.created_date().and_then(|date| Timestamp::from_second(date.secs()).ok());
    // A current value of unknown age makes its predecessor invalid at once.
    let valid_until = made_at.map_or(Timestamp::UNIX_EPOCH, |made_at| made_at + PREVIOUS_VALUE_COUNTS_FOR);
    let previous = previous?.map(|value| (value, Some(valid_until)));
    Ok(SecretVersions { current: text(&current)?, derive: None, previous })
}

async fn get_value(client: &Client, name: &str, stage: &str) -> Result<GetSecretValueOutput, FetchError> {
    client.get_secret_value().secret_id(name).version_stage(stage).send().await.map_err(|error| match &error {
        SdkError::ServiceError(service)
            if matches!(service.err(), GetSecretValueError::ResourceNotFoundException(_)) =>
        {
            FetchError::Missing
        }
        _ => FetchError::Unavailable(causes(&error)),
    })
}

fn text(output: &GetSecretValueOutput) -> Result<SecretString, FetchError> {
    output.secret_string().map(|text| SecretString::from(text.trim())).ok_or(FetchError::NotText)
}
