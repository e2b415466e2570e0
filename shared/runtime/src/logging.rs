//! One line a thing that happened: JSON for machines, or short text for a terminal.
//!
//! A line holds names, ids, statuses and durations; never a body, a header's value or a secret. Secrets cannot get here by
//! accident, since the `secrecy` types print nothing.

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

/// Where lines go.
pub trait LineSink: Send + Sync {
    /// Writes one line; `line` holds no line break.
    fn write_line(&self, line: &str);
}

/// Standard output, which Lambda keeps as the function's log.
#[derive(Clone, Copy, Debug, Default)]
pub struct StandardOutput;

impl LineSink for StandardOutput {
    fn write_line(&self, line: &str) {
        // A log that cannot be written must not end the request that it is about.
        let _ = writeln!(io::stdout().lock(), "{line}");
    }
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line.
    Json,
    /// For a person at a terminal.
    Text,
}

/// What is logged unless `RUST_LOG` says otherwise: our own lines, and of libraries only what went wrong.
const DEFAULT_FILTER: &str = "warn,dynoxide=error,portcullis_runtime=info,portcullis_store=info,auth=info,v1=info,slack=info,\
    internal=info,skills=info,relay=info,local=info";

/// Whose finest lines may be logged: what is written in this repository, where a secret is of a type that prints nothing.
const OURS: [&str; 11] = [
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
    "local",
];

/// Libraries print whole requests and headers at their finer levels: those stay out whatever `RUST_LOG` says.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let origin = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= Level::INFO || OURS.contains(&origin)
}

/// Sends this process's log to `sink`. The first call in a process counts; later ones change nothing.
///
/// `filter` is in the form of `RUST_LOG`: levels by target. It cannot ask for what libraries say below `INFO`: secrets pass through them.
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

/// What is to be logged, and whether that is the default because `filter` cannot be read.
///
/// Levels by target are all that is taken: filtering by spans and fields would bring a regular-expression engine into each
/// function.
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

/// Makes a panic one line of the log that says where it was, without its message: that could hold anything.
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

/// Returns a line of JSON with the fields of its span beside its own, so that a request's id stands at one place in every
/// line; `None` where it has no span. A field of the line's own wins.
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

/// `fmt` writes each event with one call of `write_all`, line break included.
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
