//! The node agent that runs beside `OpenClaw` on a pool's machine.
//!
//! `portcullis-sidecar` registers the pool, syncs its files from the control plane, and supervises `OpenClaw` in an
//! environment without secrets. `portcullis-skill` is the command-line client that a skill calls the control plane
//! with.
//!
//! Privilege separation: paths that the child's user can write to are untrusted, and only a worker process of that user
//! opens them ([`worker`]), with a deadline. The child starts through a stage that drops all of the sidecar's
//! privileges ([`stage`]), and it ends with everything that it started ([`tree`]); no other process is ended.

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
