//! Conversations, as pools' runtimes report them.

pub mod patch;
pub mod put;
pub mod sync;
