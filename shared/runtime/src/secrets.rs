//! The secrets that a function is started with: where each comes from, and what it is read as.

mod source;

use std::time::Duration;

use jiff::Timestamp;
use portcullis_auth::{SessionSecret, SignedHeaders, SigningSecret, StaticToken};
use portcullis_crypto::{Domain, Keyring};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub use source::{FetchError, SecretSource};

/// How long a token's previous value counts after its current one was made.
pub const PREVIOUS_VALUE_COUNTS_FOR: Duration = Duration::from_hours(24);

/// A secret by the name that an operator knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretId {
    /// The keys of a domain.
    Keys(Domain),
    /// The operator's token.
    InternalToken,
    /// The shared skill token.
    SkillToken,
    /// The platform's own Slack app.
    Slack,
    /// The platform's own Slack app as an OAuth client; it may be missing.
    SlackClient,
    /// The models that pools speak through; it may be missing.
    LiteLlm,
    /// The project at Composio; it may be missing.
    Composio,
    /// Secret that signs session cookies.
    Session,
}

impl SecretId {
    /// The secret's name in Secrets Manager, behind the prefix.
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

    /// Whether the value before the last rotation counts for a while.
    fn has_previous(self) -> bool {
        matches!(self, Self::InternalToken | Self::SkillToken | Self::Slack | Self::Session)
    }
}

/// A secret's values as they were found.
pub struct SecretVersions {
    /// The current value.
    pub current: SecretString,
    /// The domain whose keys are still to be derived from this value; `None` where it is what it is looked up as.
    pub derive: Option<Domain>,
    /// The value before the last rotation, and until when it counts (`None`: until it is taken away).
    pub previous: Option<(SecretString, Option<Timestamp>)>,
}

/// What a secret's values are read as.
pub trait FromSecret: Sized + Send + Sync + 'static {
    /// Reads the values.
    ///
    /// # Errors
    /// What the value must be, with nothing of the value in it.
    fn from_secret(versions: &SecretVersions) -> Result<Self, String>;
}

impl FromSecret for Keyring {
    /// One key as 64 hex digits, or a keyring as JSON.
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
            // Secrets Manager keeps whatever was there before: a mistake that has been mended must not lock anybody out.
            Err(error) if valid_until.is_some() => {
                tracing::warn!(%error, "a token's previous value is none and does not count");
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
            // As of a token's previous value.
            Err(error) if valid_until.is_some() => {
                tracing::warn!(%error, "the session secret's previous value is malformed and does not count");
                Ok(secret)
            }
            Err(error) => Err(format!("the previous value {error}")),
        }
    }
}

/// Returns a token or a secret that has no white space inside: such a one was pasted wrongly, and would be refused by
/// everybody who has the right one.
fn one_word(value: &SecretString) -> Result<&str, String> {
    let value = value.expose_secret();
    if value.chars().any(char::is_whitespace) { Err("must hold no white space".to_owned()) } else { Ok(value) }
}

/// A text in a secret's JSON, without the white space at its ends.
struct Field(SecretString);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SecretString::deserialize(deserializer)?;
        Ok(Self(text.expose_secret().trim().into()))
    }
}

/// The platform's own Slack app.
#[derive(Debug)]
pub struct SlackApp {
    signing_secret: SigningSecret,
    /// The secret before the last rotation, and until when it counts (`None`: until it is taken away).
    previous: Option<(SigningSecret, Option<Timestamp>)>,
}

impl SlackApp {
    /// Whether Slack signed this body for this app: with the current secret, or with the one before while that counts.
    #[must_use]
    pub fn has_signed(&self, signed: &SignedHeaders<'_>, body: &[u8], now: Timestamp) -> bool {
        let counts = |(_, end): &&(SigningSecret, Option<Timestamp>)| end.is_none_or(|end| now < end);
        let previous = self.previous.as_ref().filter(counts);
        signed.verify(&self.signing_secret, body).is_ok()
            || previous.is_some_and(|(secret, _)| signed.verify(secret, body).is_ok())
    }
}

/// The platform's own Slack app as an OAuth client; `None` where this installation has none.
#[derive(Debug)]
pub struct SlackClientAccess(pub Option<SlackClientCredentials>);

/// Credentials with which the platform's own Slack app exchanges codes.
#[derive(Debug)]
pub struct SlackClientCredentials {
    /// The client id, which is no secret.
    pub id: String,
    /// The client secret.
    pub secret: SecretString,
}

impl FromSecret for SlackClientAccess {
    /// JSON `{"SLACK_CLIENT_ID": "…", "SLACK_CLIENT_SECRET": "…"}`; `{}` for none.
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

/// A Slack signing secret is 32 hex digits; a shorter one is surely a mistake.
const MINIMUM_SIGNING_SECRET_LENGTH: usize = 16;

impl FromSecret for SlackApp {
    /// JSON `{"SLACK_SIGNING_SECRET": "…"}`; other fields are for other functions.
    fn from_secret(versions: &SecretVersions) -> Result<Self, String> {
        let signing_secret = slack_signing_secret(&versions.current)?;
        let Some((previous, valid_until)) = &versions.previous else {
            return Ok(Self { signing_secret, previous: None });
        };
        let previous = match slack_signing_secret(previous) {
            Ok(previous) => Some((previous, *valid_until)),
            // As of a token's previous value.
            Err(error) if valid_until.is_some() => {
                tracing::warn!(%error, "the Slack app's previous value is none and does not count");
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

/// The project at Composio; `None` where this installation has none.
#[derive(Debug)]
pub struct ComposioAccess(pub Option<SecretString>);

impl FromSecret for ComposioAccess {
    /// JSON `{"COMPOSIO_API_KEY": "…"}`; `{}` for none.
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

/// The models that pools speak through; `None` where none are set.
#[derive(Debug)]
pub struct LiteLlmAccess(pub Option<LiteLlmModels>);

/// Where models are, and the key to them.
#[derive(Debug)]
pub struct LiteLlmModels {
    /// An http or https URL; with a master key an https URL, or an http one to this machine.
    pub base_url: String,
    /// The key.
    pub key: LiteLlmKey,
}

/// The key to models. `Debug` shows neither.
#[derive(Debug)]
pub enum LiteLlmKey {
    /// `LITELLM_API_KEY`: all pools are given this one.
    Shared(SecretString),
    /// `LITELLM_MASTER_KEY`: each pool is given a virtual key of its own, made with this one, which no pool is given.
    Master(SecretString),
}

impl FromSecret for LiteLlmAccess {
    /// JSON `{"LITELLM_BASE_URL": "https://…", "LITELLM_MASTER_KEY": "…"}`, or with `LITELLM_API_KEY`, which does not count
    /// beside a master key; `{}` for none.
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

/// Refuses what is no key to models: an empty text, or one that no HTTP header can carry.
fn models_key(name: &str, key: &SecretString) -> Result<(), String> {
    let text = one_word(key).map_err(|problem| format!("{name} {problem}"))?;
    match text {
        "" => Err(format!("{name} must not be empty")),
        text if text.chars().any(char::is_control) => Err(format!("{name} must hold no control character")),
        _ => Ok(()),
    }
}

/// Whether what is sent to this URL stays secret on its way, and the URL is of a form that another path can be put to.
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
