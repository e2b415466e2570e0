//! How a function's binary starts: wire, warm up, serve; or say what is wrong and stop.

use std::process::ExitCode;

use axum::Router;

use portcullis_store::{Store, Table};

use crate::{Platform, settings::SettingsError};

/// Starts the function that `start` makes and serves it until Lambda ends the process.
pub async fn run(start: impl AsyncFnOnce(&Platform) -> Result<Router, SettingsError>) -> ExitCode {
    let platform = Platform::from_process();
    match start(&platform).await {
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

/// Opens the connection to the store, so that the first request doesn't wait for it: during start the CPU is not throttled.
/// A store that is away is left to that request.
pub async fn warm_up(store: &Store, table: Table) {
    if let Err(error) = store.warm_up(table).await {
        tracing::warn!(%error, "the store could not be reached at start");
    }
}

/// Logs each setting that is wrong, by name, and gives the exit code for it.
#[must_use]
pub fn refuse_to_start(error: &SettingsError) -> ExitCode {
    for problem in error.problems() {
        tracing::error!(problem, "the function does not start");
    }
    ExitCode::FAILURE
}
