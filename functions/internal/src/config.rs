//! A pool's configuration: loaded or built, filled with credentials, and sent.
//!
//! [`load_or_build`] finds the newest snapshot or builds one, [`resolve`] replaces a snapshot's references by
//! credentials, and [`translate`] converts the store's rows to the builder's records.

mod answer;
pub mod latest;
mod load_or_build;
pub mod openclaw_json;
mod resolve;
mod translate;
pub mod version;

use std::collections::BTreeMap;

use portcullis_openclaw::{Configuration, Reference};
use portcullis_runtime::ApiError;
use portcullis_store::{PoolConfiguration, SecretName, Snapshot};
use secrecy::SecretString;

/// A config snapshot with the pool row that it was read beside.
struct PoolSnapshot {
    /// The pool's row.
    read: PoolConfiguration,
    /// One version of the configuration, with references instead of credentials.
    snapshot: Snapshot,
    /// The snapshot's content.
    configuration: Configuration,
    /// Credentials and secrets, if the build has read them already.
    credentials: Option<ResolvedCredentials>,
}

/// Credentials by reference, and the pool's secrets that are sent beside the configuration.
struct ResolvedCredentials {
    by_reference: BTreeMap<Reference, SecretString>,
    secrets: BTreeMap<SecretName, SecretString>,
}

/// Decodes a snapshot's content.
///
/// # Errors
/// 500 if it cannot be decoded.
fn decode(snapshot: &Snapshot) -> Result<Configuration, ApiError> {
    Configuration::from_bytes(&snapshot.config).map_err(|error| ApiError::internal(error.to_string()))
}
