//! Tests of the store's promises against a real DynamoDB engine, which the real AWS client calls over HTTP.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod artifacts;
mod bot_changes;
mod bot_token_refresh;
mod bots_and_channels;
mod chat_sessions;
mod configuration;
mod event_log;
mod faults;
mod feedback;
mod library;
mod pools;
mod revocation;
mod sealing;
mod secrets;
mod sessions;
mod support;
