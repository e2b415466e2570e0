//! Posting an event to a pool, in Slack's own scheme.

use std::{sync::Arc, time::Duration};

use http::header::{CONTENT_TYPE, USER_AGENT};
use portcullis_auth::{
    Clock, SigningSecret,
    slack_signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use portcullis_runtime::{front::REQUEST_ID_HEADER, queue::QueuedEvent};
use portcullis_store::PoolAddress;
use reqwest::{Client, Url, redirect::Policy};

/// A pool is in the same network: a connection that takes longer is to a machine that is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest that a pool may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What of an answer is read, so that its connection can be used again, in bytes. A larger answer costs the connection.
const READ_LIMIT: u64 = 16 * 1024;

/// Sends events to pools.
pub struct Poster {
    client: Client,
    clock: Arc<dyn Clock>,
}

/// One event and where it goes.
pub struct Delivery<'a> {
    pub address: PoolAddress,
    pub account: &'a str,
    pub secret: &'a SigningSecret,
    pub event: &'a QueuedEvent,
}

impl Poster {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        // No proxy and no redirect: the address was checked, and the request goes there and nowhere else.
        let client = Client::builder()
            .no_proxy()
            // Pools are spoken to in the clear, inside their network: there are no roots to load.
            .tls_certs_only([])
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .unwrap_or_else(|error| unreachable!("a client without roots and proxy has nothing to fail on: {error}"));
        Self { client, clock }
    }

    /// Posts an event; a 2xx is success. The error says what happened, with nothing of the event or of the answer.
    pub async fn post(&self, delivery: Delivery<'_>) -> Result<(), String> {
        let Delivery { address, account, secret, event } = delivery;
        let timestamp = self.clock.now().as_second().to_string();
        let signature = secret.sign(&timestamp, event.body.as_bytes());
        let request = self
            .client
            .post(url(&address, account)?)
            .header(CONTENT_TYPE, &event.content_type)
            .header(USER_AGENT, "portcullis-relay")
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SIGNATURE_HEADER, signature)
            .header(REQUEST_ID_HEADER, &event.request_id)
            .body(event.body.clone());
        let response = request.send().await.map_err(|error| describe(&error))?;
        let status = response.status();
        if response.content_length().is_some_and(|length| length <= READ_LIMIT) {
            // What the pool says is of no interest, and neither is a failure to say it.
            drop(response.bytes().await);
        }
        if status.is_success() { Ok(()) } else { Err(format!("the pool answered {}", status.as_u16())) }
    }
}

fn url(address: &PoolAddress, account: &str) -> Result<Url, String> {
    let mut url: Url =
        format!("http://{}/", address.socket()).parse().map_err(|_| "the pool's address makes no URL")?;
    url.path_segments_mut().map_err(|()| "the pool's address makes no URL")?.extend(["slack", "events", account]);
    Ok(url)
}

/// reqwest's own text would name the URL, and with it the account.
fn describe(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "the pool did not answer in time"
    } else if error.is_connect() {
        "the pool could not be reached"
    } else {
        "the pool broke the connection"
    };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_cannot_change_where_the_request_goes() {
        let address: PoolAddress = "10.0.0.1".parse().unwrap();
        assert_eq!(url(&address, "slack-A1-T1").unwrap().as_str(), "http://10.0.0.1:18789/slack/events/slack-A1-T1");
        let hostile = url(&address, "../../x?y#z@evil").unwrap();
        assert_eq!(hostile.host_str(), Some("10.0.0.1"));
        assert!(hostile.path().starts_with("/slack/events/"), "{hostile}");
        assert_eq!((hostile.query(), hostile.fragment()), (None, None));
        let v6: PoolAddress = "[fd00::1]:9000".parse().unwrap();
        assert_eq!(url(&v6, "a").unwrap().as_str(), "http://[fd00::1]:9000/slack/events/a");
    }
}
