//! The `relay` function's binary.

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use portcullis_runtime::{Environment, lambda::refuse_to_start};
use relay::{Relay, sqs_event};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let environment = Environment::from_process();
    let relay = match Relay::start(&environment).await {
        Ok(relay) => relay,
        Err(error) => return refuse_to_start(&error),
    };
    let handler = async |event: LambdaEvent<_>| Ok::<_, Error>(sqs_event::handle(&relay, event.payload).await);
    match lambda_runtime::run(service_fn(handler)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime failed");
            ExitCode::FAILURE
        }
    }
}
