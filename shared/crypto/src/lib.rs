//! Sealing, key derivation, digests and constant-time comparison.
//!
//! Everything that Portcullis stores in secret passes through [`Keyring::seal`] and [`Keyring::open`]; everything
//! that it must recognise but need not know is kept as a [`Digest`]. This crate does no I/O, knows no AWS, reads no
//! clock and draws no randomness of its own: whoever calls it passes a [`Randomness`] in. It never returns a plaintext
//! outside of a `secrecy` type, and never tells why a value did not open beyond what its header shows in the clear.

#![warn(missing_docs)]

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
