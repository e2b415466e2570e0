//! What the sidecar says of itself: a line of JSON an event, on standard error.
//!
//! Nothing that is logged here is read from a token, an answer or a file: callers pass words of their own, names and numbers.

use std::io::Write;

use serde_json::{Map, Value};

/// Writes a line. A log that cannot be written is no reason to stop.
pub fn line(level: &str, message: &str, facts: &[(&str, &dyn std::fmt::Display)]) {
    let mut fields = Map::new();
    fields.insert("level".to_owned(), Value::from(level));
    fields.insert("message".to_owned(), Value::from(message));
    for (name, value) in facts {
        fields.insert((*name).to_owned(), Value::from(value.to_string()));
    }
    let _ = writeln!(std::io::stderr().lock(), "{}", Value::Object(fields));
}

/// Something of note.
pub fn info(message: &str, facts: &[(&str, &dyn std::fmt::Display)]) {
    line("info", message, facts);
}

/// Something that an operator should look at.
pub fn warn(message: &str, facts: &[(&str, &dyn std::fmt::Display)]) {
    line("warn", message, facts);
}
