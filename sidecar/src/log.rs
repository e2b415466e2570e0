//! The sidecar's log: one JSON object a line on standard error, in the format of the functions' logs: `timestamp`,
//! `level`, `message`, then the facts, numbers as numbers.
//!
//! Lines go through a bounded queue, which a thread of its own writes: a log that nobody reads blocks nothing. Lines
//! that do not fit are dropped and counted.
//!
//! A line holds names, numbers, and the control plane's own words about a refusal (bounded, and without the token);
//! never a token, a configuration or the child's output.

use std::{fmt, io::Write, sync::OnceLock, time::Duration};

use serde_json::Value;

use crate::{outlet::Outlet, pace::timestamp};

/// Time-out for writing the last lines at the end of the process.
const LAST_LINES: Duration = Duration::from_secs(2);

static OUTLET: OnceLock<Outlet> = OnceLock::new();

/// Severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// An event of note.
    Info,
    /// A condition that an operator should look at.
    Warn,
    /// A failure that ends the sidecar.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}

/// Additional fields of a line.
pub type Facts<'a> = [(&'a str, Value)];

/// Writes a line at [`Level::Info`].
pub fn info(message: &str, facts: &Facts<'_>) {
    write(Level::Info, message, facts);
}

/// Writes a line at [`Level::Warn`].
pub fn warn(message: &str, facts: &Facts<'_>) {
    write(Level::Warn, message, facts);
}

/// Writes a line at [`Level::Error`].
pub fn error(message: &str, facts: &Facts<'_>) {
    write(Level::Error, message, facts);
}

/// Waits until all lines are written, for at most two seconds. Called before the process ends.
pub fn flush() {
    if let Some(outlet) = OUTLET.get() {
        // Without a reader of the log the last lines are lost.
        let _ = outlet.flush(LAST_LINES);
    }
}

fn write(level: Level, message: &str, facts: &Facts<'_>) {
    let outlet = OUTLET.get_or_init(|| {
        // A log that cannot be written does not stop the sidecar.
        let write = |line: &[u8]| drop(std::io::stderr().lock().write_all(line));
        Outlet::start(write, |count| {
            as_line(
                Level::Warn,
                "lines of this log were dropped, since nobody read it",
                &[("droppedLines", count.into())],
            )
        })
    });
    outlet.push(&as_line(level, message, facts));
}

/// Formats a line with the current time and a line break.
pub(crate) fn as_line(level: Level, message: &str, facts: &Facts<'_>) -> Vec<u8> {
    line(timestamp(), level, message, facts).into_bytes()
}

fn line(now: jiff::Timestamp, level: Level, message: &str, facts: &Facts<'_>) -> String {
    let mut line = format!(r#"{{"timestamp":"{now:.6}","level":"{level}","message":{}"#, Value::from(message));
    for (name, value) in facts {
        line.extend([",", &Value::from(*name).to_string(), ":", &value.to_string()]);
    }
    line + "}\n"
}

/// Converts a duration to seconds, with millisecond precision.
#[must_use]
pub fn seconds(duration: Duration) -> Value {
    let rounded = Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    rounded.as_secs_f64().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_a_timestamp_a_level_and_facts_of_their_own_types() {
        let facts =
            [("pid", 25.into()), ("inSeconds", seconds(Duration::from_millis(1200))), ("because", "a \"b\"\nc".into())];
        let line = line(jiff::Timestamp::UNIX_EPOCH, Level::Warn, "message of two\nlines", &facts);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.starts_with(r#"{"timestamp":"1970-01-01T00:00:00.000000Z","level":"WARN","message":"#), "{line}");
        let value: Value = serde_json::from_str(&line).unwrap();
        let expected = json!({
            "timestamp": "1970-01-01T00:00:00.000000Z", "level": "WARN", "message": "message of two\nlines",
            "pid": 25, "inSeconds": 1.2, "because": "a \"b\"\nc",
        });
        assert_eq!(value, expected);
    }
}
