//! The `internal` function's binary.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    portcullis_runtime::lambda::run(async |environment| internal::start(environment).await).await
}
