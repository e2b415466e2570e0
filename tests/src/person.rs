//! A person with a browser and a mailbox.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{Answer, System, send};

/// A person with a browser, signed in or not.
#[derive(Clone)]
pub struct Person<'a> {
    system: &'a System,
    /// The address, as the person writes it.
    pub email: String,
    cookie: Option<String>,
}

impl<'a> Person<'a> {
    /// Somebody who has no account yet.
    #[must_use]
    pub fn new(system: &'a System, email: &str) -> Self {
        Self { system, email: email.to_owned(), cookie: None }
    }

    /// Signs up, verifies the address and signs in.
    pub async fn registered(self, password: &str) -> Self {
        self.sign_up(password).await;
        self.verified(password).await
    }

    /// Verifies the address with the last mail and signs in.
    ///
    /// # Panics
    /// Where that does not work.
    pub async fn verified(self, password: &str) -> Self {
        let body = json!({ "email": self.email, "otp": self.mailed_code().await });
        let verified = self.post("email-otp/verify-email", &body).await;
        assert_eq!(verified.status, 200, "{verified:?}");
        self.signed_in(password).await
    }

    /// Signs in.
    ///
    /// # Panics
    /// Where that does not work.
    pub async fn signed_in(self, password: &str) -> Self {
        let signed_in = self.sign_in(password).await;
        assert_eq!(signed_in.status, 200, "{signed_in:?}");
        self.with_cookie_of(&signed_in)
    }

    /// The person with the cookie that an answer gave.
    ///
    /// # Panics
    /// Where it gave none.
    #[must_use]
    pub fn with_cookie_of(mut self, answer: &Answer) -> Self {
        let pair = answer.header("set-cookie").split(';').next().filter(|pair| !pair.is_empty());
        self.cookie = Some(pair.expect("a cookie").to_owned());
        self
    }

    /// The cookie that the browser has.
    ///
    /// # Panics
    /// Where it has none.
    #[must_use]
    pub fn cookie(&self) -> String {
        self.cookie.clone().expect("signed in")
    }

    /// A request of a page of the front end, with the browser's cookie.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.system.request(method, path).header("origin", self.system.stack.base_url());
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    /// Posts to `/api/auth/…`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, &format!("/api/auth/{path}")).json(body)).await
    }

    /// Gets `/api/auth/…`.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, &format!("/api/auth/{path}"))).await
    }

    /// Asks `/v1/…` for something, or for nothing to be sent along.
    pub async fn v1(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, &format!("/v1{path}"));
        send(if body.is_null() { request } else { request.json(&body) }).await
    }

    /// Id of the account.
    ///
    /// # Panics
    /// Where the person is not signed in.
    pub async fn id(&self) -> String {
        self.get("get-session").await.json()["user"]["id"].as_str().expect("signed in").to_owned()
    }

    /// Signs up under the name of Ada.
    pub async fn sign_up(&self, password: &str) -> Answer {
        self.post("sign-up/email", &json!({ "name": "Ada", "email": self.email, "password": password })).await
    }

    /// Tries to sign in, in a browser that has no cookie yet.
    pub async fn sign_in(&self, password: &str) -> Answer {
        let body = json!({ "email": self.email, "password": password });
        let other = Self { cookie: None, ..self.clone() };
        other.post("sign-in/email", &body).await
    }

    /// The mails that the person got, the newest last.
    ///
    /// # Panics
    /// Where the mailbox is no list.
    pub async fn mails(&self) -> Vec<Value> {
        let mails = send(self.system.request(Method::GET, "/dev/mailbox.json")).await.json();
        let to = self.email.to_lowercase();
        mails.as_array().expect("a list").iter().filter(|mail| mail["to"] == to.as_str()).cloned().collect()
    }

    async fn mailed(&self, is_wanted: impl Fn(&str) -> bool) -> String {
        let mails = self.mails().await;
        let lines = mails.iter().rev().flat_map(|mail| mail["text"].as_str().expect("a text").lines().map(str::trim));
        lines.into_iter().find(|line| is_wanted(line)).expect("it was mailed").to_owned()
    }

    /// The code that was mailed last.
    pub async fn mailed_code(&self) -> String {
        self.mailed(|line| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit())).await
    }

    /// The link that was mailed last.
    pub async fn mailed_link(&self) -> String {
        self.mailed(|line| line.starts_with("http")).await
    }

    /// The token in the link that was mailed last.
    ///
    /// # Panics
    /// Where there is none in it.
    pub async fn mailed_token(&self) -> String {
        let link = self.mailed_link().await;
        link.split_once("token=").expect("a token").1.split('&').next().unwrap_or_default().to_owned()
    }
}
