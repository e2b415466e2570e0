//! `portcullis-skill --help` says all that it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_sidecar::skill_command::main()
}
