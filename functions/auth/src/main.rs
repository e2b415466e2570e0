//! The `auth` function's binary.

use std::process::ExitCode;

// Hashing passwords has threads of its own; the rest needs one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    portcullis_runtime::lambda::run(async |platform| auth::start(platform).await).await
}
