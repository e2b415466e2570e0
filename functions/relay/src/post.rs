//! Posts an event to a pool in its platform's own scheme.

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

/// Connect time-out. Pools are in the same network: a slower connection goes to a machine that is gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time-out of a post, up to the pool's response.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest response body, in bytes, that is read so that its connection can be reused. A longer body closes the
/// connection.
const READ_LIMIT: u64 = 16 * 1024;

/// Reason for which a pool did not take an event. No variant holds any part of the event or of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError {
    /// The pool answered with a 4xx that another try is unlikely to change.
    Refused(u16),
    /// The pool answered with another status that is not 2xx.
    Answered(u16),
    /// The pool did not answer within [`TIMEOUT`].
    TimedOut,
    /// Nothing listens at the pool's address.
    Unreachable,
    /// The connection ended before the response.
    Broken,
    /// The pool's address does not form a URL.
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

    /// Classifies a transport error. reqwest's own text would reveal the URL, and with it the account.
    fn of(error: &reqwest::Error) -> Self {
        // A connect time-out means that the machine is gone, not that it hangs.
        if error.is_connect() {
            Self::Unreachable
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Broken
        }
    }
}

/// Length of a nonce in bytes, before hex encoding.
const NONCE_BYTES: usize = 16;

/// Sends events to pools.
pub struct Poster {
    client: Client,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
}

/// One event and its destination.
pub struct Delivery<'a> {
    pub address: PoolAddress,
    pub channel: &'a Channel,
    pub secret: &'a SigningSecret,
    pub event: &'a QueuedEvent,
}

impl Poster {
    pub fn new(clock: Arc<dyn Clock>, randomness: Arc<dyn Randomness>, patience: u32) -> Self {
        // No proxy and no redirects: only the checked address may receive the request.
        let client = Client::builder()
            .no_proxy()
            // Pools are reached over plain HTTP inside their network, so no root certificates are loaded.
            .tls_certs_only([])
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT * patience)
            .timeout(TIMEOUT * patience)
            .build()
            .unwrap_or_else(|error| unreachable!("a client without roots and proxy has nothing to fail on: {error}"));
        Self { client, clock, randomness }
    }

    /// Posts an event. Any 2xx is success.
    pub async fn post(&self, delivery: Delivery<'_>) -> Result<(), PostError> {
        let request = match delivery.channel.platform {
            // Discord's pools open the connection to Discord themselves, so no Discord event is ever queued.
            ChatPlatform::Slack | ChatPlatform::Discord => self.for_slack(&delivery)?,
            ChatPlatform::Feishu => self.for_feishu(&delivery)?,
        };
        let request =
            request.header(USER_AGENT, "portcullis-relay").header(REQUEST_ID_HEADER, &delivery.event.request_id);
        let response = request.send().await.map_err(|error| PostError::of(&error))?;
        let status = response.status();
        if response.content_length().is_some_and(|length| length <= READ_LIMIT) {
            // The body is drained only to reuse the connection; its content and a read error do not matter.
            drop(response.bytes().await);
        }
        if status.is_success() { Ok(()) } else { Err(PostError::of_status(status)) }
    }
}

impl Poster {
    /// Builds the request for Slack's raw body, with a new signature.
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

    /// Builds the request for a Feishu event, encrypted and signed anew. Encryption is needed even inside the pools'
    /// network: an older `OpenClaw` checks the signature over its own re-serialization of the body, and only an
    /// encrypted body re-serializes to the same bytes.
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
