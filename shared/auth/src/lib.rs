//! Authentication of callers: signatures of Slack and Feishu, static tokens, tokens bound to a pool, passwords, session
//! cookies.
//!
//! Everything here is a pure function of its arguments: the clock is passed in, nothing is read and nothing is stored.
//! This crate decides whether a credential is genuine and what it is for; it never decides what a route requires, and
//! it never holds a credential outside of a `secrecy` type or a digest.

mod agent_id;
pub mod bound_token;
mod clock;
mod email;
pub mod feishu;
mod names;
pub mod password;
pub mod session_token;
pub mod slack_signature;
pub mod static_token;

pub use bound_token::{BoundTokenError, Generation, RuntimeGrant, SkillGrant, SkillNames, SkillSet, TooManySkills};
pub use clock::Clock;
pub use email::{Email, InvalidEmail};
pub use feishu::FeishuSecrets;
pub use names::{
    BotId, ChannelId, InvalidName, LibraryName, PoolId, SessionId, SkillFolder, SkillName, TemplateName, UserId,
};
pub use password::{HashMemory, Password, PasswordError, PasswordHash};
pub use session_token::{SessionCookie, SessionSecret, SessionToken};
pub use slack_signature::{SignatureError, SignedHeaders, SigningSecret};
pub use static_token::{StaticToken, TokenTooShort};
