//! Client of Slack's Web API.
//!
//! Source: Slack, "Using the Slack Web API" (calls, `ok`, `error`), "Rate limits" (429), and each method's own page.

mod oauth;

use std::{borrow::Cow, sync::OnceLock};

use reqwest::{Client, RequestBuilder, StatusCode, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{ANSWER_LIMIT, BaseUrl, TIMEOUT};
pub use oauth::{Installation, IssuedToken, SlackClient};

/// Slack's errors of a token that will never be valid again.
///
/// Source: Slack, `auth.test`, "Errors".
const REVOKED: [&str; 4] = ["account_inactive", "invalid_auth", "token_expired", "token_revoked"];

/// Slack's transient errors.
///
/// Source: Slack, `auth.test`, "Errors".
const TRANSIENT: [&str; 8] = [
    "accesslimited",
    "fatal_error",
    "internal_error",
    "org_login_required",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
];

/// Client of Slack's Web API with one connection pool. Opens nothing, and reads no root certificate, before the first
/// call.
#[derive(Debug)]
pub struct Slack {
    base: BaseUrl,
    client: OnceLock<Client>,
}

/// Why a call to Slack failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlackError {
    /// The token is invalid for good.
    #[error("{0}")]
    Revoked(Cow<'static, str>),
    /// Slack rejects this call: a scope is missing, or the object does not exist.
    #[error("{0}")]
    Refused(Cow<'static, str>),
    /// Slack could not be reached, timed out, limits calls, or gave an answer that could not be parsed: the token may
    /// be valid.
    #[error("{0}")]
    Transient(Cow<'static, str>),
}

impl SlackError {
    /// Error code in `snake_case`: Slack's own, if it gave one.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Revoked(code) | Self::Refused(code) | Self::Transient(code) => code,
        }
    }

    fn of_code(code: String) -> Self {
        // Codes are shown to others, so text that does not look like one of Slack's codes is dropped.
        let is_code =
            (1..=64).contains(&code.len()) && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        match code {
            _ if !is_code => Self::Transient("answer_not_understood".into()),
            code if REVOKED.contains(&code.as_str()) => Self::Revoked(code.into()),
            code if TRANSIENT.contains(&code.as_str()) => Self::Transient(code.into()),
            code => Self::Refused(code.into()),
        }
    }
}

/// Identity of a bot token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotIdentity {
    /// Id of the app's workspace, or of the enterprise if it is installed org-wide.
    pub team: String,
    /// Name of the workspace.
    pub team_name: Option<String>,
    /// Id of the bot's user.
    pub user: String,
    /// Id of the app; `None` if the token lacks the scope for it (`users:read`).
    pub app: Option<String>,
}

/// Name of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conversation {
    /// Name of a channel, without its `#`.
    Channel(String),
    /// User id of a direct message's partner.
    DirectMessage(String),
}

impl Slack {
    /// Creates a client of Slack at this address.
    #[must_use]
    pub fn new(base: BaseUrl) -> Self {
        Self { base, client: OnceLock::new() }
    }

    /// Checks whether a bot's token is valid (`auth.test`).
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn check_token(&self, token: &SecretString) -> Result<(), SlackError> {
        #[derive(Deserialize)]
        struct Anything {}
        self.call::<Anything>(token, "auth.test", &[]).await.map(|Anything {}| ())
    }

    /// Identifies a bot token (`auth.test`, then `bots.info`).
    ///
    /// # Errors
    /// [`SlackError`]; `not_a_bot_token` for a person's token.
    pub async fn identify(&self, token: &SecretString) -> Result<BotIdentity, SlackError> {
        #[derive(Deserialize)]
        struct Identity {
            team: Option<String>,
            team_id: Option<String>,
            user_id: String,
            bot_id: Option<String>,
            enterprise_id: Option<String>,
            #[serde(default)]
            is_enterprise_install: bool,
        }
        #[derive(Deserialize)]
        struct Info {
            bot: Bot,
        }
        #[derive(Deserialize)]
        struct Bot {
            app_id: Option<String>,
        }
        let known: Identity = self.call(token, "auth.test", &[]).await?;
        let bot = known.bot_id.ok_or(SlackError::Refused("not_a_bot_token".into()))?;
        let team = if known.is_enterprise_install { known.enterprise_id } else { known.team_id };
        let app = match self.call::<Info>(token, "bots.info", &[("bot", &bot)]).await {
            Ok(info) => info.bot.app_id,
            Err(SlackError::Refused(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(BotIdentity { team: team.ok_or_else(not_understood)?, team_name: known.team, user: known.user_id, app })
    }

    /// Fetches the name of a conversation (`conversations.info`).
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn conversation(&self, token: &SecretString, channel: &str) -> Result<Conversation, SlackError> {
        #[derive(Deserialize)]
        struct Info {
            channel: Channel,
        }
        #[derive(Deserialize)]
        struct Channel {
            name: Option<String>,
            user: Option<String>,
        }
        let info: Info = self.call(token, "conversations.info", &[("channel", channel)]).await?;
        let name = info.channel.name.filter(|name| !name.is_empty()).map(Conversation::Channel);
        name.or(info.channel.user.map(Conversation::DirectMessage)).ok_or_else(not_understood)
    }

    /// Fetches a user's display name, else the real name (`users.info`).
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn user_name(&self, token: &SecretString, user: &str) -> Result<String, SlackError> {
        #[derive(Deserialize)]
        struct Info {
            user: User,
        }
        #[derive(Deserialize)]
        struct User {
            name: Option<String>,
            #[serde(default)]
            profile: Profile,
        }
        #[derive(Default, Deserialize)]
        struct Profile {
            display_name: Option<String>,
            real_name: Option<String>,
        }
        let Info { user } = self.call(token, "users.info", &[("user", user)]).await?;
        let names = [user.profile.display_name, user.profile.real_name, user.name];
        names.into_iter().flatten().find(|name| !name.is_empty()).ok_or_else(not_understood)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        token: &SecretString,
        method: &'static str,
        arguments: &[(&str, &str)],
    ) -> Result<T, SlackError> {
        let request = self.client().post(self.base.join(method)).bearer_auth(token.expose_secret()).form(arguments);
        Self::answer(request).await
    }

    /// Makes a call and parses its answer.
    async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, SlackError> {
        #[derive(Deserialize)]
        struct MethodOutcome {
            ok: bool,
            #[serde(default)]
            error: String,
        }
        let mut response = request.send().await.map_err(|error| unreached(&error))?;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            return Err(SlackError::Transient("ratelimited".into()));
        }
        if response.status() != StatusCode::OK {
            return Err(SlackError::Transient("service_unavailable".into()));
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreached(&error))? {
            if answer.len() + chunk.len() > ANSWER_LIMIT {
                return Err(not_understood());
            }
            answer.extend_from_slice(&chunk);
        }
        let outcome: MethodOutcome = serde_json::from_slice(&answer).map_err(|_| not_understood())?;
        if !outcome.ok {
            return Err(SlackError::of_code(outcome.error));
        }
        serde_json::from_slice(&answer).map_err(|_| not_understood())
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).user_agent("portcullis").build();
            client.unwrap_or_else(|error| unreachable!("rustls needs nothing that could be missing: {error}"))
        })
    }
}

fn unreached(error: &reqwest::Error) -> SlackError {
    SlackError::Transient(if error.is_timeout() { "request_timeout" } else { "unreachable" }.into())
}

fn not_understood() -> SlackError {
    SlackError::Transient("answer_not_understood".into())
}
