//! Secrets that a skill reads.

pub mod get;
