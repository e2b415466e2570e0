//! Password checks within the limits on tries.

use std::net::IpAddr;

use portcullis_auth::{Password, UserId, password::Verdict};
use portcullis_runtime::ApiError;
use portcullis_store::{Counted, Login, User};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    app::{App, SignInSubjects},
    error,
};

/// Checks the password of a signed-in person under the same throttle as a sign-in: otherwise a stolen session could
/// guess the password.
///
/// # Errors
/// 400 for a wrong password, 429 after too many.
pub(crate) async fn check(
    app: &App,
    user: &UserId,
    text: &SecretString,
    address: Option<IpAddr>,
) -> Result<(User, Login), ApiError> {
    let password = Password::presented(text.expose_secret()).map_err(error::refuse_password)?;
    let user = app.store.user(user).await?.ok_or_else(|| ApiError::unauthenticated("Unauthorized"))?;
    let subjects = SignInSubjects::new(&user.email, address);
    let attempt = app.store.begin_sign_in(&user.email, &[subjects.account.clone(), subjects.address.clone()]).await?;
    if let Some(wait) = attempt.wait {
        return Err(ApiError::too_many_requests(wait));
    }
    let login = attempt.login.filter(|login| login.user == user.id);
    let login = login.ok_or_else(|| ApiError::unauthenticated("Unauthorized"))?;
    match app.hasher.verify(login.password.clone(), password).await? {
        Verdict::Right | Verdict::Outdated => Ok((user, login)),
        Verdict::Wrong => Err(count_failure(app, &subjects).await?.unwrap_or_else(error::invalid_password)),
    }
}

/// Counts a failure for the account and for the client's address. Returns a 429 if either has used up its tries.
pub(crate) async fn count_failure(app: &App, subjects: &SignInSubjects) -> Result<Option<ApiError>, ApiError> {
    let counted =
        tokio::try_join!(app.store.record_failure(&subjects.account), app.store.record_failure(&subjects.address),);
    Ok(match counted? {
        (Counted::Locked(wait), Counted::Locked(other)) => Some(ApiError::too_many_requests(wait.max(other))),
        (Counted::Locked(wait), _) | (_, Counted::Locked(wait)) => Some(ApiError::too_many_requests(wait)),
        (Counted::Allowed, Counted::Allowed) => None,
    })
}
