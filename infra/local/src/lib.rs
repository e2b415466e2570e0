//! The whole of Portcullis in one process on this machine.
//!
//! It reads the template that deploys to AWS, creates its tables in an embedded DynamoDB, routes requests as API
//! Gateway does, and keeps accepted events in a queue with SQS's rules. It is for development and tests: it never runs
//! on AWS, and no function depends on it.

pub mod access;
pub mod database;
mod deliveries;
pub mod dev_composio;
pub mod dev_discord;
pub mod dev_feishu;
pub mod dev_slack;
pub mod gateway;
pub mod import;
pub mod mailbox;
pub mod queue;
pub mod running;
pub mod secrets;
pub mod sign;
pub mod stack;
pub mod template;
pub mod wal_sync;

pub use stack::{Options, Stack, StackError};
