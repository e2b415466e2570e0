//! Tests of the store's promises against a real DynamoDB engine, which the real AWS client calls over HTTP.

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
