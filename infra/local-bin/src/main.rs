//! `cargo local`: all of Portcullis on this machine.

mod cli;
mod greeting;
mod terminal;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use mimalloc::MiMalloc;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use portcullis_auth::{Clock, SigningSecret};
use portcullis_demo::{Demo, openclaw};
use portcullis_local::{
    Options, Stack, StackError, database,
    gateway::Answered,
    import,
    queue::{SqliteQueue, check_no_older_queue},
    running::Running,
    secrets::{self, Found, GENERATED_FILE, Settings},
    sign,
    stack::TABLE_PREFIX,
    template::{TEMPLATE, Template},
};
use portcullis_runtime::{
    SystemClock, SystemRandomness,
    logging::{self, Format, LineSink},
};
use portcullis_store::{FixedKeys, Store};
use secrecy::ExposeSecret;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use cli::{Arguments, Part};
use greeting::Greeting;
use terminal::{OutputClosed, ShutdownSignal, complain, print, reader_gone};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Default folder of generated secrets, unless `--data` names another.
const OWN_FOLDER: &str = ".local";
const DOT_ENV: &str = ".env";

type Problem = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    // The sidecar starts processes of its own from this binary.
    if let Some(code) = portcullis_sidecar::own_program::mode() {
        return code;
    }
    let arguments = Arguments::parse();
    // No runtime yet: the sidecar makes its own.
    if let Some(Part::Sidecar { child }) = arguments.part {
        end_with_input();
        return portcullis_sidecar::run::main_for_trusted_child(child.into_iter());
    }
    let outcome = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match outcome.map_err(Problem::from).and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) if problem.is::<OutputClosed>() => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&format!("cargo local: {problem}"));
            ExitCode::FAILURE
        }
    }
}

/// Ends this process and its child when standard input ends. The demonstration holds the other end of that pipe, and
/// the kernel closes it however the demonstration dies.
fn end_with_input() {
    std::thread::spawn(|| {
        // A read error counts as the end.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = kill(Pid::this(), Signal::SIGTERM);
    });
}

async fn run(arguments: &Arguments) -> Result<(), Problem> {
    let environment = environment();
    if let Some(Part::StandInOpenclaw { port, slack_api }) = &arguments.part {
        let config = environment.get("OPENCLAW_CONFIG_PATH").ok_or("OPENCLAW_CONFIG_PATH is not set")?;
        return Ok(openclaw::run(*port, config.expose_secret().into(), slack_api.clone()).await?);
    }
    let filter = environment.get("RUST_LOG").map(|filter| filter.expose_secret().to_owned());
    // A demonstration prints its own lines instead of the log.
    let is_calm = arguments.quiet || (arguments.demo && !arguments.json);
    let filter = filter.or_else(|| is_calm.then(|| "warn".to_owned()));
    let format = if arguments.json { Format::Json } else { Format::Text };
    logging::start(format, Arc::new(StandardError), filter.as_deref());

    let folder = arguments.data.clone().unwrap_or_else(|| PathBuf::from(OWN_FOLDER));
    if arguments.send.is_some() || arguments.text.is_some() || arguments.runtime_token.is_some() {
        return ask_running(arguments, found(secrets::find(environment, Path::new(DOT_ENV), &folder)?).settings).await;
    }
    if arguments.dead_letters || arguments.redrive {
        // First, so that a misspelt folder is not created.
        database::DataFolder::check_used(&folder)?;
    }
    let with_demo = arguments.demo || arguments.sign.is_some();
    let gathered = secrets::gather(environment, Path::new(DOT_ENV), &folder, with_demo, &SystemRandomness)?;
    let Found { settings, sources, .. } = found(gathered);
    if let Some(file) = &arguments.import_users {
        return import_users(file, arguments, &settings).await;
    }
    if let Some(file) = &arguments.sign {
        return print_signed(file, &arguments.with, &settings);
    }
    if arguments.dead_letters || arguments.redrive {
        return dead_letters(&folder, &settings, arguments).await;
    }
    if arguments.database_only {
        return database_only(arguments, &folder, &settings).await;
    }
    // Listen from the start, so that a signal during the start counts.
    let mut shutdown = ShutdownSignal::listen()?;
    let (watcher, requests) = arguments.demo.then(mpsc::unbounded_channel).unzip();
    let options = Options {
        port: arguments.port,
        data: arguments.data.clone(),
        durability: arguments.survive.into(),
        mailbox: Some(folder.join("mailbox")),
        dev_slack: arguments.demo,
        dev_composio: arguments.demo,
        dev_discord: arguments.demo,
        dev_feishu: arguments.demo,
        watcher,
        ..Options::new(settings)
    };
    let stack = match Stack::start(options).await {
        Err(StackError::Settings(error)) => return Err(greeting::settings_problems(error.problems(), &sources).into()),
        outcome => outcome?,
    };
    let greeting = Greeting { base_url: stack.base_url(), data: arguments.data.clone(), folder };
    let outcome = greet_and_serve(arguments, &greeting, &stack, requests, &mut shutdown).await;
    stack.shutdown().await;
    outcome
}

/// Prints the warnings about the settings files.
fn found(found: Found) -> Found {
    for warning in &found.warnings {
        complain(&format!("cargo local: {warning}"));
    }
    found
}

/// Runs a task against a stack that is running already.
async fn ask_running(arguments: &Arguments, settings: Settings) -> Result<(), Problem> {
    let running = Running::at(arguments.port)?;
    let setting = |name: &str| {
        let missing = || format!("{name} is not set in the environment, {DOT_ENV} or {GENERATED_FILE}");
        settings.get(name).cloned().ok_or_else(missing)
    };
    if let Some(pool) = &arguments.runtime_token {
        let token = running.runtime_token(pool, arguments.ttl, &setting("INTERNAL_API_TOKEN")?).await?;
        return print(&greeting::token(token.expose_secret(), arguments.json));
    }
    let body = match (&arguments.send, &arguments.text) {
        (Some(file), _) => read_body(file)?,
        (None, text) => portcullis_demo::event(text.as_deref().unwrap_or_default(), &SystemClock, &SystemRandomness),
    };
    let secret = SigningSecret::new(setting(&arguments.with)?);
    let answer = running.send_event(body, &secret, SystemClock.now()).await?;
    print(&format!("{answer}\n"))
}

fn read_body(file: &Path) -> Result<String, Problem> {
    let body = std::fs::read_to_string(file).map_err(|problem| format!("{}: {problem}", file.display()))?;
    Ok(body.trim_end_matches('\n').to_owned())
}

/// Prints the addresses, then serves until a signal.
async fn greet_and_serve(
    arguments: &Arguments,
    greeting: &Greeting,
    stack: &Stack,
    requests: Option<UnboundedReceiver<Answered>>,
    shutdown: &mut ShutdownSignal,
) -> Result<(), Problem> {
    print(&greeting.text(arguments))?;
    let Some(requests) = requests else {
        shutdown.recv().await;
        return Ok(());
    };
    let demo = Demo::new(stack, arguments.demo_pool, &std::env::current_exe()?)?;
    let mut demo = demo.with_requests(requests);
    let outcome = tokio::select! {
        outcome = demonstrate(&mut demo, arguments.json) => outcome,
        () = shutdown.recv() => Ok(()),
        // Standard output has no reader left.
        () = reader_gone() => Ok(()),
    };
    demo.shutdown().await;
    outcome
}

/// Prints the demonstration's steps until it ends.
async fn demonstrate(demo: &mut Demo, json: bool) -> Result<(), Problem> {
    for step in demo.run().await? {
        print(&greeting::step(&step, json))?;
    }
    while let Some(step) = demo.next_step().await {
        print(&greeting::step(&step, json))?;
    }
    std::future::pending().await
}

/// Starts only the database, and prints the settings by which `cargo lambda watch` finds it.
async fn database_only(arguments: &Arguments, folder: &Path, settings: &Settings) -> Result<(), Problem> {
    let mut shutdown = ShutdownSignal::listen()?;
    let data = arguments.data.as_deref().map(database::DataFolder::take).transpose()?;
    if let Some(data) = &data {
        secrets::check_keys_of(data.path(), settings)?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let database = database::Database::start(data, arguments.survive.into(), Arc::clone(&clock))?;
    let client = aws_sdk_dynamodb::Client::new(&database.sdk_config());
    let prefix = settings.get("TABLE_PREFIX").map_or(TABLE_PREFIX, ExposeSecret::expose_secret);
    database::create_tables(&client, prefix, &Template::parse(TEMPLATE)?.tables).await?;
    let credentials = database::random_credentials(&SystemRandomness);
    let served = database::Served::start(database.connection().clone(), credentials, clock).await?;
    let file = secrets::write_database_file(folder, &served, prefix)?;
    let told = print(&greeting::database(served.url(), folder, &file, arguments.json));
    if told.is_ok() {
        shutdown.recv().await;
    }
    secrets::remove_database_file(&file, &served);
    served.shutdown().await;
    database.shutdown().await;
    told
}

fn print_signed(file: &Path, name: &str, settings: &Settings) -> Result<(), Problem> {
    let body = read_body(file)?;
    let secret = settings.get(name).ok_or_else(|| format!("{name} is not set"))?;
    let event = sign::event(&body, &SigningSecret::new(secret.clone()), SystemClock.now());
    print(&format!("{}\n", serde_json::to_string_pretty(&event)?))
}

/// Imports people into the folder of `--data`, or into the DynamoDB that the settings name. Fails where a row was
/// rejected.
async fn import_users(file: &Path, arguments: &Arguments, settings: &Settings) -> Result<(), Problem> {
    let rows = std::fs::File::open(file).map_err(|problem| format!("{}: {problem}", file.display()))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let data = arguments.data.as_deref().map(database::DataFolder::take).transpose()?;
    let prefix = settings.get("TABLE_PREFIX").map_or(TABLE_PREFIX, ExposeSecret::expose_secret);
    let (database, aws) = match data {
        Some(data) => {
            secrets::check_keys_of(data.path(), settings)?;
            let database = database::Database::start(Some(data), arguments.survive.into(), Arc::clone(&clock))?;
            let aws = database.sdk_config();
            let client = aws_sdk_dynamodb::Client::new(&aws);
            database::create_tables(&client, prefix, &Template::parse(TEMPLATE)?.tables).await?;
            (Some(database), aws)
        }
        None => (None, portcullis_runtime::aws::config(settings)),
    };
    // Accounts hold no sealed values, so no keys are needed.
    let store = Store::new(
        portcullis_store::client(&aws),
        prefix,
        Arc::new(FixedKeys::default()),
        clock,
        Arc::new(SystemRandomness),
    );
    let report = import::run(&store, std::io::BufReader::new(rows)).await;
    if let Some(database) = database {
        database.shutdown().await;
    }
    let report = report?;
    print(&greeting::imported(&report, arguments.json))?;
    if report.refused.is_empty() { Ok(()) } else { Err("some rows were left out".into()) }
}

async fn dead_letters(folder: &Path, settings: &Settings, arguments: &Arguments) -> Result<(), Problem> {
    let data = database::DataFolder::take(folder)?;
    secrets::check_keys_of(data.path(), settings)?;
    let file = data.queue_file()?;
    let database = database::Database::start(Some(data), arguments.survive.into(), Arc::new(SystemClock))?;
    check_no_older_queue(&aws_sdk_dynamodb::Client::new(&database.sdk_config())).await?;
    let queue = SqliteQueue::open(Some(&file), arguments.survive.into(), Arc::new(SystemClock))?;
    let text = if arguments.redrive {
        greeting::redriven(queue.redrive().await?, arguments.json)
    } else {
        greeting::dead_letters(&queue.dead_letters()?, arguments.json)
    };
    queue.close();
    database.shutdown().await;
    print(&text)
}

/// All variables of the process, each treated as a secret. Values that are not UTF-8 are skipped.
#[expect(clippy::disallowed_methods, reason = "this is where this program's environment is read")]
fn environment() -> Settings {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?.trim().into())))
        .collect()
}

/// Sink of log lines: standard error, so that logs and output can be separated.
struct StandardError;

impl LineSink for StandardError {
    fn write_line(&self, line: &str) {
        complain(line);
    }
}
