//! Feishu's webhooks: `/api/feishu/events` and `/api/feishu/card-action`, each also with a channel's id.
//!
//! As with Slack, a request is parsed once, its channel is found, and it is verified before anything acts on it, and
//! then for that channel alone. An encrypted body does not name its app, so an app with an encrypt key posts to its
//! channel's own path.

mod body;
mod channels;
mod queued;
pub mod receive;
mod verify;

pub use channels::FeishuChannels;
pub use verify::{FeishuDoor, FeishuGate, FeishuVerifier};
