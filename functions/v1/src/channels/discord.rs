//! Connecting Discord.

pub(crate) mod connect;
