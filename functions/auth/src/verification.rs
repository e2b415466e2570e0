//! Verification of e-mail addresses, by a mailed code or a mailed link.

pub(crate) mod send_code;
pub(crate) mod send_email;
pub(crate) mod verify_code;
pub(crate) mod verify_link;
