//! Runtime of the functions: start, settings, tiers, routing, logging and metrics.
//!
//! A function starts in an [`Environment`]: the process's variables, the AWS configuration, a clock, randomness and
//! metrics. [`settings`] reads it into typed settings, or names every invalid one. [`rotating`] keeps secrets fresh.
//! [`tier`] is the only way to mount a route, and passes the authenticated caller to the handler. [`front`] builds the
//! router that Lambda and the local gateway both serve. This crate knows no endpoint and no table: those belong to the
//! functions and the store.

pub mod aws;
pub mod cache;
pub mod causes;
mod cors;
pub mod documents;
mod environment;
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
pub mod queue;
pub mod resources;
pub mod rotating;
pub mod secrets;
pub mod settings;
mod system;
pub mod tier;

pub use environment::Environment;
pub use error::ApiError;
pub use error_code::ErrorCode;
pub use system::{SystemClock, SystemRandomness};
