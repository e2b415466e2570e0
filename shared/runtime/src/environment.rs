//! The environment of a function: every dependency on the outside, passed in explicitly.

use std::{collections::BTreeMap, sync::Arc};

use aws_types::SdkConfig;
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    SystemClock, SystemRandomness, aws,
    logging::{self, Format, StandardOutput},
    mail::Mailer,
    metrics::Metrics,
    queue::EventQueue,
    secrets::SecretSource,
};

/// The dependencies that a function is started with. Nothing is read from globals.
#[derive(Clone)]
pub struct Environment {
    /// Settings by name.
    pub variables: BTreeMap<String, SecretString>,
    /// Configuration of the AWS clients: region, credentials and endpoints.
    pub aws: SdkConfig,
    /// Source of the secrets.
    pub secrets: Arc<SecretSource>,
    /// Queue of accepted events; `None` selects SQS at `EVENT_QUEUE_URL`.
    pub queue: Option<Arc<dyn EventQueue>>,
    /// Mailer; `None` selects SES with the sender `MAIL_FROM`.
    pub mailer: Option<Arc<dyn Mailer>>,
    /// Clock of all decisions.
    pub clock: Arc<dyn Clock>,
    /// Random generator of keys, nonces and ids.
    pub randomness: Arc<dyn Randomness>,
    /// Counters of the function.
    pub metrics: Metrics,
    /// Factor of every time-out. It is 1 except in tests that are not about time-outs, which must not fail on a busy
    /// machine.
    pub patience: u32,
    /// Factor of a delivery's time-outs alone: a test of a hanging pool keeps it at 1 and extends all others.
    pub delivery_patience: u32,
}

impl Environment {
    /// Creates the environment of a function on Lambda or under `cargo lambda watch`: this process's variables, and
    /// Secrets Manager if `SECRETS_PREFIX` is set. Starts the log.
    #[must_use]
    pub fn from_process() -> Self {
        let sink = Arc::new(StandardOutput);
        let variables = process_environment();
        let filter = variables.get("RUST_LOG").map(ExposeSecret::expose_secret);
        logging::start(Format::Json, sink.clone(), filter);
        logging::hide_panics();
        let aws = aws::config(&variables);
        let secrets = match variables.get(SECRETS_PREFIX) {
            Some(prefix) => SecretSource::secrets_manager(&aws, ExposeSecret::expose_secret(prefix)),
            None => SecretSource::Environment(variables.clone()),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let function = variables.get("AWS_LAMBDA_FUNCTION_NAME").map_or("-", ExposeSecret::expose_secret);
        let metrics = Metrics::new(function, Arc::clone(&clock), Some(sink));
        let randomness = Arc::new(SystemRandomness);
        Self {
            variables,
            aws,
            secrets: Arc::new(secrets),
            queue: None,
            mailer: None,
            clock,
            randomness,
            metrics,
            patience: 1,
            delivery_patience: 1,
        }
    }

    /// Returns whether this runs on AWS, where secrets come from Secrets Manager and loopback addresses of pools are
    /// refused.
    #[must_use]
    pub fn is_on_aws(&self) -> bool {
        self.variables.contains_key(SECRETS_PREFIX)
    }
}

const SECRETS_PREFIX: &str = "SECRETS_PREFIX";

/// Reads every variable of the process as a secret, since any may be one, without white space at its ends. Skips
/// values that are not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this is where the environment that is passed on is read")]
fn process_environment() -> BTreeMap<String, SecretString> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            Some((name.into_string().ok()?, SecretString::from(value.into_string().ok()?.trim())))
        })
        .collect()
}
