//! Connecting Feishu.

pub(crate) mod connect;
