//! What runs beside `OpenClaw` on a pool's machine.
//!
//! `portcullis-sidecar` makes the pool known, keeps its files as the control plane has them, and starts and supervises
//! `OpenClaw` in an environment from which everything secret has been left out. `portcullis-skill` is what a skill asks the
//! control plane with.
//!
//! What the child's user can write to is never trusted, and never opened by the supervising process: a process of that user
//! handles it ([`worker`]), and is killed at a deadline. The child is started through a stage that gives up all of the sidecar's
//! rights ([`stage`]), and it ends with everything that it started ([`tree`]); no other process is ended.

#![warn(missing_docs)]

pub mod api;
pub mod block;
pub mod cgroup;
pub mod command_line;
pub mod drain;
pub mod end;
pub mod environment;
pub mod files;
pub mod keeper;
pub mod launcher;
pub mod log;
pub mod notify;
pub mod openclaw;
pub mod outlet;
pub mod own_program;
pub mod pace;
pub mod path;
pub mod prepare;
pub mod probe;
pub mod proc;
pub mod process;
pub mod program;
pub mod record;
pub mod refusal;
pub mod run;
pub mod settings;
pub mod skill_command;
pub mod skill_token;
pub mod stage;
pub mod supervisor;
pub mod sync;
pub mod token;
pub mod tree;
pub mod user;
pub mod worker;
