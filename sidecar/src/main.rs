//! `portcullis-sidecar [-- COMMAND ARGUMENT...]`: syncs a pool and supervises its `OpenClaw`.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_sidecar::command_line::main()
}
