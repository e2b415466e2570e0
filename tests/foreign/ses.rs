//! Mail through SES: an emulator of SES accepts the mailer's mail, and refuses mail from an unverified address.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod emulator;

use std::sync::Arc;

use aws_sdk_sesv2::Client;
use axum::{Router, body::Body};
use emulator::{Proxy, config, unique_name, url};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use portcullis_auth::Email;
use portcullis_runtime::mail::SesMailer;
use portcullis_tests::in_process::InProcess;
use serde_json::{Value, json};
use tower::ServiceExt;

const ORIGIN: &str = "https://api.example.com";

/// `auth` with a mailer that has its own sender address and a proxy in front of SES.
struct Mailing {
    machine: InProcess,
    proxy: Proxy,
    from: Email,
    auth: Router,
}

impl Mailing {
    async fn start() -> Self {
        let from: Email = format!("{}@example.com", unique_name("portcullis")).parse().unwrap();
        let settings = [("BETTER_AUTH_SECRET", "not-a-secret-of-sessions-in-this-suite"), ("BETTER_AUTH_URL", ORIGIN)];
        let mut machine = InProcess::start(settings, Timestamp::now()).await;
        let proxy = Proxy::start().await;
        machine.environment.mailer = Some(Arc::new(SesMailer::new(&config(&proxy.url), from.clone())));
        let auth = auth::start(&machine.environment).await.unwrap();
        Self { machine, proxy, from, auth }
    }

    /// Verifies the sender address, as an operator does once.
    async fn verify(&self) {
        let client = Client::new(&config(&url()));
        client.create_email_identity().email_identity(self.from.as_str()).send().await.unwrap();
    }

    async fn sign_up(&self, email: &str) -> (StatusCode, Value) {
        let body = json!({ "name": "Ada", "email": email, "password": "correct horse battery" });
        let request = Request::post("/api/auth/sign-up/email")
            .header("content-type", "application/json")
            .header("origin", ORIGIN)
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = self.auth.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// Mails that the emulator has accepted from this sender.
    async fn sent(&self) -> Vec<Value> {
        let all: Value = reqwest::get(format!("{}/moto-api/data.json", url())).await.unwrap().json().await.unwrap();
        let messages = all["ses"]["Message"].as_array().cloned().unwrap_or_default();
        messages.into_iter().filter(|message| message["source"] == self.from.as_str()).collect()
    }
}

#[tokio::test]
async fn a_mail_is_taken_by_ses_once_its_sender_is_verified_and_before_that_nothing_is_half_done() {
    let mailing = Mailing::start().await;
    let (status, answer) = mailing.sign_up("ada@example.org").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(mailing.sent().await.is_empty());
    mailing.verify().await;
    let (status, answer) = mailing.sign_up("ada@example.org").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let [mail] = mailing.sent().await.try_into().unwrap();
    let (subject, body) = (mail["subject"].as_str().unwrap(), mail["body"].as_str().unwrap());
    assert!(subject.is_ascii() && !subject.is_empty() && body.contains("<"), "{mail}");
    assert!(mail["destinations"].to_string().contains("ada@example.org"), "{mail}");
    let link = body.split('"').find(|part| part.starts_with(ORIGIN)).unwrap_or_default();
    assert!(link.starts_with(&format!("{ORIGIN}/api/auth/verify-email?token=")), "{mail}");
    mailing.machine.end().await;
}

#[tokio::test]
async fn ses_that_is_away_is_a_503_after_three_tries_and_the_next_sign_up_goes_through() {
    let mailing = Mailing::start().await;
    mailing.verify().await;
    mailing.proxy.cut();
    let (status, answer) = mailing.sign_up("ada@example.org").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert!(!answer.to_string().contains("127.0.0.1"), "{answer}");
    // The proxy counts SES operations under `-`: SES's API names an operation only by its path.
    assert_eq!(mailing.proxy.operations()["-"], 3, "tries");
    mailing.proxy.recover();
    let (status, answer) = mailing.sign_up("ada@example.org").await;
    assert_eq!((status, mailing.sent().await.len()), (StatusCode::OK, 1), "{answer}");
    mailing.machine.end().await;
}
