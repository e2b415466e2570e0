//! Posting an event to a pool, in its platform's own scheme.

use std::{fmt, sync::Arc, time::Duration};

use http::{
    StatusCode,
    header::{CONTENT_TYPE, USER_AGENT},
};
use portcullis_auth::{Clock, SigningSecret, feishu, slack_signature};
use portcullis_crypto::Randomness;
use portcullis_runtime::{front::REQUEST_ID_HEADER, queue::QueuedEvent};
use portcullis_store::{Channel, ChatPlatform, PoolAddress};
use reqwest::{Client, RequestBuilder, Url, redirect::Policy};
use serde_json::json;

/// A pool is in the same network: a connection that takes longer is to a machine that is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest that a pool may take to answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// What of an answer is read, so that its connection can be used again, in bytes. A larger answer costs the connection.
const READ_LIMIT: u64 = 16 * 1024;

/// Why a pool did not take an event. No variant holds anything of the event or of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError {
    /// It answered with a 4xx that another try is unlikely to change.
    Refused(u16),
    /// It answered with another status that is not 2xx.
    Answered(u16),
    /// It did not answer within [`TIMEOUT`].
    TimedOut,
    /// Nothing listens at its address.
    Unreachable,
    /// The connection ended before the answer.
    Broken,
    /// The pool's address makes no URL.
    NoUrl,
}

impl fmt::Display for PostError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) | Self::Answered(status) => write!(formatter, "the pool answered {status}"),
            Self::TimedOut => formatter.write_str("the pool did not answer in time"),
            Self::Unreachable => formatter.write_str("the pool could not be reached"),
            Self::Broken => formatter.write_str("the pool broke the connection"),
            Self::NoUrl => formatter.write_str("the pool's address makes no URL"),
        }
    }
}

impl PostError {
    fn of_status(status: StatusCode) -> Self {
        // Request Timeout, Too Early and Too Many Requests ask for another try.
        let asks_again = matches!(status.as_u16(), 408 | 425 | 429);
        if status.is_client_error() && !asks_again {
            Self::Refused(status.as_u16())
        } else {
            Self::Answered(status.as_u16())
        }
    }

    /// reqwest's own text would name the URL, and with it the account.
    fn of(error: &reqwest::Error) -> Self {
        // A connection that is not made in time is a machine that is not there, not one that hangs.
        if error.is_connect() {
            Self::Unreachable
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Broken
        }
    }
}

/// Random bytes of a nonce; it is written in hex.
const NONCE_BYTES: usize = 16;

/// Sends events to pools.
pub struct Poster {
    client: Client,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
}

/// One event and where it goes.
pub struct Delivery<'a> {
    pub address: PoolAddress,
    pub channel: &'a Channel,
    pub secret: &'a SigningSecret,
    pub event: &'a QueuedEvent,
}

impl Poster {
    pub fn new(clock: Arc<dyn Clock>, randomness: Arc<dyn Randomness>, patience: u32) -> Self {
        // No proxy and no redirect: the address was checked, and the request goes there and nowhere else.
        let client = Client::builder()
            .no_proxy()
            // Pools are spoken to in the clear, inside their network: there are no roots to load.
            .tls_certs_only([])
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT * patience)
            .timeout(TIMEOUT * patience)
            .build()
            .unwrap_or_else(|error| unreachable!("a client without roots and proxy has nothing to fail on: {error}"));
        Self { client, clock, randomness }
    }

    /// Posts an event; a 2xx is success.
    pub async fn post(&self, delivery: Delivery<'_>) -> Result<(), PostError> {
        let request = match delivery.channel.platform {
            // Discord's pools open the connection themselves: nothing of it is ever queued.
            ChatPlatform::Slack | ChatPlatform::Discord => self.for_slack(&delivery)?,
            ChatPlatform::Feishu => self.for_feishu(&delivery)?,
        };
        let request =
            request.header(USER_AGENT, "portcullis-relay").header(REQUEST_ID_HEADER, &delivery.event.request_id);
        let response = request.send().await.map_err(|error| PostError::of(&error))?;
        let status = response.status();
        if response.content_length().is_some_and(|length| length <= READ_LIMIT) {
            // What the pool says is of no interest, and neither is a failure to say it.
            drop(response.bytes().await);
        }
        if status.is_success() { Ok(()) } else { Err(PostError::of_status(status)) }
    }
}

impl Poster {
    /// Slack's raw body, signed anew.
    fn for_slack(&self, delivery: &Delivery<'_>) -> Result<RequestBuilder, PostError> {
        let Delivery { address, channel, secret, event } = delivery;
        let timestamp = self.clock.now().as_second().to_string();
        let signature = secret.sign(&timestamp, &event.body);
        let request = self
            .client
            .post(url(address, "slack", &channel.account_id)?)
            .header(CONTENT_TYPE, &event.content_type)
            .header(slack_signature::TIMESTAMP_HEADER, timestamp)
            .header(slack_signature::SIGNATURE_HEADER, signature);
        Ok(request.body(event.body.clone()))
    }

    /// Feishu's event, encrypted and signed anew. It is encrypted although the network is the pools' own: an older `OpenClaw`
    /// checks the signature over the body as it writes it again, which of an encrypted one is the same to the byte.
    fn for_feishu(&self, delivery: &Delivery<'_>) -> Result<RequestBuilder, PostError> {
        let Delivery { address, channel, secret, event } = delivery;
        let (mut iv, mut nonce) = ([0; feishu::IV_LENGTH], [0; NONCE_BYTES]);
        self.randomness.fill(&mut iv);
        self.randomness.fill(&mut nonce);
        let (timestamp, nonce) = (self.clock.now().as_second().to_string(), hex::encode(nonce));
        let body = json!({ "encrypt": secret.encrypt_for_feishu(iv, &event.body) }).to_string();
        let signature = secret.sign_for_feishu(&timestamp, &nonce, body.as_bytes());
        let request = self
            .client
            .post(url(address, "feishu", &channel.account_id)?)
            .header(CONTENT_TYPE, "application/json")
            .header(feishu::TIMESTAMP_HEADER, timestamp)
            .header(feishu::NONCE_HEADER, nonce)
            .header(feishu::SIGNATURE_HEADER, signature);
        Ok(request.body(body))
    }
}

fn url(address: &PoolAddress, platform: &str, account: &str) -> Result<Url, PostError> {
    let mut url: Url = format!("http://{}/", address.socket()).parse().map_err(|_| PostError::NoUrl)?;
    url.path_segments_mut().map_err(|()| PostError::NoUrl)?.extend([platform, "events", account]);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_cannot_change_where_the_request_goes() {
        let address: PoolAddress = "10.0.0.1".parse().unwrap();
        assert_eq!(
            url(&address, "slack", "slack-A1-T1").unwrap().as_str(),
            "http://10.0.0.1:18789/slack/events/slack-A1-T1"
        );
        let hostile = url(&address, "slack", "../../x?y#z@evil").unwrap();
        assert_eq!(hostile.host_str(), Some("10.0.0.1"));
        assert!(hostile.path().starts_with("/slack/events/"), "{hostile}");
        assert_eq!((hostile.query(), hostile.fragment()), (None, None));
        let v6: PoolAddress = "[fd00::1]:9000".parse().unwrap();
        assert_eq!(url(&v6, "slack", "a").unwrap().as_str(), "http://[fd00::1]:9000/slack/events/a");
    }
}
