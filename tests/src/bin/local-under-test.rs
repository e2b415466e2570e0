//! The stack of `cargo local` as a process that a test can kill; see `portcullis_tests::child`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is spoken to through")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::{error::Error, io, sync::Arc, thread};

use portcullis_local::{Options, Stack, database::sdk_config, stack::WrapQueue};
use portcullis_runtime::logging::{self, Format, LineSink};
use portcullis_tests::{
    FaultyQueue,
    child::{Orders, Ready},
};

struct StandardError;

impl LineSink for StandardError {
    fn write_line(&self, line: &str) {
        eprintln!("{line}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut orders = String::new();
    io::stdin().read_line(&mut orders)?;
    let orders: Orders = serde_json::from_str(&orders)?;
    // The parent holds the other end of standard input, which also closes if the parent dies.
    let ended = thread::spawn(|| io::copy(&mut io::stdin(), &mut io::sink()));
    logging::start(Format::Json, Arc::new(StandardError), None);
    let environment = orders.environment.into_iter().map(|(name, value)| (name, value.into())).collect();
    let mut options = Options::new(environment);
    options.data = orders.data;
    options.patience = orders.patience;
    options.delivery_patience = orders.patience;
    options.database = orders.database_url.as_deref().map(sdk_config);
    options.wrap_queue = orders
        .queue_faults
        .map(|proxy| -> WrapQueue { Box::new(move |queue| Arc::new(FaultyQueue::new(queue, proxy))) });
    let stack = Stack::start(options).await?;
    println!("{}", serde_json::to_string(&Ready { base_url: stack.base_url() })?);
    // Work in progress ends with the process, as in any other crash.
    tokio::task::spawn_blocking(move || ended.join()).await?.map_err(|_| "the reader of standard input failed")??;
    Ok(())
}
