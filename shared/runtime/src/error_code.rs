//! Error codes: a closed set that clients may rely on.

/// Defines the codes with their texts in responses.
macro_rules! codes {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// Code of an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("`", $text, "`")]
                $variant,
            )+
        }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the code's text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }
    };
}

codes! {
    BodyTooLarge = "body_too_large",
    BotNotFound = "bot_not_found",
    Conflict = "conflict",
    Forbidden = "forbidden",
    IncompleteBody = "incomplete_body",
    InternalError = "internal_error",
    InvalidSession = "invalid_session",
    InvalidState = "invalid_state",
    LibraryLimitExceeded = "library_limit_exceeded",
    MalformedForm = "malformed_form",
    MalformedJson = "malformed_json",
    MethodNotAllowed = "method_not_allowed",
    MissingChallenge = "missing_challenge",
    MissingOrigin = "missing_origin",
    NotAvailable = "not_available",
    NotConnected = "not_connected",
    NotFound = "not_found",
    PoolNotFound = "pool_not_found",
    Refused = "refused",
    ScopeLimitExceeded = "scope_limit_exceeded",
    SealedValueUnopened = "sealed_value_unopened",
    TooLarge = "too_large",
    ToolNotAllowed = "tool_not_allowed",
    Unauthorized = "unauthorized",
    Unavailable = "unavailable",
    UnsupportedMediaType = "unsupported_media_type",
    UpstreamFailed = "upstream_failed",
    ValidationFailed = "validation_failed",
    // Codes of better-auth, in its own form. Source: npm `better-auth` 1.7, `BASE_ERROR_CODES` and
    // `EMAIL_OTP_ERROR_CODES`.
    EmailCanNotBeUpdated = "EMAIL_CAN_NOT_BE_UPDATED",
    EmailNotVerified = "EMAIL_NOT_VERIFIED",
    InvalidCallbackUrl = "INVALID_CALLBACK_URL",
    InvalidEmail = "INVALID_EMAIL",
    InvalidEmailOrPassword = "INVALID_EMAIL_OR_PASSWORD",
    InvalidOrigin = "INVALID_ORIGIN",
    InvalidOtp = "INVALID_OTP",
    InvalidOtpType = "INVALID_OTP_TYPE",
    InvalidPassword = "INVALID_PASSWORD",
    InvalidRedirectUrl = "INVALID_REDIRECT_URL",
    InvalidToken = "INVALID_TOKEN",
    MissingOrNullOrigin = "MISSING_OR_NULL_ORIGIN",
    NoFieldsToUpdate = "NO_FIELDS_TO_UPDATE",
    OtpExpired = "OTP_EXPIRED",
    PasswordTooCommon = "PASSWORD_TOO_COMMON",
    PasswordTooLong = "PASSWORD_TOO_LONG",
    PasswordTooShort = "PASSWORD_TOO_SHORT",
    SessionExpired = "SESSION_EXPIRED",
    TooManyAttempts = "TOO_MANY_ATTEMPTS",
    TokenExpired = "TOKEN_EXPIRED",
    TooManyRequests = "TOO_MANY_REQUESTS",
}

impl ErrorCode {
    /// Returns whether better-auth's clients know the code; it is then written in capitals.
    #[must_use]
    pub fn is_of_accounts(self) -> bool {
        self.as_str().bytes().all(|byte| !byte.is_ascii_lowercase())
    }
}
