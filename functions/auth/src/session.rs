//! Sessions: signing in and out, and the list of signed-in browsers.

pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod revoke;
pub(crate) mod sign_in;
pub(crate) mod sign_out;

use portcullis_auth::{SessionToken, UserId};
use portcullis_runtime::tier::Browser;
use portcullis_store::{NewAuthSession, SESSION_LIFETIME};
use secrecy::zeroize::Zeroizing;

use crate::App;

/// A session for this browser, with a token that is new at each sign-in: one that was planted in the browser before is worth
/// nothing afterwards.
pub(crate) fn new(app: &App, user: &UserId, browser: &Browser, is_remembered: bool) -> (SessionToken, NewAuthSession) {
    let token = SessionToken::generate(&*app.randomness);
    let session = NewAuthSession {
        id: token.id(),
        user: user.clone(),
        is_remembered,
        ip_address: browser.address.map(|address| address.to_string()),
        user_agent: browser.user_agent.clone(),
    };
    (token, session)
}

/// `set-cookie` that gives the browser a token.
pub(crate) fn cookie(app: &App, token: &SessionToken, is_remembered: bool) -> Zeroizing<String> {
    let maximum_age = u32::try_from(SESSION_LIFETIME.as_secs()).ok().filter(|_| is_remembered);
    app.cookie.issue(token, &app.secret.get(), maximum_age)
}
