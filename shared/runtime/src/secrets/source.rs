//! Where secrets are looked up: the environment on this machine, Secrets Manager on AWS.

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

/// Within a region a connection that takes longer is lost.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A look-up takes some 20 ms; five times the slowest seen is for a bad day.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// A request may wait for a look-up, so all tries together stay below a client's patience.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 3;

/// Why a secret could not be looked up. No variant holds anything of it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It isn't there.
    #[error("is not set")]
    Missing,
    /// What stands there is not text.
    #[error("must be text, not binary")]
    NotText,
    /// Secrets Manager did not answer, or refused.
    #[error("could not be looked up: {0}")]
    Unavailable(String),
}

/// Where secrets are looked up.
pub enum SecretSource {
    /// Settings by name, as they were at the start: they do not change.
    Environment(BTreeMap<String, SecretString>),
    /// Secrets Manager, under a prefix that ends with `/`.
    SecretsManager {
        /// The client, with its time-outs set.
        client: Client,
        /// What stands before each secret's name.
        prefix: String,
    },
}

impl SecretSource {
    /// Secrets Manager under `prefix` (`/portcullis/<stage>/`).
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

    /// Whether a second look can find anything new.
    #[must_use]
    pub fn can_change(&self) -> bool {
        matches!(self, Self::SecretsManager { .. })
    }

    /// How an operator knows this secret here, for an error that says which one is wrong.
    #[must_use]
    pub fn describe(&self, id: SecretId) -> String {
        match self {
            Self::Environment(_) => variables(id).join(" or "),
            Self::SecretsManager { prefix, .. } => format!("secret {prefix}{}", id.name()),
        }
    }

    /// Looks a secret's values up.
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

/// The names that a secret has in the environment, the first that is set wins.
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
    // In the environment an app's fields stand one by one.
    let (current, previous) = match id {
        SecretId::Slack => {
            let previous = previous.map(|value| object([("SLACK_SIGNING_SECRET", &value)]));
            (fields(values, variables(id)), previous)
        }
        SecretId::LiteLlm | SecretId::SlackClient | SecretId::Composio => (fields(values, variables(id)), None),
        _ => (current, previous),
    };
    // On this machine one key is enough: each domain's is made of it.
    let derive = match id {
        SecretId::Keys(domain) => Some(domain),
        _ => None,
    };
    Ok(SecretVersions { current, derive, previous: previous.map(|value| (value, None)) })
}

/// A value without the white space at its ends, where editors, shells and `file://` leave a line break.
fn trimmed(value: &SecretString) -> SecretString {
    value.expose_secret().trim().into()
}

/// The variables that are set, as JSON.
fn fields(values: &BTreeMap<String, SecretString>, names: &[&'static str]) -> SecretString {
    object(names.iter().filter_map(|name| Some((*name, values.get(*name)?))))
}

/// JSON of the values that are not empty.
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
            // Never rotated, or an operator took the label away to end the previous value at once.
            Err(FetchError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let (current, previous) = tokio::join!(get_value(client, name, "AWSCURRENT"), previous);
    let current = current?;
    let made_at = current.created_date().and_then(|date| Timestamp::from_second(date.secs()).ok());
    // A current value of unknown age gives its predecessor no time at all.
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
