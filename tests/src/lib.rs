//! Support library of the end-to-end suites: a whole started system, a manual clock, and stand-ins for the services
//! that Portcullis calls. The suites are in `tests/`, one file per promise.

#![expect(clippy::missing_panics_doc, reason = "in a test a panic is the report")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

pub mod child;
pub mod clock;
pub mod composio;
pub mod faults;
pub mod faulty;
pub mod faulty_queue;
pub mod feishu;
pub mod in_process;
pub mod index_lag;
pub mod lite_llm;
pub mod logs;
pub mod openapi;
pub mod person;
pub mod pool;
pub mod queue_promises;
pub mod routes;
pub mod scripted_api;
pub mod seed;
pub mod slack;
pub mod slack_api;
pub mod system;

pub use child::Child;
pub use clock::TestClock;
pub use composio::ScriptedComposio;
pub use faults::{Fault, FaultProxy};
pub use faulty::Faulty;
pub use faulty_queue::FaultyQueue;
pub use lite_llm::StandInLiteLlm;
pub use person::Person;
pub use pool::{Behaviour, StandInPool};
pub use scripted_api::ScriptedApi;
pub use slack_api::StandInSlack;
pub use system::{Answer, Settings, System, send};
