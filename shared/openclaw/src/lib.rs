//! Builds a pool's `openclaw.json` from its records. Pure: no clock, no randomness, no I/O.
//!
//! [`build`] makes a [`Configuration`], in whose credentials' places stand [`Reference`]s: that is what is stored and
//! hashed. [`Configuration::fill`] puts the credentials in when a pool reads it. What comes out is valid for the `OpenClaw`
//! versions of its [`Dialect`]; the schema of 2026.9.6 lies beside the tests.
//!
//! [`FilePath`] is where the files of a skill may lie: what the API takes, and what a pool's machine writes.
//!
//! `OpenClaw` expands `${NAME}` in each value of its configuration from its own environment. Whatever comes from a record is
//! escaped, or a bot's name could read what its process knows.

#![warn(missing_docs)]

mod build;
mod dialect;
mod escape;
mod file_path;
mod records;
mod reference;
mod state_dir;
mod stored;
mod webhook_port;

pub use build::build;
pub use dialect::{Dialect, InvalidOpenClawVersion, OpenClawVersion};
pub use file_path::{FilePath, InvalidFilePath};
pub use records::{BotRecord, ChannelRecord, LiteLlm, Platform, PoolRecords};
pub use reference::{CredentialKind, Reference};
pub use state_dir::{InvalidStateDir, StateDir};
pub use stored::{Configuration, InvalidConfiguration, MissingCredential};
pub use webhook_port::{FIRST_WEBHOOK_PORT, LAST_WEBHOOK_PORT, webhook_port};

/// Raised with each change of what [`build`] makes of the same records in the same dialect.
pub const GENERATOR_VERSION: u32 = 2;

/// The port that a pool's gateway listens on.
pub const GATEWAY_PORT: u16 = 18789;
