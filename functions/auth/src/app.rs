//! State that all endpoints share: the store, throttles and mails.

use std::{net::IpAddr, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use portcullis_auth::{Clock, Email, SessionCookie, SessionSecret};
use portcullis_crypto::{Digest, Randomness};
use portcullis_runtime::{
    ApiError,
    mail::{Mailer, Message},
    metrics::{Metric, Metrics},
    origins::Origins,
    rotating::Rotating,
};
use portcullis_store::{Store, ThrottleSubject};
use secrecy::zeroize::Zeroizing;
use url::Url;

use crate::{error, hasher::Hasher};

/// Limit of the mails that an address gets within [`MAIL_WINDOW`]: without it, a stranger's mailbox could be flooded.
const MAIL_LIMIT: u32 = 10;

/// Window of [`MAIL_LIMIT`].
const MAIL_WINDOW: Duration = Duration::from_hours(1);

/// Length of a mailed link's token in bytes, before encoding.
const LINK_TOKEN_BYTES: usize = 32;

/// Dependencies of the handlers.
pub struct App {
    pub store: Store,
    pub hasher: Hasher,
    pub mailer: Arc<dyn Mailer>,
    pub secret: Rotating<SessionSecret>,
    pub cookie: SessionCookie,
    pub origins: Arc<Origins>,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
    pub randomness: Arc<dyn Randomness>,
}

impl App {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sends a mail.
    ///
    /// # Errors
    /// 503 if the mail service did not accept it.
    pub async fn send(&self, message: Message) -> Result<(), ApiError> {
        self.mailer.send(&message).await.map_err(|error| {
            self.metrics.count(Metric::MailFailed);
            ApiError::unavailable(error.to_string())
        })
    }

    /// Takes one mail from an address's limit. Returns the time to wait if the limit is used up.
    pub async fn take_mail(&self, email: &Email) -> Result<Option<Duration>, ApiError> {
        let subject = ThrottleSubject::new("mail", email.as_str());
        Ok(self.store.take_from_budget(&subject, MAIL_LIMIT, MAIL_WINDOW).await?)
    }

    /// Generates the token of a mailed link, and the digest under which it is stored.
    pub fn link_token(&self, purpose: &str) -> (Zeroizing<String>, Digest) {
        let mut bytes = Zeroizing::new([0; LINK_TOKEN_BYTES]);
        self.randomness.fill(&mut *bytes);
        let token = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes));
        let digest = link_digest(purpose, &token);
        (token, digest)
    }

    /// Returns the URL of one of this API's own pages, with a query.
    pub fn own_url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, ApiError> {
        let url = self.origins.api().url().join(path);
        let mut url = url.map_err(|_| ApiError::internal("a path of ours is no URL"))?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    /// Parses a request's callback URL, to which a browser is redirected.
    ///
    /// # Errors
    /// 403 for an origin that is not trusted (open redirect).
    pub fn callback(&self, text: Option<&str>) -> Result<Option<Url>, ApiError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
        self.origins.redirect_target(text).map(Some).ok_or_else(error::invalid_callback_url)
    }
}

/// Throttle subjects of a sign-in: the e-mail address, whether or not it has an account, and the client's address.
pub struct SignInSubjects {
    pub account: ThrottleSubject,
    pub address: ThrottleSubject,
}

impl SignInSubjects {
    pub fn new(email: &Email, address: Option<IpAddr>) -> Self {
        let address = address.map_or_else(|| "unknown".to_owned(), |address| network_of(address).to_string());
        Self {
            account: ThrottleSubject::new("sign-in-account", email.as_str()),
            address: ThrottleSubject::new("sign-in-address", &address),
        }
    }
}

/// Returns the address that stands for a client. For IPv6 it is the /64, all of which a single customer controls.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Returns the digest under which a mailed link is stored.
pub fn link_digest(purpose: &str, token: &str) -> Digest {
    Digest::of_parts(&[b"link", purpose.as_bytes(), token.as_bytes()])
}
