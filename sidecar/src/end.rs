//! `portcullis-sidecar end`: ends an `OpenClaw` that outlived its sidecar.
//!
//! For an operator who stops the sidecar's service after a crash, when no next sidecar will adopt the child.

use std::process::ExitCode;

use crate::{
    log,
    process::Process,
    record::Record,
    run::{self, Failure, Taken},
    settings::Settings,
};

/// Runs the command. It succeeds if no child is left to end, also because another sidecar supervises it.
#[must_use]
pub fn main() -> ExitCode {
    run::report(end(), "OpenClaw was not ended")
}

fn end() -> Result<(), Failure> {
    let environment = run::guarded_environment()?;
    let mut settings = Settings::read(&environment, std::iter::empty()).map_err(Failure::from_settings)?;
    // Checked without the lock, which a sidecar that is just starting needs.
    if !Record::in_folder(&settings.run, &settings.pool).exists() {
        return Ok(());
    }
    let _lock = match run::lock(&mut settings)? {
        Taken::Locked(lock) => lock,
        Taken::ByAnother => {
            log::info("a sidecar runs, and keeps its OpenClaw", &[]);
            return Ok(());
        }
    };
    let record = Record::in_folder(&settings.run, &settings.pool);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Some(mut process) = Process::adopt(&record, &settings.child.user).await {
            log::info("ending an OpenClaw that outlived its sidecar", &[("pid", process.id().into())]);
            process.end(settings.stop).await;
            record.clear();
        }
    });
    Ok(())
}
