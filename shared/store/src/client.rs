//! The DynamoDB client and its time-outs.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    config::{StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
};
use aws_types::SdkConfig;

/// Time-out of opening a connection. Within a region it takes milliseconds: past this, another address is a better bet
/// than more patience.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time-out of one attempt, its answer's last byte included. DynamoDB answers within tens of milliseconds; a slower
/// answer is lost.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time-out of an operation with all of its attempts, those after a transaction's conflict included. It leaves a caller
/// behind API Gateway time to answer 503.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts of an operation on a transient failure. Two attempts that time out and their waits fit under
/// [`OPERATION_TIMEOUT`]; throttling, answered at once, gets all four.
pub const MAXIMUM_ATTEMPTS: u32 = 4;

/// Longest wait before the second attempt. It doubles from there, and each wait is drawn between zero and it. The SDK's
/// own second would be most of the operation's time.
pub const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

/// Longest wait between two attempts.
pub const MAXIMUM_BACKOFF: Duration = Duration::from_secs(1);

/// The client's limits. The default is production's; tests of faults use shorter ones.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// See [`CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// See [`ATTEMPT_TIMEOUT`].
    pub attempt_timeout: Duration,
    /// See [`OPERATION_TIMEOUT`].
    pub operation_timeout: Duration,
    /// See [`MAXIMUM_ATTEMPTS`].
    pub maximum_attempts: u32,
    /// See [`INITIAL_BACKOFF`].
    pub initial_backoff: Duration,
}

impl ClientOptions {
    /// Production's limits, with each time-out multiplied by `patience`.
    #[must_use]
    pub fn with_patience(patience: u32) -> Self {
        let production = Self::default();
        Self {
            connect_timeout: production.connect_timeout * patience,
            attempt_timeout: production.attempt_timeout * patience,
            operation_timeout: production.operation_timeout * patience,
            ..production
        }
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            attempt_timeout: ATTEMPT_TIMEOUT,
            operation_timeout: OPERATION_TIMEOUT,
            maximum_attempts: MAXIMUM_ATTEMPTS,
            initial_backoff: INITIAL_BACKOFF,
        }
    }
}

/// Builds the client with production's limits.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    client_with(config, &ClientOptions::default())
}

/// Builds a client with other limits.
#[must_use]
pub fn client_with(config: &SdkConfig, options: &ClientOptions) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(options.connect_timeout)
        .operation_attempt_timeout(options.attempt_timeout)
        .operation_timeout(options.operation_timeout)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(options.maximum_attempts)
        .with_initial_backoff(options.initial_backoff)
        .with_max_backoff(MAXIMUM_BACKOFF);
    let config = aws_sdk_dynamodb::config::Builder::from(config)
        .timeout_config(timeouts)
        .retry_config(retries)
        // Redundant: it detects a body that stalls past a grace of several seconds, but the attempt's own time-out is
        // shorter.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    Client::from_conf(config)
}
