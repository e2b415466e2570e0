//! Feishu's Open API.
//!
//! Source: Feishu Open Platform, "Server-side API" (`code`, `msg`), "Rate limits", and each endpoint's own page.

use std::{sync::OnceLock, time::Duration};

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    BaseUrl,
    chat_api::{ChatApiError, NOT_UNDERSTOOD, UNAVAILABLE, body, client, retry_after, unreached},
};

/// Chats per page, Feishu's maximum. Source: Feishu, "Obtain list of groups where the user or bot is located".
const CHATS_A_PAGE: &str = "100";

/// Code of a rate-limited call. Source: Feishu, "Generic error codes".
const TOO_SOON: i64 = 99_991_400;

/// Codes of an invalid app id, secret or token.
///
/// Source: Feishu, "Obtain `tenant_access_token`", "Error codes"; "Generic error codes".
const UNAUTHORIZED: [i64; 7] = [10_003, 10_012, 10_014, 10_015, 99_991_661, 99_991_663, 99_991_664];

/// Header with the seconds until the rate limit ends. Source: Feishu, "Rate limits".
const RATE_LIMIT_RESET: &str = "x-ogw-ratelimit-reset";

/// Client of Feishu's API with one connection pool. Opens nothing, and reads no root certificate, before the first
/// call.
#[derive(Debug)]
pub struct Feishu {
    base: BaseUrl,
    client: OnceLock<Client>,
}

/// Token of an app in its tenant; it lasts up to two hours.
pub struct FeishuToken(SecretString);

/// The bot of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeishuBot {
    /// `open_id` of the bot.
    pub open_id: Option<String>,
    /// Name of the app.
    pub app_name: Option<String>,
}

/// A group chat that a bot is in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FeishuChat {
    /// Id of the chat.
    #[serde(rename = "chat_id")]
    pub id: String,
    /// Name of the chat.
    #[serde(default)]
    pub name: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    code: i64,
}

impl Feishu {
    /// Default URL of Feishu's API, in China; `FEISHU_API_URL` overrides it. Lark's is
    /// `https://open.larksuite.com/open-apis/`.
    pub const URL: &str = "https://open.feishu.cn/open-apis/";

    /// Creates a client of Feishu at this address.
    #[must_use]
    pub fn new(base: BaseUrl) -> Self {
        Self { base, client: OnceLock::new() }
    }

    /// Requests a token of an app (`auth/v3/tenant_access_token/internal`).
    ///
    /// # Errors
    /// [`ChatApiError`]; [`ChatApiError::Unauthorized`] if the id and the secret are not an app's.
    pub async fn tenant_token(&self, app: &str, secret: &SecretString) -> Result<FeishuToken, ChatApiError> {
        #[derive(Deserialize)]
        struct Issued {
            tenant_access_token: SecretString,
        }
        let request = self.client().post(self.base.below(&["auth", "v3", "tenant_access_token", "internal"]));
        let request = request.json(&json!({ "app_id": app, "app_secret": secret.expose_secret() }));
        let issued: Issued = answer(request).await?;
        Ok(FeishuToken(issued.tenant_access_token))
    }

    /// Fetches the bot of an app (`bot/v3/info`).
    ///
    /// # Errors
    /// [`ChatApiError`]; [`ChatApiError::Refused`] if the app has no bot.
    pub async fn bot(&self, token: &FeishuToken) -> Result<FeishuBot, ChatApiError> {
        #[derive(Deserialize)]
        struct Info {
            bot: Bot,
        }
        #[derive(Deserialize)]
        struct Bot {
            open_id: Option<String>,
            app_name: Option<String>,
        }
        let Info { bot } = answer(self.get(token, &["bot", "v3", "info"], &[])).await?;
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(FeishuBot { open_id: some(bot.open_id), app_name: some(bot.app_name) })
    }

    /// Fetches a page of the group chats that the app's bot is in, and the token of the next page, if any
    /// (`im/v1/chats`).
    ///
    /// # Errors
    /// [`ChatApiError`].
    pub async fn chats(
        &self,
        token: &FeishuToken,
        page: Option<&str>,
    ) -> Result<(Vec<FeishuChat>, Option<String>), ChatApiError> {
        #[derive(Deserialize)]
        struct Answer {
            data: Chats,
        }
        #[derive(Deserialize)]
        struct Chats {
            #[serde(default)]
            items: Vec<FeishuChat>,
            page_token: Option<String>,
            #[serde(default)]
            has_more: bool,
        }
        let mut query = vec![("page_size", CHATS_A_PAGE)];
        query.extend(page.map(|page| ("page_token", page)));
        let Answer { data } = answer(self.get(token, &["im", "v1", "chats"], &query)).await?;
        let next = data.page_token.filter(|token| data.has_more && !token.is_empty());
        Ok((data.items, next))
    }

    fn get(&self, token: &FeishuToken, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        self.client().get(self.base.below(path)).query(query).bearer_auth(token.0.expose_secret())
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(client)
    }
}

/// Makes a call and parses its answer: HTTP 200 with a code of 0.
async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ChatApiError> {
    let response = request.send().await.map_err(|error| unreached(&error))?;
    let (status, wait) = (response.status(), reset(&response));
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(ChatApiError::RateLimited(wait));
    }
    // Older endpoints answer a refusal with 200, newer ones with 400; the code distinguishes refusals.
    if status != StatusCode::OK && !status.is_client_error() {
        return Err(UNAVAILABLE);
    }
    let answer = body(response).await?;
    let Envelope { code } = serde_json::from_slice(&answer).map_err(|_| NOT_UNDERSTOOD)?;
    match code {
        0 if status == StatusCode::OK => serde_json::from_slice(&answer).map_err(|_| NOT_UNDERSTOOD),
        0 => Err(NOT_UNDERSTOOD),
        TOO_SOON => Err(ChatApiError::RateLimited(wait)),
        code if UNAUTHORIZED.contains(&code) => Err(ChatApiError::Unauthorized),
        code => Err(ChatApiError::Refused(code)),
    }
}

fn reset(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RATE_LIMIT_RESET).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map(Duration::from_secs).or_else(|| retry_after(response))
}
