//! The end-to-end suites over HTTP against a whole started system, one module a promise.
//!
//! One binary, since each binary links all functions, the AWS clients and the database. Apart from it are the suites that need a
//! process of their own: `canary` reads every log line, `faults` and `kill` kill processes, `least_privilege` takes rights away.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod accounts;
mod answers;
mod bodies;
mod chat_platforms;
mod clients;
mod concurrency;
mod configuration;
mod conversations;
mod deadlines;
mod delivery;
mod documents;
mod events_files;
mod fleet;
mod imports;
mod integrations;
mod library;
mod models;
mod openapi;
mod people;
mod prose;
mod queue;
mod round_trips;
mod secret_scopes;
mod security_md;
mod settings;
mod slack_ingress;
mod slack_tokens;
mod tiers;
mod transient_faults;
