//! Errors of the store, and the one place that decides which of them are transient.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Error,
    error::{ProvideErrorMetadata, SdkError},
    types::{AttributeValue, CancellationReason},
};
use portcullis_crypto::{Domain, KeyId, OpenError};

/// Reason why a call of the store failed.
///
/// No variant holds a stored value, another tenant's key or anything of a request's body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB could not be reached, was slow, throttled, or too many writers wanted the same rows. The same call may
    /// succeed later; a write may or may not have happened.
    #[error("DynamoDB is unavailable: {reason}")]
    Unavailable {
        /// DynamoDB's code, or the failure on the way to it.
        reason: String,
    },
    /// A sealed value did not open: cut, changed, moved, or sealed under a key that the keyring does not hold.
    #[error("a sealed value of table {table} did not open: {reason}")]
    Unopened {
        /// The table's logical name.
        table: &'static str,
        /// Key that the value's header names, if any.
        key_id: Option<KeyId>,
        /// Cause of the failure.
        reason: OpenError,
    },
    /// The keys of this domain are not held here: the function was given another function's work.
    #[error("the keys of {domain} are not held here")]
    NoKeys {
        /// Domain of the keys.
        domain: Domain,
    },
    /// A row does not have this version's layout.
    #[error("a row of table {table} is malformed at attribute {attribute}")]
    Malformed {
        /// The table's logical name.
        table: &'static str,
        /// Attribute that is missing, of another type, or out of range.
        attribute: &'static str,
    },
    /// DynamoDB refused the call, and would refuse it again: a permission or a table is missing, or the call is wrong.
    #[error("DynamoDB refused: {code}")]
    Refused {
        /// DynamoDB's code.
        code: String,
    },
}

impl StoreError {
    /// Returns whether the error is permanent: DynamoDB rejects the request itself, such as a key or an item that is
    /// too long. A missing permission or table, which an operator can fix, is not final.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused { code } if code == "ValidationException" || code == "ConstructionFailure")
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }
}

/// Outcome of one condition of a refused call.
#[derive(Debug)]
pub(crate) enum Condition {
    /// The condition held, or was not the one that failed.
    Held,
    /// The condition failed on this row; `None` where the row is absent or was not requested.
    Failed(Option<HashMap<String, AttributeValue>>),
}

/// Reason why a call failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// A condition did not hold: one entry for each action of a transaction, in order, or one for a lone write.
    Conditions(Vec<Condition>),
    /// Any other failure.
    Store(StoreError),
}

impl From<CallError> for StoreError {
    // Only for calls without a condition.
    fn from(error: CallError) -> Self {
        match error {
            CallError::Conditions(_) => Self::Refused { code: "ConditionalCheckFailedException".to_owned() },
            CallError::Store(error) => error,
        }
    }
}

/// Outcome of one failed attempt, as the store's retry loop sees it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Write conflict or a throttled transaction. The SDK does not retry these; the store does.
    Contended(&'static str),
    /// Not retried.
    Final(CallError),
}

/// Transient error codes. The SDK has exhausted its own retries by the time the store sees one.
const TRANSIENT: &[&str] = &[
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "ReplicatedWriteConflictException",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// Classifies a failed attempt: the one place that decides which errors are transient.
pub(crate) fn classify<E, R>(error: SdkError<E, R>) -> Failure
where
    SdkError<E, R>: Into<Error>,
    R: HttpStatus,
{
    let reason = match &error {
        SdkError::TimeoutError(_) => "timed out",
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "timed out",
        SdkError::DispatchFailure(_) => "connection failed",
        SdkError::ResponseError(_) => "answer not understood",
        SdkError::ServiceError(context) if context.raw().is_server_error() => {
            let error: Error = error.into();
            // The service's own message, such as one about a full disk. It holds nothing of a row.
            let words = error.message().map(|words| format!("server error: {words}"));
            return Failure::Final(CallError::Store(StoreError::unavailable(
                words.unwrap_or("server error".to_owned()),
            )));
        }
        SdkError::ServiceError(_) => return classify_answer(error.into()),
        _ => return refused("ConstructionFailure"),
    };
    Failure::Final(CallError::Store(StoreError::unavailable(reason)))
}

fn classify_answer(error: Error) -> Failure {
    match error {
        Error::ConditionalCheckFailedException(failed) => {
            Failure::Final(CallError::Conditions(vec![Condition::Failed(failed.item)]))
        }
        Error::TransactionCanceledException(cancelled) => {
            classify_cancellation(cancelled.cancellation_reasons.unwrap_or_default())
        }
        // Matched by code: the SDK has a type for these only where its model of the operation names them.
        error => match error.code() {
            Some("TransactionConflictException") => Failure::Contended("TransactionConflictException"),
            Some("TransactionInProgressException") => Failure::Contended("TransactionInProgressException"),
            Some(code) if !TRANSIENT.contains(&code) => refused(code),
            // An answer without a code comes from something between us and DynamoDB.
            code => Failure::Final(CallError::Store(StoreError::unavailable(code.unwrap_or("answer not understood")))),
        },
    }
}

/// A failed condition is final: it decides, whatever became of the transaction's other actions.
fn classify_cancellation(reasons: Vec<CancellationReason>) -> Failure {
    let has = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
    if has("ConditionalCheckFailed") {
        let condition = |reason: CancellationReason| match reason.code.as_deref() {
            Some("ConditionalCheckFailed") => Condition::Failed(reason.item),
            _ => Condition::Held,
        };
        return Failure::Final(CallError::Conditions(reasons.into_iter().map(condition).collect()));
    }
    let contended = ["TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"];
    if let Some(code) = contended.into_iter().find(|code| has(code)) {
        return Failure::Contended(code);
    }
    let code = reasons.iter().filter_map(CancellationReason::code).find(|code| *code != "None");
    refused(code.unwrap_or("TransactionCanceledException"))
}

fn refused(code: &str) -> Failure {
    Failure::Final(CallError::Store(StoreError::Refused { code: code.to_owned() }))
}

/// Part of an HTTP answer that the classification needs.
pub(crate) trait HttpStatus {
    fn is_server_error(&self) -> bool;
}

impl HttpStatus for aws_sdk_dynamodb::config::http::HttpResponse {
    fn is_server_error(&self) -> bool {
        self.status().is_server_error()
    }
}
