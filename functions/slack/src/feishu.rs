//! Feishu's webhooks come in: `/api/feishu/events` and `/api/feishu/card-action`, each also with a channel's id.
//!
//! As with Slack's, a request is read once, its channel is found, it is verified, and only then is it acted on, for that channel
//! alone. An encrypted body does not name its app, so an app with an encrypt key posts to its channel's own path.

mod body;
mod channels;
mod queued;
pub mod receive;
mod verify;

pub use channels::FeishuChannels;
pub use verify::{FeishuDoor, FeishuGate, FeishuVerifier};
