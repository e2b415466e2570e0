//! Sessions: signing in and out, and the list of signed-in browsers.

pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod revoke;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
