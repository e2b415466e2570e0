//! Passwords of accounts: changing one, and resetting one by a mailed link.

pub(crate) mod change;
pub(crate) mod request_reset;
pub(crate) mod reset;

/// Purpose of the links that set a new password.
pub(crate) const RESET: &str = "reset-password";
