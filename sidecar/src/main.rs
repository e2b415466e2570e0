//! `portcullis-sidecar [-- COMMAND ARGUMENT...]`: keeps a pool and its `OpenClaw`.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_sidecar::command_line::main()
}
