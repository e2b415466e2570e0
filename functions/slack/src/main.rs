//! The `slack` function's binary.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    portcullis_runtime::lambda::run(async |environment| slack::start(environment).await).await
}
