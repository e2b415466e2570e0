//! What a function is started on.

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

/// What a function is started on: nothing that it uses is global.
#[derive(Clone)]
pub struct Platform {
    /// The settings by name.
    pub environment: BTreeMap<String, SecretString>,
    /// Where AWS is and who we are there.
    pub aws: SdkConfig,
    /// Where secrets are looked up.
    pub secrets: Arc<SecretSource>,
    /// The queue of accepted events; `None`: SQS, as `EVENT_QUEUE_URL` says.
    pub queue: Option<Arc<dyn EventQueue>>,
    /// Mailer; `None` selects SES with the sender `MAIL_FROM`.
    pub mailer: Option<Arc<dyn Mailer>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The random generator.
    pub randomness: Arc<dyn Randomness>,
    /// The counters.
    pub metrics: Metrics,
    /// A factor of every time-out: 1 but in tests that are not about time-outs, which must not fail on a busy machine.
    pub patience: u32,
    /// The same for a delivery to a pool alone, so that a test of a pool that hangs leaves all else unhurried.
    pub delivery_patience: u32,
}

impl Platform {
    /// The platform that Lambda gives, or `cargo lambda watch` in its place: this process's environment, and Secrets
    /// Manager where `SECRETS_PREFIX` is set. Starts the log.
    #[must_use]
    pub fn from_process() -> Self {
        let sink = Arc::new(StandardOutput);
        let environment = process_environment();
        let filter = environment.get("RUST_LOG").map(ExposeSecret::expose_secret);
        logging::start(Format::Json, sink.clone(), filter);
        logging::hide_panics();
        let aws = aws::config(&environment);
        let secrets = match environment.get(SECRETS_PREFIX) {
            Some(prefix) => SecretSource::secrets_manager(&aws, ExposeSecret::expose_secret(prefix)),
            None => SecretSource::Environment(environment.clone()),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let function = environment.get("AWS_LAMBDA_FUNCTION_NAME").map_or("-", ExposeSecret::expose_secret);
        let metrics = Metrics::new(function, Arc::clone(&clock), Some(sink));
        let randomness = Arc::new(SystemRandomness);
        Self {
            environment,
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

    /// Whether this runs on AWS, where secrets come from Secrets Manager and no pool lives on loopback.
    #[must_use]
    pub fn is_on_aws(&self) -> bool {
        self.environment.contains_key(SECRETS_PREFIX)
    }
}

const SECRETS_PREFIX: &str = "SECRETS_PREFIX";

/// Every variable of the process as a secret, since nobody knows which are, without the white space at its ends. A value that
/// is not UTF-8 is none of ours.
#[expect(clippy::disallowed_methods, reason = "this is where the environment that is passed on is read")]
fn process_environment() -> BTreeMap<String, SecretString> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            Some((name.into_string().ok()?, SecretString::from(value.into_string().ok()?.trim())))
        })
        .collect()
}
