//! `portcullis-sidecar [-- COMMAND ARGUMENT...]`: keeps a pool and its `OpenClaw`.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_sidecar::run::main(std::env::args_os().skip(1))
}
