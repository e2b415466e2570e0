//! The log of this process, captured in memory.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portcullis_runtime::logging::{self, Format, LineSink};
use serde_json::Value;

/// Log lines in memory.
#[derive(Debug, Default)]
pub struct Lines(Mutex<Vec<String>>);

impl LineSink for Lines {
    fn write_line(&self, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    }
}

/// Starts logging on the first call and returns the process's log, which all tests of one binary share.
pub fn captured() -> Arc<Lines> {
    static LINES: OnceLock<Arc<Lines>> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        let lines = Arc::new(Lines::default());
        // The finest level that an operator may set. Libraries stay at `info` whatever the level.
        logging::start(Format::Json, lines.clone(), Some("trace"));
        lines
    });
    Arc::clone(lines)
}

impl Lines {
    /// All lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lines that carry this request id, as JSON.
    #[must_use]
    pub fn of_request(&self, request_id: &str) -> Vec<Value> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = lines.iter().filter(|line| line.contains(request_id));
        lines.map(|line| serde_json::from_str(line).expect("a log line is JSON")).collect()
    }
}
