//! The `portcullis-skill` command; see `portcullis-skill --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_sidecar::skill_command::main()
}
