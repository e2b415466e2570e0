//! Errors with better-auth's codes and messages.
//!
//! Source: npm `better-auth` 1.7, `BASE_ERROR_CODES` and `EMAIL_OTP_ERROR_CODES`.

use portcullis_auth::PasswordError;
use portcullis_runtime::{ApiError, ErrorCode};
use portcullis_store::{UserError, VerificationError};

/// Returns a 400 for a text that is not an e-mail address.
pub(crate) fn invalid_email() -> ApiError {
    ApiError::bad_request(ErrorCode::InvalidEmail, "Invalid email")
}

/// Returns a 400 for a password that breaks the rules.
pub(crate) fn refuse_password(error: PasswordError) -> ApiError {
    match error {
        PasswordError::TooShort => ApiError::bad_request(ErrorCode::PasswordTooShort, "Password too short"),
        PasswordError::TooLong => ApiError::bad_request(ErrorCode::PasswordTooLong, "Password too long"),
        PasswordError::Common => ApiError::bad_request(
            ErrorCode::PasswordTooCommon,
            "This password is one of the most common ones; choose another",
        ),
    }
}

/// Returns a 400 for a wrong password.
pub(crate) fn invalid_password() -> ApiError {
    ApiError::bad_request(ErrorCode::InvalidPassword, "Invalid password")
}

/// Returns a 401 for a failed sign-in. It is the same for every reason, so that it does not reveal which addresses
/// have accounts.
pub(crate) fn invalid_email_or_password() -> ApiError {
    ApiError::unauthenticated_as(ErrorCode::InvalidEmailOrPassword, "Invalid email or password")
}

/// Returns a 403 for a callback URL whose origin is not trusted.
pub(crate) fn invalid_callback_url() -> ApiError {
    ApiError::forbidden_as(ErrorCode::InvalidCallbackUrl, "Invalid callbackURL")
}

/// Returns a 401 for an account that no longer exists.
pub(crate) fn refuse_user(error: UserError) -> ApiError {
    match error {
        UserError::NotFound => ApiError::unauthenticated("Unauthorized"),
        UserError::Store(error) => error.into(),
    }
}

/// Converts the refusal of a mailed code.
pub(crate) fn refuse_code(error: VerificationError) -> ApiError {
    match error {
        VerificationError::Invalid => ApiError::bad_request(ErrorCode::InvalidOtp, "Invalid OTP"),
        VerificationError::Expired => ApiError::bad_request(ErrorCode::OtpExpired, "OTP expired"),
        VerificationError::TooManyTries => ApiError::forbidden_as(ErrorCode::TooManyAttempts, "Too many attempts"),
        VerificationError::Store(error) => error.into(),
    }
}
