//! Codes and tokens that the stand-in has issued.
//!
//! Source: Slack, "Installing with OAuth" and "Using token rotation".

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Lifetime of a rotating token.
pub(super) const LIFE: SignedDuration = SignedDuration::from_hours(12);

/// Uses of a refresh token: Slack accepts one again if its answer was lost.
const REFRESHES: u32 = 2;

/// Valid codes, bot tokens and refresh tokens.
#[derive(Default)]
pub(super) struct Tokens {
    codes: Vec<Code>,
    given: Vec<Token>,
    replacing: Vec<RefreshToken>,
}

/// A code that was not exchanged yet.
struct Code {
    text: String,
    rotates: bool,
}

/// A bot token.
struct Token {
    text: String,
    ends_at: Option<Timestamp>,
}

/// A refresh token, and its remaining uses.
struct RefreshToken {
    text: String,
    left: u32,
}

/// Validity of a token.
pub(super) enum Standing {
    Good,
    Expired,
    Unknown,
}

impl Tokens {
    /// Returns whether no bot token was issued, that is, the app is not installed.
    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// Records a code, and whether its token will rotate.
    pub(super) fn give_code(&mut self, text: &str, rotates: bool) {
        self.codes.push(Code { text: text.to_owned(), rotates });
    }

    pub(super) fn standing(&self, text: &str, now: Timestamp) -> Standing {
        match self.given.iter().find(|token| token.text == text) {
            None => Standing::Unknown,
            Some(token) if token.ends_at.is_some_and(|ends_at| ends_at <= now) => Standing::Expired,
            Some(_) => Standing::Good,
        }
    }

    /// Exchanges a code for a bot token; returns the answer's fields with the token. `random` is a unique text.
    pub(super) fn exchange(&mut self, code: &str, random: &str, now: Timestamp) -> Option<Value> {
        let index = self.codes.iter().position(|known| known.text == code)?;
        let Code { rotates, .. } = self.codes.remove(index);
        if rotates {
            return Some(self.rotating(random, now));
        }
        let text = format!("xoxb-dev-{random}");
        self.given.push(Token { text: text.clone(), ends_at: None });
        Some(json!({ "access_token": text }))
    }

    /// Exchanges a refresh token; returns the answer's fields with the next token.
    pub(super) fn refresh(&mut self, refresh_token: &str, random: &str, now: Timestamp) -> Option<Value> {
        let known = self.replacing.iter_mut().find(|known| known.text == refresh_token && known.left > 0)?;
        known.left -= 1;
        Some(self.rotating(random, now))
    }

    fn rotating(&mut self, random: &str, now: Timestamp) -> Value {
        let (text, refresh_token) = (format!("xoxe.xoxb-dev-{random}"), format!("xoxe-dev-{random}"));
        self.given.push(Token { text: text.clone(), ends_at: now.saturating_add(LIFE).ok() });
        self.replacing.push(RefreshToken { text: refresh_token.clone(), left: REFRESHES });
        json!({ "access_token": text, "refresh_token": refresh_token, "expires_in": LIFE.as_secs() })
    }
}
