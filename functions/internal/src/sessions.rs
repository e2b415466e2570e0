//! `/api/internal/sessions`: conversations that pools' runtimes report.

pub mod patch;
pub mod put;
pub mod sync;
