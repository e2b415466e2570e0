//! The `auth` function's binary.

use std::process::ExitCode;

// Password hashing has threads of its own; the rest needs a single one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    portcullis_runtime::lambda::run(async |environment| auth::start(environment).await).await
}
