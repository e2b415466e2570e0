//! `/v1/channels/feishu`: connecting Feishu.

pub(crate) mod connect;
