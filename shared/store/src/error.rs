//! What can go wrong with the store, and the one place that decides what may pass.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Error,
    error::{ProvideErrorMetadata, SdkError},
    types::{AttributeValue, CancellationReason},
};
use portcullis_crypto::{Domain, KeyId, OpenError};

/// Why the store did not do what it was asked.
///
/// No variant holds a stored value, another tenant's key or anything of a request's body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB could not be reached, was slow, throttled, or too many writers wanted the same rows. The same call may
    /// succeed later; a write may or may not have happened.
    #[error("DynamoDB is unavailable: {reason}")]
    Unavailable {
        /// DynamoDB's code, or what happened on the way to it.
        reason: String,
    },
    /// A sealed value did not open: cut, changed, moved, or sealed under a key that the keyring does not hold.
    #[error("a sealed value of table {table} did not open: {reason}")]
    Unopened {
        /// The table's logical name.
        table: &'static str,
        /// The key that the value's header names, where it has one.
        key_id: Option<KeyId>,
        /// Why it did not open.
        reason: OpenError,
    },
    /// The keys of this domain are not held here: a function was given work that is another's.
    #[error("the keys of {domain} are not held here")]
    NoKeys {
        /// The domain.
        domain: Domain,
    },
    /// A row is not as this version writes it.
    #[error("a row of table {table} is malformed at attribute {attribute}")]
    Malformed {
        /// The table's logical name.
        table: &'static str,
        /// The attribute that is missing, of another type, or of a value that cannot be.
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
    /// Whether the same call would be refused again whatever anybody does: DynamoDB does not take what it was sent, such as
    /// a key or an item that is too long. A missing permission or table, which an operator can mend, is not final.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused { code } if code == "ValidationException" || code == "ConstructionFailure")
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }
}

/// What became of one condition of a call that was refused for its conditions.
#[derive(Debug)]
pub(crate) enum Condition {
    /// It held, or was not the one to fail.
    Held,
    /// It failed on this row; `None` where there is no row, or it was not asked for.
    Failed(Option<HashMap<String, AttributeValue>>),
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// A condition did not hold: one entry for each action of a transaction, in order, or one for a lone write.
    Conditions(Vec<Condition>),
    /// Anything else.
    Store(StoreError),
}

impl From<CallError> for StoreError {
    // For calls that have no condition.
    fn from(error: CallError) -> Self {
        match error {
            CallError::Conditions(_) => Self::Refused { code: "ConditionalCheckFailedException".to_owned() },
            CallError::Store(error) => error,
        }
    }
}

/// What one attempt came to, as seen from the store's own loop.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Other writers were at the same rows, or a transaction was throttled: the SDK does not try these again, the store
    /// does.
    Contended(&'static str),
    /// Final.
    Final(CallError),
}

/// Codes of answers that may be another one later; what the SDK tries again, it has tried again by now.
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

/// Decides what a failed attempt means: the one place that tells what may pass from what will not.
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
            // The service's own words, such as those of a full disk. They hold nothing of a row.
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
        // By code: the SDK has a type for these only where its model of the operation names them.
        error => match error.code() {
            Some("TransactionConflictException") => Failure::Contended("TransactionConflictException"),
            Some("TransactionInProgressException") => Failure::Contended("TransactionInProgressException"),
            Some(code) if !TRANSIENT.contains(&code) => refused(code),
            // An answer without a code is not DynamoDB's, but of something on the way to it.
            code => Failure::Final(CallError::Store(StoreError::unavailable(code.unwrap_or("answer not understood")))),
        },
    }
}

/// A condition that failed has decided, whatever became of the transaction's other actions.
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

/// The part of an HTTP answer that the classification looks at.
pub(crate) trait HttpStatus {
    fn is_server_error(&self) -> bool;
}

impl HttpStatus for aws_sdk_dynamodb::config::http::HttpResponse {
    fn is_server_error(&self) -> bool {
        self.status().is_server_error()
    }
}
