//! `cargo local`: all of Portcullis on this machine.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a terminal is what this program talks to")]

mod cli;
mod greeting;

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use local::{
    Options, Stack, database,
    demo::{Demo, openclaw},
    queue::TableQueue,
    secrets::{self, Settings},
    sign,
    stack::TABLE_PREFIX,
    template::{TEMPLATE, Template},
};
use portcullis_auth::{Clock, SigningSecret};
use portcullis_runtime::{
    SystemClock, SystemRandomness,
    logging::{self, Format, LineSink},
};
use secrecy::ExposeSecret;
use tokio::signal::unix::{Signal, SignalKind, signal};

use cli::{Arguments, Part};

/// Where generated secrets lie unless `--data` says otherwise.
const OWN_FOLDER: &str = ".local";
const DOT_ENV: &str = ".env";

type Problem = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread and no runtime yet: the sidecar makes its own.
    if let Some(Part::Sidecar { child }) = arguments.part {
        return portcullis_sidecar::run::main(child.into_iter());
    }
    let outcome = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match outcome.map_err(Problem::from).and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("cargo local: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Problem> {
    let environment = environment();
    if let Some(Part::StandInOpenclaw { port }) = &arguments.part {
        let config = environment.get("OPENCLAW_CONFIG_PATH").ok_or("OPENCLAW_CONFIG_PATH is not set")?;
        return Ok(openclaw::run(*port, config.expose_secret().into()).await?);
    }
    let filter = environment.get("RUST_LOG").map(|filter| filter.expose_secret().to_owned());
    // A demonstration tells what happens in its own words.
    let is_calm = arguments.quiet || (arguments.demo && !arguments.json);
    let filter = filter.or_else(|| is_calm.then(|| "warn".to_owned()));
    let format = if arguments.json { Format::Json } else { Format::Text };
    logging::start(format, Arc::new(StandardError), filter.as_deref());

    let folder = arguments.data.clone().unwrap_or_else(|| PathBuf::from(OWN_FOLDER));
    let with_demo = arguments.demo || arguments.sign.is_some();
    let settings = secrets::gather(environment, Path::new(DOT_ENV), &folder, with_demo, &SystemRandomness)?;
    if let Some(file) = &arguments.sign {
        return print_signed(file, &arguments.with, &settings);
    }
    if arguments.dead_letters || arguments.redrive {
        return dead_letters(&folder, &settings, arguments.redrive).await;
    }
    if arguments.database_only {
        return database_only(arguments, &folder, &settings).await;
    }
    // From the start on, so that nobody who ends it early is passed over.
    let mut end = End::listen()?;
    let options = Options { port: arguments.port, data: arguments.data.clone(), ..Options::new(settings) };
    let stack = Stack::start(options).await?;
    if !arguments.quiet {
        greeting::print(&stack.base_url(), arguments.data.as_deref(), &folder);
    }
    if arguments.demo {
        let mut demo = Demo::new(&stack, arguments.demo_pool, &std::env::current_exe()?)?;
        let outcome = tokio::select! {
            outcome = demonstrate(&mut demo) => outcome,
            () = end.come() => Ok(()),
        };
        demo.shutdown().await;
        stack.shutdown().await;
        return outcome;
    }
    end.come().await;
    stack.shutdown().await;
    Ok(())
}

/// Shows what happens, for as long as it is let.
async fn demonstrate(demo: &mut Demo) -> Result<(), Problem> {
    for step in demo.run().await? {
        greeting::print_step(&step);
    }
    while let Some(step) = demo.next_step().await {
        greeting::print_step(&step);
    }
    std::future::pending().await
}

/// Starts the database alone, and says what `cargo lambda watch` needs to find it.
async fn database_only(arguments: &Arguments, folder: &Path, settings: &Settings) -> Result<(), Problem> {
    let mut end = End::listen()?;
    let data = arguments.data.as_deref().map(database::DataFolder::take).transpose()?;
    if let Some(data) = &data {
        secrets::check_keys_of(data.path(), settings)?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let database = database::Database::start(data, Arc::clone(&clock))?;
    let client = aws_sdk_dynamodb::Client::new(&database.sdk_config());
    let prefix = settings.get("TABLE_PREFIX").map_or(TABLE_PREFIX, ExposeSecret::expose_secret);
    database::create_tables(&client, prefix, &Template::parse(TEMPLATE)?.tables).await?;
    let credentials = database::random_credentials(&SystemRandomness);
    let served = database::Served::start(database.connection().clone(), credentials, clock).await?;
    let file = secrets::write_database_file(folder, &served, prefix)?;
    greeting::print_environment(served.url(), folder, &file);
    end.come().await;
    // Its key opens nothing any more.
    let _ = std::fs::remove_file(&file);
    served.shutdown().await;
    database.shutdown().await;
    Ok(())
}

fn print_signed(file: &Path, name: &str, settings: &Settings) -> Result<(), Problem> {
    let body = std::fs::read_to_string(file).map_err(|problem| format!("{}: {problem}", file.display()))?;
    let secret = settings.get(name).ok_or_else(|| format!("{name} is not set"))?;
    let event = sign::event(body.trim_end_matches('\n'), &SigningSecret::new(secret.clone()), SystemClock.now());
    println!("{}", serde_json::to_string_pretty(&event)?);
    Ok(())
}

async fn dead_letters(folder: &Path, settings: &Settings, redrive: bool) -> Result<(), Problem> {
    let data = database::DataFolder::take(folder)?;
    secrets::check_keys_of(data.path(), settings)?;
    let database = database::Database::start(Some(data), Arc::new(SystemClock))?;
    let client = aws_sdk_dynamodb::Client::new(&database.sdk_config());
    let queue = TableQueue::open(client, Arc::new(SystemClock)).await?;
    if redrive {
        println!("{} events were queued again.", queue.redrive().await?);
    } else {
        for letter in queue.dead_letters().await? {
            let id = letter.deduplication.get(..12).unwrap_or_default();
            println!("{id}  sent {:.0}  tried {} times  {} bytes", letter.sent_at, letter.receive_count, letter.bytes);
        }
    }
    drop(queue);
    database.shutdown().await;
    Ok(())
}

/// Somebody ending this, with Ctrl-C or SIGTERM.
struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl End {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Every variable of the process as a secret, since nobody knows which are. A value that is not UTF-8 is none of ours.
#[expect(clippy::disallowed_methods, reason = "this is where this program's environment is read")]
fn environment() -> Settings {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?.into())))
        .collect()
}

/// Log lines go beside what is printed, so that either can be taken alone.
struct StandardError;

impl LineSink for StandardError {
    fn write_line(&self, line: &str) {
        use io::Write as _;
        // A log that cannot be written must not end what it is about.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }
}
