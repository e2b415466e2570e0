//! Accounts and session cookies: `/api/auth/*`, in better-auth's wire format.
//!
//! One folder a resource, one file an endpoint. This function alone reads and computes hashes of passwords. It holds no
//! encryption key and no token: what it keeps it can only compare.

mod account;
mod answer;
mod error;
mod hasher;
mod mails;
mod password;
mod session;
mod verification;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, routing};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use portcullis_auth::{Clock, Email, SessionCookie, SessionSecret};
use portcullis_crypto::{Digest, Randomness};
use portcullis_runtime::{
    ApiError, Platform, front, lambda,
    mail::{Mailer, Message},
    metrics::{Metric, Metrics},
    openapi,
    origins::Origins,
    rotating::Rotating,
    settings::{SettingsError, SettingsReader},
    tier::{self, BrowserGate, Mounted, Routes},
};
use portcullis_store::{Store, Table, ThrottleSubject};
use secrecy::zeroize::Zeroizing;
use url::Url;

use hasher::Hasher;

/// How long an answer may take: longer than the store's and SES's own time-outs and retries take together, shorter than API
/// Gateway's 30 s.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Mails that an address gets within [`MAIL_WINDOW`]: more would make us a tool for filling a stranger's mailbox.
const MAIL_LIMIT: u32 = 10;
const MAIL_WINDOW: Duration = Duration::from_hours(1);

/// Random bytes of a mailed link's token.
const LINK_TOKEN_BYTES: usize = 32;

/// Dependencies of the handlers.
struct App {
    store: Store,
    hasher: Hasher,
    mailer: Arc<dyn Mailer>,
    secret: Rotating<SessionSecret>,
    cookie: SessionCookie,
    origins: Arc<Origins>,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
}

/// Reads the settings, opens the connection to the store, and makes the function's router.
///
/// # Errors
/// [`SettingsError`], which names every setting that is missing or malformed.
pub async fn start(platform: &Platform) -> Result<Router, SettingsError> {
    let mut settings = SettingsReader::new(platform);
    let secret = settings.session_secret().await;
    let secret = settings.secret_outcome(secret);
    let origins = settings.origins();
    let cookie = settings.session_cookie(&origins);
    let mailer = settings.mailer();
    let store = settings.store([]);
    let commit_hash = settings.commit_hash();
    let (app, gate, commit_hash) = settings.finish(|| {
        let (store, secret, cookie, origins) = (store?, secret?, cookie?, origins?);
        let clock = Arc::clone(&platform.clock);
        let gate = BrowserGate {
            secret: secret.clone(),
            cookie: cookie.clone(),
            origins: Arc::clone(&origins),
            store: store.clone(),
            clock: Arc::clone(&clock),
        };
        let app = App {
            store,
            hasher: Hasher::new(platform),
            mailer: mailer?,
            secret,
            cookie,
            origins,
            metrics: platform.metrics.clone(),
            clock,
            randomness: Arc::clone(&platform.randomness),
        };
        Ok((app, gate, commit_hash?))
    })?;
    lambda::warm_up(&app.store, Table::Users).await;
    let extras = front::Extras {
        origins: Some(Arc::clone(&app.origins)),
        has_codes_in_capitals: true,
        ..front::Extras::default()
    };
    let mounted = mount(Arc::new(app), &gate);
    Ok(front::serve_with("auth", platform, commit_hash.as_deref(), DEADLINE, mounted, extras))
}

fn mount(app: Arc<App>, gate: &BrowserGate) -> [Mounted; 2] {
    let browser = Routes::new()
        .at("/api/auth/ok", routing::get(account::ok))
        .at("/api/auth/sign-up/email", routing::post(account::sign_up::handle))
        .at("/api/auth/sign-in/email", routing::post(session::sign_in::handle))
        .at("/api/auth/sign-out", routing::post(session::sign_out::handle))
        .at("/api/auth/get-session", routing::get(session::get::handle))
        .at("/api/auth/request-password-reset", routing::post(password::request_reset::handle))
        .at("/api/auth/reset-password", routing::post(password::reset::handle))
        .at("/api/auth/send-verification-email", routing::post(verification::send_email::handle))
        .at("/api/auth/verify-email", routing::get(verification::verify_link::handle))
        .at("/api/auth/email-otp/send-verification-otp", routing::post(verification::send_code::handle))
        .at("/api/auth/email-otp/verify-email", routing::post(verification::verify_code::handle));
    let user = Routes::new()
        .at("/api/auth/list-sessions", routing::get(session::list::handle))
        .at("/api/auth/revoke-session", routing::post(session::revoke::one))
        .at("/api/auth/revoke-sessions", routing::post(session::revoke::all))
        .at("/api/auth/revoke-other-sessions", routing::post(session::revoke::others))
        .at("/api/auth/change-password", routing::post(password::change::handle))
        .at("/api/auth/update-user", routing::post(account::update::handle))
        .at("/api/auth/delete-user", routing::post(account::delete::handle));
    [tier::browser(gate, Arc::clone(&app), browser), tier::user(gate, app, user)]
}

/// Throttle subjects of a sign-in: the e-mail address, whether it has an account or not, and the client's address.
struct SignInSubjects {
    account: ThrottleSubject,
    address: ThrottleSubject,
}

impl SignInSubjects {
    fn new(email: &Email, address: Option<IpAddr>) -> Self {
        let address = address.map_or_else(|| "unknown".to_owned(), |address| network_of(address).to_string());
        Self {
            account: ThrottleSubject::new("sign-in-account", email.as_str()),
            address: ThrottleSubject::new("sign-in-address", &address),
        }
    }
}

/// Address that stands for a client: of IPv6 the /64 that a customer has whole.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl App {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Hands a mail over.
    ///
    /// # Errors
    /// 503 where it was not taken.
    async fn send(&self, message: Message) -> Result<(), ApiError> {
        self.mailer.send(&message).await.map_err(|error| {
            self.metrics.count(Metric::MailFailed);
            ApiError::unavailable(error.to_string())
        })
    }

    /// Takes one of the mails that an address may get. Returns how long to wait where it has had them all.
    async fn take_mail(&self, email: &Email) -> Result<Option<Duration>, ApiError> {
        let subject = ThrottleSubject::new("mail", email.as_str());
        Ok(self.store.take_from_budget(&subject, MAIL_LIMIT, MAIL_WINDOW).await?)
    }

    /// A new token of a mailed link, and the digest by which it is found.
    fn link_token(&self, purpose: &str) -> (Zeroizing<String>, Digest) {
        let mut bytes = Zeroizing::new([0; LINK_TOKEN_BYTES]);
        self.randomness.fill(&mut *bytes);
        let token = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes));
        let digest = link_digest(purpose, &token);
        (token, digest)
    }

    /// The URL of one of this API's own pages, with a query.
    fn own_url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, ApiError> {
        let url = self.origins.api().url().join(path);
        let mut url = url.map_err(|_| ApiError::internal("a path of ours is no URL"))?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    /// Where a browser may be sent, by what a request says.
    ///
    /// # Errors
    /// 403 for an address that is not trusted.
    fn callback(&self, text: Option<&str>) -> Result<Option<Url>, ApiError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
        self.origins.redirect_target(text).map(Some).ok_or_else(error::invalid_callback_url)
    }
}

/// Digest by which a mailed link is found.
fn link_digest(purpose: &str, token: &str) -> Digest {
    Digest::of_parts(&[b"link", purpose.as_bytes(), token.as_bytes()])
}

/// Part of the `OpenAPI` document that describes this function.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        account::sign_up::handle,
        account::update::handle,
        account::delete::handle,
        password::change::handle,
        password::request_reset::handle,
        password::reset::handle,
        session::sign_in::handle,
        session::sign_out::handle,
        session::get::handle,
        session::list::handle,
        session::revoke::one,
        session::revoke::all,
        session::revoke::others,
        verification::send_email::handle,
        verification::send_code::handle,
        verification::verify_code::handle,
        verification::verify_link::handle,
        account::ok,
    ),
    components(schemas(openapi::Error))
)]
pub struct Described;
