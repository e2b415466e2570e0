//! Start of a function's binary: wire, warm up and serve; or report invalid settings and stop.

use std::process::ExitCode;

use axum::Router;

use portcullis_store::{Store, Table};

use crate::{Environment, settings::SettingsError};

/// Starts the function that `start` builds and serves it until Lambda ends the process.
pub async fn run(start: impl AsyncFnOnce(&Environment) -> Result<Router, SettingsError>) -> ExitCode {
    let environment = Environment::from_process();
    match start(&environment).await {
        Ok(router) => match lambda_http::run(router).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(%error, "the Lambda runtime failed");
                ExitCode::FAILURE
            }
        },
        Err(error) => refuse_to_start(&error),
    }
}

/// Opens the connection to the store during the start, when the CPU is not throttled, so that the first request does
/// not wait for it. A failure is left to that request.
pub async fn warm_up(store: &Store, table: Table) {
    if let Err(error) = store.warm_up(table).await {
        tracing::warn!(%error, "the store could not be reached at start");
    }
}

/// Logs each invalid setting by name, and returns the exit code.
#[must_use]
pub fn refuse_to_start(error: &SettingsError) -> ExitCode {
    for problem in error.problems() {
        tracing::error!(problem, "the function does not start");
    }
    ExitCode::FAILURE
}
