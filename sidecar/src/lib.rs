//! What runs beside `OpenClaw` on a pool's machine.
//!
//! `portcullis-sidecar` makes the pool known, keeps its files as the control plane has them, and starts and supervises
//! `OpenClaw` in an environment from which everything secret has been left out. `portcullis-skill` is what a skill asks the
//! control plane with.
//!
//! What the child's user can write to is never trusted, and never opened by the supervising process: a process of that user
//! handles it ([`worker`]), and is killed at a deadline. The sidecar ends no process but those that its own record, in a folder of its own, says it started.

#![warn(missing_docs)]

pub mod api;
pub mod block;
pub mod command_line;
pub mod drain;
pub mod environment;
pub mod files;
pub mod keeper;
pub mod log;
pub mod openclaw;
pub mod outlet;
pub mod own_program;
pub mod pace;
pub mod prepare;
pub mod probe;
pub mod process;
pub mod program;
pub mod record;
pub mod refusal;
pub mod run;
pub mod settings;
pub mod skill_command;
pub mod supervisor;
pub mod sync;
pub mod token;
pub mod user;
pub mod worker;
