//! Errors in better-auth's codes and words.
//!
//! Source: npm `better-auth` 1.7, `BASE_ERROR_CODES` and `EMAIL_OTP_ERROR_CODES`.

use portcullis_auth::PasswordError;
use portcullis_runtime::{ApiError, ErrorCode};
use portcullis_store::{UserError, VerificationError};

/// 400 for a text that is no e-mail address.
pub(crate) fn invalid_email() -> ApiError {
    ApiError::bad_request(ErrorCode::InvalidEmail, "Invalid email")
}

/// 400 for a password that is not taken.
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

/// 400 for another password than the account's.
pub(crate) fn invalid_password() -> ApiError {
    ApiError::bad_request(ErrorCode::InvalidPassword, "Invalid password")
}

/// 401 for any reason that a sign-in fails for: which one is not told.
pub(crate) fn invalid_email_or_password() -> ApiError {
    ApiError::unauthenticated_as(ErrorCode::InvalidEmailOrPassword, "Invalid email or password")
}

/// 403 for an address that a browser must not be sent to.
pub(crate) fn invalid_callback_url() -> ApiError {
    ApiError::forbidden_as(ErrorCode::InvalidCallbackUrl, "Invalid callbackURL")
}

/// 401 for an account that is gone.
pub(crate) fn refuse_user(error: UserError) -> ApiError {
    match error {
        UserError::NotFound => ApiError::unauthenticated("Unauthorized"),
        UserError::Store(error) => error.into(),
    }
}

/// Refusal of a mailed code.
pub(crate) fn refuse_code(error: VerificationError) -> ApiError {
    match error {
        VerificationError::Invalid => ApiError::bad_request(ErrorCode::InvalidOtp, "Invalid OTP"),
        VerificationError::Expired => ApiError::bad_request(ErrorCode::OtpExpired, "OTP expired"),
        VerificationError::TooManyTries => ApiError::forbidden_as(ErrorCode::TooManyAttempts, "Too many attempts"),
        VerificationError::Store(error) => error.into(),
    }
}
