//! Discord's HTTP API, version 10.
//!
//! Source: Discord, "API Reference" (authorization, errors), "Rate Limits", and each endpoint's own page.

use std::sync::OnceLock;

use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    BaseUrl,
    chat_api::{ChatApiError, NOT_UNDERSTOOD, UNAVAILABLE, body, client, retry_after, unreached},
};

/// Guilds per page, Discord's maximum. Source: Discord, "User", "Get Current User Guilds".
const GUILDS_A_PAGE: usize = 200;

/// Client of Discord's API with one connection pool. Opens nothing, and reads no root certificate, before the first
/// call.
#[derive(Debug)]
pub struct Discord {
    base: BaseUrl,
    client: OnceLock<Client>,
}

/// Identity of a bot token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscordBot {
    /// Id of the bot's user.
    pub user: String,
    /// Id of the application.
    pub application: String,
}

/// A guild that a bot is in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Guild {
    /// Id of the guild.
    pub id: String,
    /// Name of the guild.
    pub name: String,
}

impl Discord {
    /// Default URL of Discord's API; `DISCORD_API_URL` overrides it.
    pub const URL: &str = "https://discord.com/api/v10/";

    /// Creates a client of Discord at this address.
    #[must_use]
    pub fn new(base: BaseUrl) -> Self {
        Self { base, client: OnceLock::new() }
    }

    /// Identifies a bot token (`/users/@me` and `/applications/@me`, concurrently).
    ///
    /// # Errors
    /// [`ChatApiError`].
    pub async fn identify(&self, token: &SecretString) -> Result<DiscordBot, ChatApiError> {
        #[derive(Deserialize)]
        struct Known {
            id: String,
        }
        let (user, application) = tokio::try_join!(
            self.get::<Known>(token, &["users", "@me"], &[]),
            self.get::<Known>(token, &["applications", "@me"], &[])
        )?;
        Ok(DiscordBot { user: user.id, application: application.id })
    }

    /// Fetches a page of the guilds that a bot is in, those after the guild `after` in the order of ids, and whether
    /// there may be more (`/users/@me/guilds`).
    ///
    /// # Errors
    /// [`ChatApiError`].
    pub async fn guilds(&self, token: &SecretString, after: Option<&str>) -> Result<(Vec<Guild>, bool), ChatApiError> {
        let limit = GUILDS_A_PAGE.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(after.map(|after| ("after", after)));
        let guilds: Vec<Guild> = self.get(token, &["users", "@me", "guilds"], &query).await?;
        let has_more = guilds.len() >= GUILDS_A_PAGE;
        Ok((guilds, has_more))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        token: &SecretString,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ChatApiError> {
        let client = self.client.get_or_init(client);
        let request = client.get(self.base.below(path)).query(query);
        let request = request.header("authorization", format!("Bot {}", token.expose_secret()));
        let response = request.send().await.map_err(|error| unreached(&error))?;
        match response.status() {
            StatusCode::OK => serde_json::from_slice(&body(response).await?).map_err(|_| NOT_UNDERSTOOD),
            StatusCode::UNAUTHORIZED => Err(ChatApiError::Unauthorized),
            StatusCode::TOO_MANY_REQUESTS => Err(ChatApiError::RateLimited(retry_after(&response))),
            status if status.is_client_error() => Err(ChatApiError::Refused(status.as_u16().into())),
            _ => Err(UNAVAILABLE),
        }
    }
}
