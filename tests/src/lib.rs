//! What the suites under `tests/` share: promises that several implementations are held to.

pub mod queue_promises;
