//! `/v1/sessions`: conversations of the caller's own bots.

pub(crate) mod get;
pub(crate) mod list;
