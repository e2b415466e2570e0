//! A pool's configuration: loaded or built, resolved to credentials, answered.
//!
//! [`load_or_build`] finds the newest snapshot or builds it, [`resolve`] puts credentials in the places of their references, and
//! [`translate`] turns rows of the store into records that a configuration is built from.

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

/// A snapshot of a pool's configuration, with the pool's row that it was read beside.
struct PoolSnapshot {
    /// The pool's row.
    read: PoolConfiguration,
    /// One version of the configuration, with references in the places of credentials.
    snapshot: Snapshot,
    /// The snapshot's content.
    configuration: Configuration,
    /// Credentials and secrets, where they were read already.
    credentials: Option<ResolvedCredentials>,
}

/// Credentials by reference, and the pool's secrets that are answered beside the configuration.
struct ResolvedCredentials {
    by_reference: BTreeMap<Reference, SecretString>,
    secrets: BTreeMap<SecretName, SecretString>,
}

/// Decodes a snapshot's content.
///
/// # Errors
/// 500 where it cannot be decoded.
fn decode(snapshot: &Snapshot) -> Result<Configuration, ApiError> {
    Configuration::from_bytes(&snapshot.config).map_err(|error| ApiError::internal(error.to_string()))
}
