//! Mailed codes and links that verify an e-mail address.

use std::time::Duration;

use portcullis_auth::{Email, UserId};
use portcullis_crypto::{Digest, Randomness};
use portcullis_runtime::ApiError;
use portcullis_store::NewVerification;
use secrecy::zeroize::Zeroizing;
use url::Url;

use crate::{app::App, mails};

/// Purpose of links that verify an address.
pub(crate) const VERIFY: &str = "verify-email";

/// Life of a mailed code.
const CODE_LIFETIME: Duration = Duration::from_mins(mails::CODE_MINUTES);

/// Returns the digest under which an address's code is stored. An address has one code at a time.
pub(crate) fn code_id(email: &Email) -> Digest {
    Digest::of_parts(&[b"code", VERIFY.as_bytes(), email.as_str().as_bytes()])
}

/// Returns the keyed digest of a code. Without the key, all six-digit codes could be tried against the digest at once.
pub(crate) fn code_digest(app: &App, email: &Email, code: &str) -> Digest {
    app.secret.cached().keyed_digest("e-mail code", &[email.as_str().as_bytes(), code.as_bytes()])
}

/// Returns six digits, all values with equal probability.
fn six_digits(randomness: &dyn Randomness) -> Zeroizing<String> {
    loop {
        let mut bytes = [0; 4];
        randomness.fill(&mut bytes);
        let number = u32::from_be_bytes(bytes);
        // Rejection sampling: numbers above the last whole million would favour some codes.
        if number < u32::MAX - u32::MAX % 1_000_000 {
            return Zeroizing::new(format!("{:06}", number % 1_000_000));
        }
    }
}

/// Stores a new code for an address, which replaces the previous one.
pub(crate) async fn new_code(
    app: &App,
    user: &UserId,
    email: &Email,
    credential_revision: u64,
) -> Result<Zeroizing<String>, ApiError> {
    let code = six_digits(&*app.randomness);
    let new = NewVerification {
        id: code_id(email),
        code: Some(code_digest(app, email, &code)),
        user: user.clone(),
        email: email.clone(),
        credential_revision,
        lifetime: CODE_LIFETIME,
    };
    app.store.put_verification(&new).await?;
    Ok(code)
}

/// Mails a code and a link that verify an address.
pub(crate) async fn send(
    app: &App,
    user: &UserId,
    email: &Email,
    credential_revision: u64,
    callback: Option<&Url>,
) -> Result<(), ApiError> {
    let (token, id) = app.link_token(VERIFY);
    let link = NewVerification {
        id,
        code: None,
        user: user.clone(),
        email: email.clone(),
        credential_revision,
        lifetime: mails::LINK_LIFETIME,
    };
    let put_link = async { Ok::<_, ApiError>(app.store.put_verification(&link).await?) };
    let (code, ()) = tokio::try_join!(new_code(app, user, email, credential_revision), put_link)?;
    let callback = callback.unwrap_or_else(|| app.origins.web().url()).as_str();
    let url = app.own_url("/api/auth/verify-email", &[("token", &token), ("callbackURL", callback)])?;
    app.send(mails::verification(email.clone(), &code, url.as_str())).await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Listed(AtomicU32);

    impl Randomness for Listed {
        fn fill(&self, destination: &mut [u8]) {
            destination.copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        }
    }

    #[test]
    fn a_code_has_six_digits_and_the_last_part_of_the_range_is_drawn_again() {
        assert_eq!(*six_digits(&Listed(AtomicU32::new(7))), "000007");
        assert_eq!(*six_digits(&Listed(AtomicU32::new(4_293_966_999))), "966999");
        assert_eq!(*six_digits(&Listed(AtomicU32::new(u32::MAX))), "000000", "the draw after it");
    }
}
