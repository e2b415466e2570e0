//! Builds a pool's `openclaw.json` from its records. Pure: no clock, no randomness, no I/O.
//!
//! [`build()`] makes a [`Configuration`] with [`Reference`]s in place of credentials: this form is stored and hashed.
//! [`Configuration::fill`] inserts the credentials when a pool reads it. The result is valid for the `OpenClaw`
//! versions of its [`Dialect`]; the schema of 2026.9.6 is beside the tests.
//!
//! [`FilePath`] is a path of a skill's file: the API accepts it, and a pool's machine writes it.
//!
//! `OpenClaw` expands `${NAME}` in each value of its configuration from its own environment. Text from records is
//! escaped: otherwise a bot's name could reveal its process's variables.

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
pub use records::{BotRecord, ChannelRecord, LiteLlm, PlatformApp, PoolRecords};
pub use reference::{CredentialKind, Reference};
pub use state_dir::{InvalidStateDir, StateDir};
pub use stored::{Configuration, InvalidConfiguration, MissingCredential};
pub use webhook_port::{FIRST_WEBHOOK_PORT, LAST_WEBHOOK_PORT, webhook_port};

/// Version of the generator: raised with each change of [`build()`]'s output for the same records and dialect.
pub const GENERATOR_VERSION: u32 = 2;

/// Port of a pool's gateway.
pub const GATEWAY_PORT: u16 = 18789;
