//! Measures the figures of docs/PERFORMANCE.md and prints them as Markdown: `cargo bench -p portcullis-tests --bench figures`.
//!
//! The benchmark builds the functions' binaries, starts them and the stack of `cargo local` as processes on loopback,
//! and ends them. No figure makes it fail, so that a busy machine cannot.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is for")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod aws;
mod configuration;
mod function;
mod functions;
mod load;
mod machine;
mod memory;
mod own_cpu;
mod report;
mod runtime_api;
mod seed;
mod stack;
mod stand_ins;
mod throughput;
mod traffic;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{Arc, atomic::AtomicU32},
};

use portcullis_tests::system::random_hex;
use tokio::runtime::Builder;

use crate::{
    functions::{FUNCTIONS, Surroundings},
    own_cpu::Job,
    stack::StackProcess,
    stand_ins::{Pool, Sqs},
    traffic::Traffic,
};

// The same allocator as in `cargo local`, because the stack is a process of this binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The reason that a measurement failed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Binaries of the functions.
const BINARIES: [&str; FUNCTIONS.len()] = ["hello", "slack", "internal", "skills", "relay"];

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    // One thread, as in a function on Lambda.
    let mut runtime =
        if arguments == [own_cpu::ARGUMENT] { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let outcome = runtime.enable_all().build().map_err(Failure::from);
    match outcome.and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("figures: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[&str]) -> Result<(), Failure> {
    match arguments {
        [] => {
            build()?;
            figures(&folder()?, true).await
        }
        ["configuration"] => configurations().await,
        ["binaries-in", folder] => figures(Path::new(folder), false).await,
        [stack::ARGUMENT] => stack::run().await,
        [own_cpu::ARGUMENT] => own_cpu::run().await,
        _ => Err("usage: figures [binaries-in FOLDER | configuration]".into()),
    }
}

/// Builds the functions' binaries in release mode.
fn build() -> Result<(), Failure> {
    let package = |binary: &&str| if *binary == "hello" { "hello".to_owned() } else { format!("portcullis-{binary}") };
    let packages = BINARIES.iter().map(package).flat_map(|package| ["--package".to_owned(), package]);
    let built = Command::new(env!("CARGO")).args(["build", "--release"]).args(packages).status()?;
    if built.success() { Ok(()) } else { Err("the functions do not build".into()) }
}

/// Folder of the built binaries: this binary is in its subfolder `deps`.
fn folder() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    own.ancestors().nth(2).map(Path::to_owned).ok_or_else(|| "this binary lies nowhere".into())
}

/// Measures only the pools' configurations.
async fn configurations() -> Result<(), Failure> {
    let settings = random_settings();
    let stack = StackProcess::start(&settings, None)?;
    let token = settings.get("INTERNAL_API_TOKEN").cloned().unwrap_or_default();
    report::configurations(&configuration::measure(&settings, &stack.addresses, &token).await?);
    Ok(())
}

fn random_settings() -> BTreeMap<String, String> {
    [
        ("ENCRYPTION_KEY", random_hex(32)),
        ("INTERNAL_API_TOKEN", random_hex(24)),
        ("SKILL_API_TOKEN", random_hex(24)),
        ("SLACK_SIGNING_SECRET", random_hex(16)),
        ("BETTER_AUTH_SECRET", random_hex(32)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Fills a stack's database and returns the requests to send to it.
async fn seeded(
    settings: &BTreeMap<String, String>,
    stack: &StackProcess,
    pool: &Pool,
) -> Result<Arc<Traffic>, Failure> {
    let signing_secret = seed::fill(settings, &stack.addresses.database, pool.address()).await?;
    let token = |name: &str| settings.get(name).cloned().unwrap_or_default();
    let internal_token = token("INTERNAL_API_TOKEN");
    let url = format!("{}{}", stack.addresses.front, traffic::configuration_path(seed::POOL));
    let answer = reqwest::Client::new().get(url).header("x-internal-token", &internal_token).send().await?;
    let tag = answer.headers().get("etag").ok_or("there is no entity tag")?.to_str()?.to_owned();
    Ok(Arc::new(Traffic {
        internal_token,
        skill_token: token("SKILL_API_TOKEN"),
        signing_secret,
        tag,
        events: AtomicU32::new(0),
    }))
}

/// Measures the functions in `folder` and, if `all`, the stack.
async fn figures(folder: &Path, all: bool) -> Result<(), Failure> {
    let load_before = machine::load();
    let settings = random_settings();
    let (pool, sqs) = (Pool::start().await?, Sqs::start().await?);
    let stack = StackProcess::start(&settings, None)?;
    let traffic = seeded(&settings, &stack, &pool).await?;

    let surroundings = Surroundings {
        folder: folder.to_owned(),
        settings: &settings,
        database: &stack.addresses.database,
        sqs: &sqs,
        traffic: &traffic,
    };
    let found = surroundings.measure().await?;
    report::functions(&found);
    report::lambda(&found);
    if all {
        let job = Job {
            settings: settings.clone(),
            traffic: traffic.split_off(),
            database: stack.addresses.database.clone(),
            queue: sqs.url(),
        };
        let costs = tokio::task::spawn_blocking(move || own_cpu::measure(&job)).await??;
        report::cpu(&costs, &found);
        let folder = tempfile::tempdir()?;
        let durable = StackProcess::start(&settings, Some(folder.path()))?;
        let of_durable = seeded(&settings, &durable, &pool).await?;
        let stacks = [
            throughput::Stack { process: &stack, traffic: Arc::clone(&traffic) },
            throughput::Stack { process: &durable, traffic: of_durable },
        ];
        report::throughput(&throughput::measure(&stacks, &pool).await?);
        let token = traffic.internal_token.clone();
        report::configurations(&configuration::measure(&settings, &stack.addresses, &token).await?);
    }
    println!("\n{}; load before {load_before}, after {}.", machine::describe(), machine::load());
    Ok(())
}
