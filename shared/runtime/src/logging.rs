//! Structured log, one line per event: JSON for machines, or short text for a terminal.
//!
//! A line contains names, ids, statuses and durations; never a body, a header's value or a secret. The `secrecy` types
//! print nothing, so a secret cannot be logged by accident.

use std::{
    io::{self, Write},
    panic,
    sync::Arc,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    filter::{Targets, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Destination of log lines.
pub trait LineSink: Send + Sync {
    /// Writes one line; `line` contains no line break.
    fn write_line(&self, line: &str);
}

/// Standard output, which Lambda stores as the function's log.
#[derive(Clone, Copy, Debug, Default)]
pub struct StandardOutput;

impl LineSink for StandardOutput {
    fn write_line(&self, line: &str) {
        // A log that cannot be written must not fail the request.
        let _ = writeln!(io::stdout().lock(), "{line}");
    }
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Short text for a terminal.
    Text,
}

/// Default of `RUST_LOG`: this repository's own lines from `INFO` on, libraries' warnings and errors.
const DEFAULT_FILTER: &str = "warn,dynoxide=error,portcullis_runtime=info,portcullis_store=info,auth=info,v1=info,slack=info,\
    internal=info,skills=info,relay=info,portcullis_local=info,portcullis_demo=info";

/// Targets whose `DEBUG` and `TRACE` lines may be logged: this repository's own crates, which keep secrets in types
/// that print nothing.
const OURS: [&str; 12] = [
    "portcullis_auth",
    "portcullis_crypto",
    "portcullis_runtime",
    "portcullis_store",
    "auth",
    "v1",
    "slack",
    "internal",
    "skills",
    "relay",
    "portcullis_local",
    "portcullis_demo",
];

/// Returns whether an event may be logged. Libraries print whole requests and headers at finer levels, which are
/// dropped whatever `RUST_LOG` says.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let origin = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO || OURS.contains(&origin)
}

/// Sends this process's log to `sink`. Only the first call in a process has an effect.
///
/// `filter` has the form of `RUST_LOG`: levels by target. It cannot enable libraries' lines below `INFO`, which may
/// contain secrets.
pub fn start(format: Format, sink: Arc<dyn LineSink>, filter: Option<&str>) {
    let (targets, is_malformed) = targets(filter);
    let writer = SinkWriter { sink, is_json: format == Format::Json };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false).with_ansi(false);
    let registry = tracing_subscriber::registry().with(targets).with(filter_fn(may_be_logged));
    let started = match format {
        Format::Json => {
            registry.with(layer.json().flatten_event(true).with_current_span(true).with_span_list(false)).try_init()
        }
        Format::Text => registry.with(layer.compact()).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
    if is_malformed {
        tracing::warn!("RUST_LOG is malformed; what is logged is the default");
    }
}

/// Returns the levels by target, and whether they are the default because `filter` is malformed.
///
/// Filters by spans and fields are not supported: they would add a regular-expression engine to each function.
fn targets(filter: Option<&str>) -> (Targets, bool) {
    let read = |filter: &str| filter.parse::<Targets>().ok();
    let asked_for = filter.map(read);
    let default = || read(DEFAULT_FILTER).unwrap_or_else(|| unreachable!("the default filter is well-formed"));
    match asked_for {
        None => (default(), false),
        Some(Some(targets)) => (targets, false),
        Some(None) => (default(), true),
    }
}

/// Logs a panic as one line with its location but without its message, which could contain anything.
pub fn hide_panics() {
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "panic");
    }));
}

#[derive(Clone)]
struct SinkWriter {
    sink: Arc<dyn LineSink>,
    is_json: bool,
}

impl<'a> MakeWriter<'a> for SinkWriter {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> LineWriter {
        LineWriter(self.clone())
    }
}

/// Returns a line of JSON with the fields of its span merged in, so that a request's id has the same place in every
/// line; `None` for a line without a span. The line's own fields take precedence.
fn with_spans_fields(line: &str) -> Option<String> {
    let (event, span) = line.rsplit_once(r#","span":{"#)?;
    let span = format!("{{{}", span.strip_suffix('}')?);
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&span).ok()?;
    let mut flat = event.to_owned();
    for (name, value) in fields {
        let key = serde_json::Value::String(name).to_string();
        if key != r#""name""# && !event.contains(&format!(",{key}:")) {
            flat.push(',');
            flat.push_str(&key);
            flat.push(':');
            flat.push_str(&value.to_string());
        }
    }
    flat.push('}');
    Some(flat)
}

/// Writer of one line per event: `fmt` makes one call of `write_all` for each, line break included.
struct LineWriter(SinkWriter);

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        let line = line.trim_end_matches('\n');
        let flat = if self.0.is_json { with_spans_fields(line) } else { None };
        self.0.sink.write_line(flat.as_deref().unwrap_or(line));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_functions_own_lines_are_logged() {
        let functions = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../functions")).unwrap();
        let functions: Vec<_> = functions.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(functions.len() >= 6, "{functions:?}");
        let (targets, _) = targets(None);
        for function in functions {
            assert!(OURS.contains(&function.as_str()), "{function}");
            assert!(targets.would_enable(&function, &Level::INFO), "{function}");
        }
    }

    #[test]
    fn a_spans_fields_stand_beside_those_of_the_line() {
        let line =
            r#"{"level":"WARN","message":"x","reason":"y","span":{"attempt":2,"requestId":"r-1","name":"delivery"}}"#;
        let flat = r#"{"level":"WARN","message":"x","reason":"y","attempt":2,"requestId":"r-1"}"#;
        assert_eq!(with_spans_fields(line).as_deref(), Some(flat));
        let own = r#"{"message":"x","requestId":"own","span":{"requestId":"r-1","name":"request"}}"#;
        assert_eq!(with_spans_fields(own).as_deref(), Some(r#"{"message":"x","requestId":"own"}"#));
        assert_eq!(with_spans_fields(r#"{"message":"x"}"#), None);
    }
}
