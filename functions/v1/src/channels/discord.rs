//! `/v1/channels/discord`: connecting Discord.

pub(crate) mod connect;
