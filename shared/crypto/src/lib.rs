//! Sealing, key derivation, digests and constant-time comparison.
//!
//! Every stored secret passes through [`Keyring::seal`] and [`Keyring::open`]; values that are only recognised are
//! stored as a [`Digest`]. This crate does no I/O, knows no AWS, reads no clock and has no randomness of its own:
//! callers pass a [`Randomness`] in. It never returns a plaintext outside of a `secrecy` type, and an error of opening
//! reveals only what the value's header shows in the clear.

mod cell;
mod digest;
mod domain;
mod keyring;
mod mac;
mod random;

pub use cell::Cell;
pub use digest::{Digest, constant_time_eq};
pub use domain::Domain;
pub use keyring::{KeyId, Keyring, KeyringError, OpenError, SEALED_OVERHEAD};
pub use mac::{MAC_LENGTH, MacKey, hmac_sha256};
pub use random::Randomness;
