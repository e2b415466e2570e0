//! The secrets of a function: their names, and the parsing of their values.

mod source;

use std::time::Duration;

use jiff::Timestamp;
use portcullis_auth::{SessionSecret, SignedHeaders, SigningSecret, StaticToken};
use portcullis_crypto::{Domain, Keyring};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub use source::{FetchError, SecretSource};

/// Time for which a token's previous value stays valid after a rotation.
pub const PREVIOUS_VALUE_COUNTS_FOR: Duration = Duration::from_hours(24);

/// A secret, by the name that operators use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretId {
    /// Encryption keys of a domain.
    Keys(Domain),
    /// The operator's static token.
    InternalToken,
    /// The shared static skill token.
    SkillToken,
    /// The platform's own Slack app: its signing secret.
    Slack,
    /// The platform's own Slack app as an OAuth client; optional.
    SlackClient,
    /// Access to the pools' models; optional.
    LiteLlm,
    /// The project at Composio; optional.
    Composio,
    /// The secret that signs session cookies.
    Session,
}

impl SecretId {
    /// Returns the secret's name in Secrets Manager, without the prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keys(Domain::SigningSecrets) => "keys/signing-secrets",
            Self::Keys(Domain::DeliverySecrets) => "keys/delivery-secrets",
            Self::Keys(Domain::Configuration) => "keys/configuration",
            Self::Keys(Domain::PoolSecrets) => "keys/pool-secrets",
            Self::Keys(Domain::Integrations) => "keys/integrations",
            Self::Keys(Domain::RuntimeTokens) => "keys/runtime-tokens",
            Self::Keys(Domain::SkillTokens) => "keys/skill-tokens",
            Self::InternalToken => "internal-token",
            Self::SkillToken => "skill-token",
            Self::Slack => "slack",
            Self::SlackClient => "slack-client",
            Self::LiteLlm => "litellm",
            Self::Composio => "composio",
            Self::Session => "session",
        }
    }

    /// Returns whether the value before the last rotation stays valid for some time.
    fn has_previous(self) -> bool {
        matches!(self, Self::InternalToken | Self::SkillToken | Self::Slack | Self::Session)
    }
}

/// The values of a secret that a look-up found.
pub struct SecretVersions {
    /// The current value.
    pub current: SecretString,
    /// Domain whose keys are derived from this value; `None` if the value is used as it is.
    pub derive: Option<Domain>,
    /// Value before the last rotation, and the end of its validity (`None`: valid until it is removed).
    pub previous: Option<(SecretString, Option<Timestamp>)>,
}

/// A type that is parsed from a secret's values.
pub trait FromSecret: Sized + Send + Sync + 'static {
    /// Parses the values.
    ///
    /// # Errors
    /// The rule that a value breaks, without any part of the value.
    fn from_secret(versions: &SecretVersions) -> Result<Self, String>;
}

impl FromSecret for Keyring {
    /// Parses one key of 64 hex digits, or a keyring in JSON.
    fn from_secret(versions: &SecretVersions) -> Result<Self, String> {
        let text = versions.current.expose_secret();
        let keyring = if text.starts_with('{') { Self::from_json(text) } else { Self::from_single_key(text) };
        let keyring = keyring.map_err(|error| error.to_string())?;
        Ok(match versions.derive {
            Some(domain) => keyring.for_domain(domain),
            None => keyring,
        })
    }
}

impl FromSecret for StaticToken {
    fn from_secret(versions: &SecretVersions) -> Result<Self, String> {
        let token = Self::new(one_word(&versions.current)?).map_err(|error| error.to_string())?;
        let Some((previous, valid_until)) = &versions.previous else { return Ok(token) };
        let both = one_word(previous).and_then(|previous| {
            token.clone().with_previous(previous, *valid_until).map_err(|error| error.to_string())
        });
        match both {
            Ok(both) => Ok(both),
            // Secrets Manager keeps the previous value whatever it was: a corrected mistake must not lock everybody
            // out.
            Err(error) if valid_until.is_some() => {
                tracing::warn!(%error, "a token's previous value is malformed and is ignored");
                Ok(token)
            }
            Err(error) => Err(format!("the previous value {error}")),
        }
    }
}

impl FromSecret for SessionSecret {
    fn from_secret(versions: &SecretVersions) -> Result<Self, String> {
        let secret = Self::new(one_word(&versions.current)?).map_err(|error| error.to_string())?;
        let Some((previous, valid_until)) = &versions.previous else { return Ok(secret) };
        let both = one_word(previous).and_then(|previous| {
            secret.clone().with_previous(previous, *valid_until).map_err(|error| error.to_string())
        });
        match both {
            Ok(both) => Ok(both),
            // As for a token's previous value.
            Err(error) if valid_until.is_some() => {
                tracing::warn!(%error, "the session secret's previous value is malformed and does not count");
                Ok(secret)
            }
            Err(error) => Err(format!("the previous value {error}")),
        }
    }
}

/// Returns a token or secret without white space inside. White space is a paste error: with it, the correct token
/// would be refused.
fn one_word(value: &SecretString) -> Result<&str, String> {
    let value = value.expose_secret();
    if value.chars().any(char::is_whitespace) { Err("must hold no white space".to_owned()) } else { Ok(value) }
}

/// A text in a secret's JSON, trimmed.
struct Field(SecretString);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SecretString::deserialize(deserializer)?;
        Ok(Self(text.expose_secret().trim().into()))
    }
}

/// The signing secrets of the platform's own Slack app.
#[derive(Debug)]
pub struct SlackApp {
    signing_secret: SigningSecret,
    /// Secret before the last rotation, and the end of its validity (`None`: valid until it is removed).
    previous: Option<(SigningSecret, Option<Timestamp>)>,
}

impl SlackApp {
    /// Returns whether Slack signed this body for this app, with the current secret or the still valid previous one.
    #[must_use]
    pub fn has_signed(&self, signed: &SignedHeaders<'_>, body: &[u8], now: Timestamp) -> bool {
        let counts = |(_, end): &&(SigningSecret, Option<Timestamp>)| end.is_none_or(|end| now < end);
        let previous = self.previous.as_ref().filter(counts);
        signed.verify(&self.signing_secret, body).is_ok()
            || previous.is_some_and(|(secret, _)| signed.verify(secret, body).is_ok())
    }
}

/// The platform's own Slack app as an OAuth client; `None` if this installation has no app.
#[derive(Debug)]
pub struct SlackClientAccess(pub Option<SlackClientCredentials>);

/// Credentials with which codes are exchanged for the platform's own Slack app.
#[derive(Debug)]
pub struct SlackClientCredentials {
    /// The client id, which is public.
    pub id: String,
    /// The client secret.
    pub secret: SecretString,
}

impl FromSecret for SlackClientAccess {
    /// Parses JSON `{"SLACK_CLIENT_ID": "…", "SLACK_CLIENT_SECRET": "…"}`; `{}` for an installation without an app.
    fn from_secret(versions: &SecretVersions) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(rename = "SLACK_CLIENT_ID")]
            id: Field,
            #[serde(rename = "SLACK_CLIENT_SECRET")]
            secret: Field,
        }
        let text = versions.current.expose_secret();
        if text == "{}" {
            return Ok(Self(None));
        }
        let rule = r#"must be JSON with both "SLACK_CLIENT_ID" and "SLACK_CLIENT_SECRET""#;
        let fields: Fields = serde_json::from_str(text).map_err(|_| rule.to_owned())?;
        for (name, Field(value)) in [("SLACK_CLIENT_ID", &fields.id), ("SLACK_CLIENT_SECRET", &fields.secret)] {
            let value = one_word(value).map_err(|problem| format!("{name} {problem}"))?;
            if value.is_empty() || value.chars().any(char::is_control) {
                return Err(format!("{name} must not be empty and must hold no control character"));
            }
        }
        let id = fields.id.0.expose_secret().to_owned();
        Ok(Self(Some(SlackClientCredentials { id, secret: fields.secret.0 })))
    }
}

/// A Slack signing secret has 32 hex digits; a text below this length is certainly a mistake.
const MINIMUM_SIGNING_SECRET_LENGTH: usize = 16;

impl FromSecret for SlackApp {
    /// Parses JSON `{"SLACK_SIGNING_SECRET": "…"}`; other fields are for other functions.
    fn from_secret(versions: &SecretVersions) -> Result<Self, String> {
        let signing_secret = slack_signing_secret(&versions.current)?;
        let Some((previous, valid_until)) = &versions.previous else {
            return Ok(Self { signing_secret, previous: None });
        };
        let previous = match slack_signing_secret(previous) {
            Ok(previous) => Some((previous, *valid_until)),
            // As for a token's previous value.
            Err(error) if valid_until.is_some() => {
                tracing::warn!(%error, "the Slack app's previous value is malformed and is ignored");
                None
            }
            Err(error) => return Err(format!("the previous value: {error}")),
        };
        Ok(Self { signing_secret, previous })
    }
}

fn slack_signing_secret(json: &SecretString) -> Result<SigningSecret, String> {
    #[derive(Deserialize)]
    struct Fields {
        #[serde(rename = "SLACK_SIGNING_SECRET")]
        signing_secret: Field,
    }
    let fields: Fields = serde_json::from_str(json.expose_secret())
        .map_err(|_| r#"must be JSON with "SLACK_SIGNING_SECRET""#.to_owned())?;
    let secret = fields.signing_secret.0;
    if one_word(&secret).map_err(|problem| format!("SLACK_SIGNING_SECRET {problem}"))?.len()
        < MINIMUM_SIGNING_SECRET_LENGTH
    {
        return Err(format!("SLACK_SIGNING_SECRET must be at least {MINIMUM_SIGNING_SECRET_LENGTH} characters"));
    }
    Ok(SigningSecret::new(secret))
}

/// The project at Composio; `None` if this installation has no project.
#[derive(Debug)]
pub struct ComposioAccess(pub Option<SecretString>);

impl FromSecret for ComposioAccess {
    /// Parses JSON `{"COMPOSIO_API_KEY": "…"}`; `{}` for an installation without a project.
    fn from_secret(versions: &SecretVersions) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(rename = "COMPOSIO_API_KEY")]
            key: Field,
        }
        let text = versions.current.expose_secret();
        if text == "{}" {
            return Ok(Self(None));
        }
        let fields: Fields =
            serde_json::from_str(text).map_err(|_| r#"must be JSON with "COMPOSIO_API_KEY""#.to_owned())?;
        let key = one_word(&fields.key.0).map_err(|problem| format!("COMPOSIO_API_KEY {problem}"))?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("COMPOSIO_API_KEY must be printable ASCII and not empty".to_owned());
        }
        Ok(Self(Some(fields.key.0)))
    }
}

/// Access to the pools' models; `None` if no models are configured.
#[derive(Debug)]
pub struct LiteLlmAccess(pub Option<LiteLlmModels>);

/// Address of the models and the key to them.
#[derive(Debug)]
pub struct LiteLlmModels {
    /// Base URL. With a master key it must be https, or http to this machine; else http or https.
    pub base_url: String,
    /// Key to the models.
    pub key: LiteLlmKey,
}

/// Key to the models. `Debug` does not print it.
#[derive(Debug)]
pub enum LiteLlmKey {
    /// `LITELLM_API_KEY`: the one key that all pools get.
    Shared(SecretString),
    /// `LITELLM_MASTER_KEY`: makes a virtual key for each pool, and is given to no pool.
    Master(SecretString),
}

impl FromSecret for LiteLlmAccess {
    /// Parses JSON `{"LITELLM_BASE_URL": "https://…", "LITELLM_MASTER_KEY": "…"}`, or with `LITELLM_API_KEY`, which a
    /// master key overrides; `{}` for an installation without models.
    fn from_secret(versions: &SecretVersions) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(rename = "LITELLM_BASE_URL")]
            base_url: Field,
            #[serde(rename = "LITELLM_API_KEY")]
            api_key: Option<Field>,
            #[serde(rename = "LITELLM_MASTER_KEY")]
            master_key: Option<Field>,
        }

        let text = versions.current.expose_secret();
        if text == "{}" {
            return Ok(Self(None));
        }
        let what_it_must_be =
            || r#"must be JSON with "LITELLM_BASE_URL" and "LITELLM_MASTER_KEY" or "LITELLM_API_KEY""#.to_owned();
        let fields: Fields = serde_json::from_str(text).map_err(|_| what_it_must_be())?;
        let base_url = fields.base_url.0.expose_secret().to_owned();
        let is_web = base_url.starts_with("https://") || base_url.starts_with("http://");
        if !is_web || base_url.chars().any(|character| character.is_control() || character == ' ') {
            return Err("LITELLM_BASE_URL must be an http or https URL".to_owned());
        }
        let key = if let Some(Field(key)) = fields.master_key {
            models_key("LITELLM_MASTER_KEY", &key)?;
            if !keeps_a_secret(&base_url) {
                let why = "beside LITELLM_MASTER_KEY (http is for 127.0.0.1 and [::1] alone)";
                return Err(format!("LITELLM_BASE_URL must be an https URL {why}"));
            }
            LiteLlmKey::Master(key)
        } else {
            let Field(key) = fields.api_key.ok_or_else(what_it_must_be)?;
            models_key("LITELLM_API_KEY", &key)?;
            LiteLlmKey::Shared(key)
        };
        Ok(Self(Some(LiteLlmModels { base_url, key })))
    }
}

/// Rejects an invalid key to models: an empty text, or a text that an HTTP header cannot carry.
fn models_key(name: &str, key: &SecretString) -> Result<(), String> {
    let text = one_word(key).map_err(|problem| format!("{name} {problem}"))?;
    match text {
        "" => Err(format!("{name} must not be empty")),
        text if text.chars().any(char::is_control) => Err(format!("{name} must hold no control character")),
        _ => Ok(()),
    }
}

/// Returns whether a secret sent to this URL is protected on its way, and the URL accepts another path.
fn keeps_a_secret(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let is_plain = !url.contains(['@', '?', '#']);
    let is_here = matches!(uri.host(), Some("127.0.0.1" | "[::1]"));
    is_plain && uri.host().is_some_and(|host| !host.is_empty()) && (uri.scheme_str() == Some("https") || is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lite_llm(text: &str) -> Result<Option<String>, String> {
        let access =
            LiteLlmAccess::from_secret(&SecretVersions { current: text.into(), derive: None, previous: None })?;
        Ok(access.0.map(|access| access.base_url))
    }

    #[test]
    fn a_slack_client_is_both_an_id_and_a_secret_or_neither() {
        let read = |text: &str| {
            let versions = SecretVersions { current: text.into(), derive: None, previous: None };
            SlackClientAccess::from_secret(&versions).map(|access| access.0.map(|client| client.id))
        };
        assert_eq!(read("{}"), Ok(None));
        let both = r#"{"SLACK_CLIENT_ID":"1.2","SLACK_CLIENT_SECRET":"918273"}"#;
        assert_eq!(read(both), Ok(Some("1.2".to_owned())));
        for wrong in [
            "",
            "x",
            r#"{"SLACK_CLIENT_ID":"1.2"}"#,
            r#"{"SLACK_CLIENT_SECRET":"918273"}"#,
            r#"{"SLACK_CLIENT_ID":"","SLACK_CLIENT_SECRET":"918273"}"#,
            r#"{"SLACK_CLIENT_ID":"1.2","SLACK_CLIENT_SECRET":"918 273"}"#,
        ] {
            assert!(!read(wrong).expect_err(wrong).contains("918273"));
        }
    }

    #[test]
    fn models_are_both_a_url_and_a_key_or_neither() {
        assert_eq!(lite_llm("{}"), Ok(None));
        let both = r#"{"LITELLM_BASE_URL":"https://models.example.com","LITELLM_API_KEY":"k"}"#;
        assert_eq!(lite_llm(both), Ok(Some("https://models.example.com".to_owned())));
        for wrong in [
            "",
            "x",
            r#"{"LITELLM_BASE_URL":"https://models.example.com"}"#,
            r#"{"LITELLM_API_KEY":"k"}"#,
            r#"{"LITELLM_BASE_URL":"models.example.com","LITELLM_API_KEY":"918273"}"#,
            r#"{"LITELLM_BASE_URL":"https://models.example.com","LITELLM_API_KEY":""}"#,
        ] {
            let refusal = lite_llm(wrong).expect_err(wrong);
            assert!(!refusal.contains("918273"));
        }
    }

    #[test]
    fn a_master_key_wins_and_goes_to_this_machine_or_through_tls() {
        let is_master = |base_url: &str, keys: &[(&str, &str)]| {
            let mut fields = serde_json::json!({ "LITELLM_BASE_URL": base_url });
            for (name, key) in keys {
                fields[name] = (*key).into();
            }
            let current = fields.to_string().into();
            let access = LiteLlmAccess::from_secret(&SecretVersions { current, derive: None, previous: None })?;
            let models = access.0.expect("models are set");
            assert!(!format!("{models:?}").contains("918273"));
            Ok::<_, String>(matches!(models.key, LiteLlmKey::Master(_)))
        };
        let (shared, master) = (("LITELLM_API_KEY", "918273-a"), ("LITELLM_MASTER_KEY", "918273-m"));
        for url in ["https://models.example.com/v1", "http://127.0.0.1:4000", "http://[::1]:4000/v1/"] {
            assert_eq!(is_master(url, &[master]), Ok(true), "{url}");
            assert_eq!(is_master(url, &[shared, master]), Ok(true), "{url}");
            assert_eq!(is_master(url, &[shared]), Ok(false), "{url}");
        }
        for url in [
            "http://models.example.com",
            "https://u:918273@models.example.com",
            "https://m.example.com?918273",
            "https://",
        ] {
            let refusal = is_master(url, &[shared, master]).expect_err(url);
            assert!(refusal.contains("LITELLM_BASE_URL") && !refusal.contains("918273"), "{refusal}");
        }
        assert_eq!(is_master("http://models.example.com", &[shared]), Ok(false));
        for wrong in ["", "918273 m", "918273\u{7f}m"] {
            let refusal = is_master("https://models.example.com", &[shared, ("LITELLM_MASTER_KEY", wrong)]);
            let refusal = refusal.expect_err("a key that is none");
            assert!(refusal.contains("LITELLM_MASTER_KEY") && !refusal.contains("918273"), "{refusal}");
        }
    }

    #[test]
    fn white_space_at_the_ends_of_a_field_is_cut_off_and_inside_a_secret_refused() {
        let slack = |secret: &str| {
            let current = serde_json::json!({ "SLACK_SIGNING_SECRET": secret }).to_string().into();
            SlackApp::from_secret(&SecretVersions { current, derive: None, previous: None })
                .map(|app| app.signing_secret.sign("1", b""))
        };
        let clean = slack("0123456789abcdef").unwrap();
        for padded in ["0123456789abcdef\n", " 0123456789abcdef", "\r\n\t0123456789abcdef\u{a0}"] {
            assert_eq!(slack(padded).as_ref(), Ok(&clean), "{padded:?}");
        }
        assert!(slack("01234567 89abcdef").is_err());
        let spaced = r#"{"LITELLM_BASE_URL":" https://models.example.com\n","LITELLM_API_KEY":"k\n"}"#;
        assert_eq!(lite_llm(spaced), Ok(Some("https://models.example.com".to_owned())));
        let token = |text: &str| {
            StaticToken::from_secret(&SecretVersions { current: text.into(), derive: None, previous: None })
        };
        assert!(token(&"t".repeat(32)).is_ok());
        assert!(token(&format!("{0} {0}", "t".repeat(32))).is_err());
    }
}
