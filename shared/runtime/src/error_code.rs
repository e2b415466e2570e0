//! Codes of errors: a closed set that clients rely on.

use portcullis_contract::words;

words! {
    /// Code of an error, for programs. Codes in capitals are those of better-auth's clients.
    pub enum ErrorCode {
        /// The body is larger than the endpoint takes.
        BodyTooLarge = "body_too_large",
        /// The bot of the request is unknown, or not the caller's.
        BotNotFound = "bot_not_found",
        /// Another resource has the requested value.
        Conflict = "conflict",
        /// The credential does not allow this.
        Forbidden = "forbidden",
        /// The connection ended before the body did.
        IncompleteBody = "incomplete_body",
        /// The server failed.
        InternalError = "internal_error",
        /// The session that the request selects is unknown or ambiguous.
        InvalidSession = "invalid_session",
        /// The state of a connection is unknown, used or expired.
        InvalidState = "invalid_state",
        /// The library would be larger than pools can copy.
        LibraryLimitExceeded = "library_limit_exceeded",
        /// The body is not the form that the endpoint takes.
        MalformedForm = "malformed_form",
        /// The body is not the JSON that the endpoint takes.
        MalformedJson = "malformed_json",
        /// The path does not have this method.
        MethodNotAllowed = "method_not_allowed",
        /// A URL verification has no challenge.
        MissingChallenge = "missing_challenge",
        /// An event names neither its team nor its app.
        MissingOrigin = "missing_origin",
        /// This server does not offer the feature.
        NotAvailable = "not_available",
        /// The person has not connected the account.
        NotConnected = "not_connected",
        /// The resource is unknown, or not the caller's.
        NotFound = "not_found",
        /// The pool of the request is unknown.
        PoolNotFound = "pool_not_found",
        /// The server refused the request before it reached an endpoint.
        Refused = "refused",
        /// The scope would hold more secrets than it may.
        ScopeLimitExceeded = "scope_limit_exceeded",
        /// A stored value does not open with the keys that the server has.
        SealedValueUnopened = "sealed_value_unopened",
        /// The content is larger than is stored.
        TooLarge = "too_large",
        /// The operator does not allow the action.
        ToolNotAllowed = "tool_not_allowed",
        /// The credential is missing, or is not accepted here.
        Unauthorized = "unauthorized",
        /// A dependency did not answer: try again.
        Unavailable = "unavailable",
        /// The body is not of the media type that the endpoint takes.
        UnsupportedMediaType = "unsupported_media_type",
        /// A service that the server calls failed.
        UpstreamFailed = "upstream_failed",
        /// A field has an invalid value; `fields` names it.
        ValidationFailed = "validation_failed",
        /// The e-mail address of an account cannot be changed. This and the next ones are better-auth's. Source: npm `better-auth`
        /// 1.7, `BASE_ERROR_CODES` and `EMAIL_OTP_ERROR_CODES`.
        EmailCanNotBeUpdated = "EMAIL_CAN_NOT_BE_UPDATED",
        /// The e-mail address is not verified yet.
        EmailNotVerified = "EMAIL_NOT_VERIFIED",
        /// The callback URL is not trusted.
        InvalidCallbackUrl = "INVALID_CALLBACK_URL",
        /// The e-mail address is malformed.
        InvalidEmail = "INVALID_EMAIL",
        /// The e-mail address or the password is wrong.
        InvalidEmailOrPassword = "INVALID_EMAIL_OR_PASSWORD",
        /// The request comes from an origin that is not trusted.
        InvalidOrigin = "INVALID_ORIGIN",
        /// The code is wrong.
        InvalidOtp = "INVALID_OTP",
        /// The code is of an unknown type.
        InvalidOtpType = "INVALID_OTP_TYPE",
        /// The password is wrong.
        InvalidPassword = "INVALID_PASSWORD",
        /// The redirect URL is not trusted.
        InvalidRedirectUrl = "INVALID_REDIRECT_URL",
        /// The token of a link is unknown or used.
        InvalidToken = "INVALID_TOKEN",
        /// The request has no origin.
        MissingOrNullOrigin = "MISSING_OR_NULL_ORIGIN",
        /// The request changes nothing.
        NoFieldsToUpdate = "NO_FIELDS_TO_UPDATE",
        /// The code has expired.
        OtpExpired = "OTP_EXPIRED",
        /// The password is among the most common ones.
        PasswordTooCommon = "PASSWORD_TOO_COMMON",
        /// The password is too long.
        PasswordTooLong = "PASSWORD_TOO_LONG",
        /// The password is too short.
        PasswordTooShort = "PASSWORD_TOO_SHORT",
        /// The session is too old for this: sign in again.
        SessionExpired = "SESSION_EXPIRED",
        /// The code was tried too often.
        TooManyAttempts = "TOO_MANY_ATTEMPTS",
        /// The link has expired.
        TokenExpired = "TOKEN_EXPIRED",
        /// The caller made too many requests: wait.
        TooManyRequests = "TOO_MANY_REQUESTS",
    }
}

impl ErrorCode {
    /// Returns whether better-auth's clients know the code; it is then written in capitals.
    #[must_use]
    pub fn is_of_accounts(self) -> bool {
        self.as_str().bytes().all(|byte| !byte.is_ascii_lowercase())
    }
}
