//! The `OpenClaw` version that a pool reports, and the configuration dialect that follows from it.

use portcullis_openclaw::{Dialect, OpenClawVersion};
use portcullis_runtime::ApiError;
use portcullis_store::{OpenClawReport, Pool, StoreError, Table};
use serde::{Deserialize, Deserializer, de};

/// Deserializes an optional version; `""` counts as absent.
///
/// # Errors
/// The deserializer's, with the expected form of a version.
pub fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OpenClawVersion>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(|text| text.try_into().map_err(de::Error::custom)).transpose()
}

/// Converts a version to the report that the store keeps.
pub fn report(version: OpenClawVersion) -> OpenClawReport {
    let dialect = Dialect::of(Some(&version));
    OpenClawReport {
        version: version.into(),
        dialect: dialect.name(),
        is_default_dialect: dialect == Dialect::of(None),
    }
}

/// Returns the dialect of the pool's configuration.
///
/// # Errors
/// 500 if the stored version is malformed.
pub fn dialect_of(pool: &Pool) -> Result<Dialect, ApiError> {
    let version = pool.openclaw_version.as_deref().map(str::parse).transpose();
    let malformed = StoreError::Malformed { table: Table::Pools.name(), attribute: "openclawVersion" };
    Ok(Dialect::of(version.map_err(|_| malformed)?.as_ref()))
}
