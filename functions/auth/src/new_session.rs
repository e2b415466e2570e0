//! Start of a session: its token, its row and its cookie.

use portcullis_auth::{SessionToken, UserId};
use portcullis_runtime::tier::Browser;
use portcullis_store::{NewAuthSession, SESSION_LIFETIME};
use secrecy::zeroize::Zeroizing;

use crate::app::App;

/// Creates a session for this browser with a new token: a token planted in the browser before the sign-in never
/// authenticates (session fixation).
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

/// Returns the `set-cookie` value that gives the browser a token.
pub(crate) fn cookie(app: &App, token: &SessionToken, is_remembered: bool) -> Zeroizing<String> {
    let maximum_age = u32::try_from(SESSION_LIFETIME.as_secs()).ok().filter(|_| is_remembered);
    app.cookie.issue(token, &app.secret.cached(), maximum_age)
}
