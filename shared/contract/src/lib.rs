//! Words and values of the HTTP contract. Each is defined once: parsed, printed, read from and written to JSON, and described in
//! the `OpenAPI` document.
//!
//! No I/O. A value is parsed at the edge and goes down to the store as it is, so that no invalid one exists inside.

mod integer;
mod metadata;
mod text;
mod time;
mod words;

pub use integer::SafeInteger;
pub use metadata::{MAXIMUM_METADATA_BYTES, Metadata};
pub use text::{InvalidField, Label, SessionKey, Title, is_text};
pub use time::Time;
pub use words::UnknownWord;
