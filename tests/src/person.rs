//! A person with a browser and a mailbox.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{Answer, System, send};

/// A person with a browser, signed in or not.
#[derive(Clone)]
pub struct Person<'a> {
    system: &'a System,
    /// E-mail address, spelled as the person types it.
    pub email: String,
    cookie: Option<String>,
}

impl<'a> Person<'a> {
    /// A person without an account.
    #[must_use]
    pub fn new(system: &'a System, email: &str) -> Self {
        Self { system, email: email.to_owned(), cookie: None }
    }

    /// Signs up, verifies the address and signs in.
    pub async fn registered(self, password: &str) -> Self {
        self.sign_up(password).await;
        self.verified(password).await
    }

    /// Verifies the address with the last mailed code and signs in.
    ///
    /// # Panics
    /// If the sign-in fails.
    pub async fn verified(self, password: &str) -> Self {
        let body = json!({ "email": self.email, "otp": self.mailed_code().await });
        let verified = self.post("email-otp/verify-email", &body).await;
        assert_eq!(verified.status, 200, "{verified:?}");
        self.signed_in(password).await
    }

    /// Signs in.
    ///
    /// # Panics
    /// If the sign-in fails.
    pub async fn signed_in(self, password: &str) -> Self {
        let signed_in = self.sign_in(password).await;
        assert_eq!(signed_in.status, 200, "{signed_in:?}");
        self.with_cookie_of(&signed_in)
    }

    /// The person with the cookie that an answer set.
    ///
    /// # Panics
    /// If the answer set no cookie.
    #[must_use]
    pub fn with_cookie_of(mut self, answer: &Answer) -> Self {
        let pair = answer.header("set-cookie").split(';').next().filter(|pair| !pair.is_empty());
        self.cookie = Some(pair.expect("a cookie").to_owned());
        self
    }

    /// The browser's session cookie.
    ///
    /// # Panics
    /// If the browser has no cookie.
    #[must_use]
    pub fn cookie(&self) -> String {
        self.cookie.clone().expect("signed in")
    }

    /// A request from a page of the front end, with the browser's cookie.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.system.request(method, path).header("origin", self.system.stack.base_url());
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    /// Sends `POST /api/auth/{path}`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, &format!("/api/auth/{path}")).json(body)).await
    }

    /// Sends `GET /api/auth/{path}`.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, &format!("/api/auth/{path}"))).await
    }

    /// Sends a request to `/v1{path}`; a null `body` sends none.
    pub async fn v1(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, &format!("/v1{path}"));
        send(if body.is_null() { request } else { request.json(&body) }).await
    }

    /// Id of the account.
    ///
    /// # Panics
    /// If the person is not signed in.
    pub async fn id(&self) -> String {
        self.get("get-session").await.json()["user"]["id"].as_str().expect("signed in").to_owned()
    }

    /// Signs up with the name Ada.
    pub async fn sign_up(&self, password: &str) -> Answer {
        self.post("sign-up/email", &json!({ "name": "Ada", "email": self.email, "password": password })).await
    }

    /// Tries to sign in from a browser without a cookie.
    pub async fn sign_in(&self, password: &str) -> Answer {
        let body = json!({ "email": self.email, "password": password });
        let other = Self { cookie: None, ..self.clone() };
        other.post("sign-in/email", &body).await
    }

    /// Mails sent to the person, newest last.
    ///
    /// # Panics
    /// If the mailbox is not a list.
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

    /// Code in the newest mail that has one.
    pub async fn mailed_code(&self) -> String {
        self.mailed(|line| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit())).await
    }

    /// Link in the newest mail that has one.
    pub async fn mailed_link(&self) -> String {
        self.mailed(|line| line.starts_with("http")).await
    }

    /// Token in the newest mailed link.
    ///
    /// # Panics
    /// If the link has no token.
    pub async fn mailed_token(&self) -> String {
        let link = self.mailed_link().await;
        link.split_once("token=").expect("a token").1.split('&').next().unwrap_or_default().to_owned()
    }
}
