//! Stand-in for Discord on this machine, at `/dev/discord`: one bot, which is a member of three guilds. It does not
//! exist on AWS.
//!
//! Source: Discord, developer documentation of API v10: "Reference" (authentication, error messages), "Rate Limits",
//! "User", "Application", "Guild".

mod answers;
mod guilds;
mod rate_limit;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, Method, Request, StatusCode, header::AUTHORIZATION};
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use secrecy::{ExposeSecret, SecretString};

use crate::gateway::is_of_this_machine;
use answers::Failure;
use rate_limit::{Caller, RateLimit};

/// Path of the API.
const API: &str = "/dev/discord/api/v10/";
/// Id of the application. Its timestamp lies in 2083, so no real application has it.
pub const APPLICATION: &str = "9000000000000000001";
/// Id of the bot's user. It differs from the application's, as it does for old applications, so that a mix-up fails.
pub const BOT_USER: &str = "9000000000000000002";
/// Second part of the bot token, where Discord puts the time of issue.
const TOKEN_TIME: &str = "demo00";
/// Random bytes in the third part of the bot token: as hex digits they have the length of Discord's own.
const TOKEN_BYTES: usize = 19;

/// The stand-in.
pub struct DevDiscord {
    base_url: String,
    token: SecretString,
    clock: Arc<dyn Clock>,
    limit: Mutex<RateLimit>,
}

/// An endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    /// `GET users/@me`
    User,
    /// `GET users/@me/guilds`
    Guilds,
    /// `GET applications/@me`
    Application,
}

impl Endpoint {
    /// Endpoint at a path below the API's version.
    fn at(path: &str) -> Option<Self> {
        match path {
            "users/@me" => Some(Self::User),
            "users/@me/guilds" => Some(Self::Guilds),
            "applications/@me" => Some(Self::Application),
            _ => None,
        }
    }

    /// Name of its rate limit, an opaque text.
    fn bucket(self) -> &'static str {
        match self {
            Self::User => "demo-user",
            Self::Guilds => "demo-guilds",
            Self::Application => "demo-application",
        }
    }
}

/// Generates a bot token in Discord's form: the bot's id in base64, a time, and random text, joined by dots.
pub(crate) fn new_token(randomness: &dyn Randomness) -> SecretString {
    let mut bytes = [0; TOKEN_BYTES];
    randomness.fill(&mut bytes);
    format!("{}.{TOKEN_TIME}.{}", BASE64_URL_SAFE_NO_PAD.encode(BOT_USER), hex::encode(bytes)).into()
}

impl DevDiscord {
    /// Starts the stand-in at `base_url`, whose bot has this token.
    #[must_use]
    pub fn new(base_url: &str, token: SecretString, clock: Arc<dyn Clock>) -> Self {
        Self { base_url: base_url.to_owned(), token, clock, limit: Mutex::default() }
    }

    /// Base URL of its API, as `DISCORD_API_URL` names it.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}{API}", self.base_url)
    }

    /// Returns whether a path is the stand-in's.
    #[must_use]
    pub fn has(path: &str) -> bool {
        path.starts_with("/dev/discord/")
    }

    /// Answers a request to one of its paths. Like Discord on these endpoints, it reads no body.
    pub fn answer(&self, request: &Request<Body>) -> Response {
        if !is_of_this_machine(request) {
            return (StatusCode::FORBIDDEN, "the stand-in answers requests to this machine's own names alone\n")
                .into_response();
        }
        let endpoint = request.uri().path().strip_prefix(API).and_then(Endpoint::at);
        let caller = if self.is_authorized(request.headers()) { Caller::Bot } else { Caller::Unknown };
        let (now, mut limit) = (self.clock.now(), self.limit.lock().unwrap_or_else(PoisonError::into_inner));
        let taken = limit.take(caller, now);
        drop(limit);
        let mut response = match &taken {
            Ok(_) => called(endpoint, caller, request).unwrap_or_else(IntoResponse::into_response),
            Err(exceeded) => exceeded.response(),
        };
        let window = taken.unwrap_or_else(|exceeded| exceeded.window);
        response.headers_mut().extend(window.headers(endpoint.map_or("demo-none", Endpoint::bucket)));
        response
    }

    /// Checks `Authorization: Bot TOKEN` ("Reference", "Authentication"). A bot token after `Bearer` or without a
    /// prefix is refused.
    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bot "));
        given.is_some_and(|token| token == self.token.expose_secret().as_bytes())
    }
}

/// Routes before it authenticates: an unknown path is a 404 to anybody.
fn called(endpoint: Option<Endpoint>, caller: Caller, request: &Request<Body>) -> Result<Response, Failure> {
    let endpoint = endpoint.ok_or(answers::NOT_FOUND)?;
    if request.method() != Method::GET {
        return Err(answers::METHOD_NOT_ALLOWED);
    }
    if caller == Caller::Unknown {
        return Err(answers::UNAUTHORIZED);
    }
    match endpoint {
        Endpoint::User => Ok(axum::Json(answers::current_user()).into_response()),
        Endpoint::Guilds => guilds::list(request.uri().query().unwrap_or_default()),
        Endpoint::Application => Ok(axum::Json(answers::application()).into_response()),
    }
}

#[cfg(test)]
mod tests;
