//! What a function needs to start and to answer.
//!
//! A [`Platform`] is what a function is started on: the process's environment, the AWS configuration, a clock, randomness,
//! metrics. [`settings`] reads it into typed settings or names everything that is wrong; [`rotating`] keeps secrets fresh;
//! [`tier`] is the only way to mount a route, and puts the authenticated caller where a handler takes it; [`front`] makes
//! the router that Lambda and this machine serve alike. This crate knows no endpoint and no table: those are the
//! functions' and the store's.

#![warn(missing_docs)]

pub mod aws;
pub mod cache;
pub mod causes;
mod cors;
pub mod documents;
pub mod error;
mod error_code;
pub mod etag;
pub mod fields;
pub mod front;
pub mod json;
pub mod lambda;
pub mod logging;
pub mod mail;
pub mod metrics;
pub mod network;
pub mod openapi;
pub mod origins;
pub mod pages;
pub mod paging;
pub mod params;
mod platform;
pub mod queue;
pub mod resources;
pub mod rotating;
pub mod secrets;
pub mod settings;
mod system;
pub mod tier;

pub use error::ApiError;
pub use error_code::ErrorCode;
pub use platform::Platform;
pub use system::{SystemClock, SystemRandomness};
