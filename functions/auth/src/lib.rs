//! Accounts and session cookies: `/api/auth/*`, in better-auth's wire format.
//!
//! One folder per resource, one file per endpoint. Only this function reads and computes password hashes. It holds no
//! encryption key and no token: it can compare the secrets that it stores, but not recover them.

mod account;
mod answer;
mod app;
mod error;
mod hasher;
mod mails;
mod new_session;
mod password;
mod password_check;
mod session;
mod verification;
mod verification_mail;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing};
use portcullis_runtime::{
    Environment, front, lambda, openapi,
    settings::{SettingsError, SettingsReader},
    tier::{self, BrowserGate, Mounted, Routes},
};
use portcullis_store::Table;

use app::App;
use hasher::Hasher;

/// Deadline of a response: above the store's and SES's time-outs with retries together, below API Gateway's 30 s.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Reads the settings, opens the connection to the store, and builds the function's router.
///
/// # Errors
/// [`SettingsError`], which names every setting that is missing or malformed.
pub async fn start(environment: &Environment) -> Result<Router, SettingsError> {
    let settings = SettingsReader::new(environment);
    let secret = settings.session_secret().await;
    let origins = settings.origins();
    let cookie = settings.session_cookie(&origins);
    let mailer = settings.mailer();
    let store = settings.store([]);
    let commit_hash = settings.commit_hash();
    let (app, gate, commit_hash) = settings.finish(|| {
        let (store, secret, cookie, origins) = (store?, secret?, cookie?, origins?);
        let clock = Arc::clone(&environment.clock);
        let gate = BrowserGate {
            secret: secret.clone(),
            cookie: cookie.clone(),
            origins: Arc::clone(&origins),
            store: store.clone(),
            clock: Arc::clone(&clock),
        };
        let app = App {
            store,
            hasher: Hasher::new(environment),
            mailer: mailer?,
            secret,
            cookie,
            origins,
            metrics: environment.metrics.clone(),
            clock,
            randomness: Arc::clone(&environment.randomness),
        };
        Ok((app, gate, commit_hash?))
    })?;
    lambda::warm_up(&app.store, Table::Users).await;
    let origins = Arc::clone(&app.origins);
    let mounted = mount(Arc::new(app), &gate);
    let service = front::Service {
        commit_hash,
        origins: Some(origins),
        has_codes_in_capitals: true,
        ..front::Service::new("auth", DEADLINE, mounted)
    };
    Ok(service.router(environment))
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

/// This function's part of the `OpenAPI` document.
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
pub struct ApiDoc;
