//! The whole stack: database, queue, functions, gateway and relay.

mod stand_ins;

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use axum::Router;
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use portcullis_runtime::{
    Environment, SystemClock, SystemRandomness,
    logging::LineSink,
    mail::Mailer,
    metrics::Metrics,
    queue::{EventQueue, QueueError},
    secrets::SecretSource,
    settings::SettingsError,
};
use portcullis_store::ClientOptions;
use relay::Relay;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

use crate::{
    access::{Access, Guarded},
    database::{DataFolder, Database, DatabaseError, create_tables},
    deliveries::Deliveries,
    gateway::{Gateway, InvalidRoute, Limits, OwnPages, RoutingTable, Site, Watcher},
    mailbox::Mailbox,
    queue::{SqliteQueue, check_no_older_queue},
    secrets::{self, SettingsFileError},
    template::{TEMPLATE, Template, TemplateError},
    wal_sync::Durability,
};

/// Default of `TABLE_PREFIX`, the prefix of the tables' names.
pub const TABLE_PREFIX: &str = "portcullis-local-";
/// Default of `POOL_CIDRS`, the networks of pools.
pub const POOL_CIDRS: &str = "127.0.0.0/8";

/// Wraps a queue.
pub type WrapQueue = Box<dyn FnOnce(Arc<dyn EventQueue>) -> Arc<dyn EventQueue> + Send>;
/// Wraps an HTTP client that calls the database.
pub type WrapClient = Box<dyn Fn(SharedHttpClient) -> SharedHttpClient + Send + Sync>;

/// Options of a stack.
#[expect(clippy::struct_excessive_bools, reason = "each stand-in is started or not, whatever the others are")]
pub struct Options {
    /// Port of 127.0.0.1; 0 for any that is free.
    pub port: u16,
    /// Folder of the database and the queue; `None` keeps them in memory.
    pub data: Option<PathBuf>,
    /// Durability of an answered write to that folder.
    pub durability: Durability,
    /// A DynamoDB to use in place of an embedded one, such as a stand-in that makes it fail.
    pub database: Option<SdkConfig>,
    /// Wrapper of each function's HTTP client of the database, such as one that alters answers.
    pub wrap_client: Option<WrapClient>,
    /// Wrapper of the queue, such as a stand-in that makes it fail.
    pub wrap_queue: Option<WrapQueue>,
    /// The functions' settings.
    pub variables: BTreeMap<String, SecretString>,
    /// Clock of all parts.
    pub clock: Arc<dyn Clock>,
    /// Random generator.
    pub randomness: Arc<dyn Randomness>,
    /// Folder of the mail; `None` keeps it in memory.
    pub mailbox: Option<PathBuf>,
    /// Whether a stand-in for Slack answers at `/dev/slack`, unless the settings name a Slack.
    pub dev_slack: bool,
    /// Whether a stand-in for Composio answers at `/dev/composio`, unless the settings name a Composio.
    pub dev_composio: bool,
    /// Whether a stand-in for Discord answers at `/dev/discord`, unless the settings name a Discord.
    pub dev_discord: bool,
    /// Whether a stand-in for Feishu answers at `/dev/feishu`, unless the settings name a Feishu.
    pub dev_feishu: bool,
    /// Sink of metrics; `None` only counts them.
    pub metrics: Option<Arc<dyn LineSink>>,
    /// Channel that answered requests are sent to.
    pub watcher: Option<Watcher>,
    /// Factor of every time-out: 1, except in tests that do not test time-outs.
    pub patience: u32,
    /// Factor of the time-outs of a delivery to a pool.
    pub delivery_patience: u32,
}

impl Options {
    /// Options in memory, on a free port, with the machine's clock and random generator.
    #[must_use]
    pub fn new(variables: BTreeMap<String, SecretString>) -> Self {
        Self {
            port: 0,
            data: None,
            durability: Durability::default(),
            database: None,
            wrap_client: None,
            wrap_queue: None,
            variables,
            clock: Arc::new(SystemClock),
            randomness: Arc::new(SystemRandomness),
            mailbox: None,
            dev_slack: false,
            dev_composio: false,
            dev_discord: false,
            dev_feishu: false,
            metrics: None,
            watcher: None,
            patience: 1,
            delivery_patience: 1,
        }
    }
}

/// Reason why a stack does not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The embedded database does not run.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The data folder was sealed under other keys.
    #[error(transparent)]
    Keys(#[from] SettingsFileError),
    /// The template has an unexpected form.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The template has invalid routes.
    #[error(transparent)]
    Routes(#[from] InvalidRoute),
    /// A setting is missing or malformed.
    #[error("settings: {0}")]
    Settings(#[from] SettingsError),
    /// The queue does not open.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The template lacks the function `relay`.
    #[error("the template has no function relay")]
    NoRelay,
    /// The template names a function that this program does not contain.
    #[error("the template has a function {0} that is not part of this program")]
    UnknownFunction(String),
    /// The port is not available.
    #[error("127.0.0.1:{port} cannot be bound: {problem}")]
    Port {
        /// Requested port.
        port: u16,
        /// The system's error.
        problem: io::Error,
    },
}

/// Location of a stack's tables.
enum Data {
    /// The stack's own database.
    Embedded(Database),
    /// A given database. The folder, if any, holds only the queue, and stays locked until the end.
    Elsewhere { _folder: Option<DataFolder> },
}

/// A running stack.
pub struct Stack {
    gateway: Gateway,
    deliveries: Deliveries,
    data: Data,
    access: Vec<Arc<Access>>,
    environment: Environment,
    queue: Arc<SqliteQueue>,
}

impl Stack {
    /// Starts everything; requests are answered once this returns.
    ///
    /// # Errors
    /// [`StackError`]; no part of the stack then keeps running.
    pub async fn start(mut options: Options) -> Result<Self, StackError> {
        let port = options.port;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.map_err(|problem| StackError::Port { port, problem })?;
        let template = Template::parse(TEMPLATE)?;
        let table = RoutingTable::new(&template.routes)?;
        let folder = data_folder(&options)?;
        let queue_file = folder.as_ref().map(DataFolder::queue_file).transpose().map_err(DatabaseError::from)?;
        let (data, aws) = if let Some(aws) = &options.database {
            (Data::Elsewhere { _folder: folder }, aws.clone())
        } else {
            let database = Database::start(folder, options.durability, Arc::clone(&options.clock))?;
            let aws = database.sdk_config();
            (Data::Embedded(database), aws)
        };
        let address = listener.local_addr().map_err(|problem| StackError::Port { port, problem })?;
        let mut variables = with_defaults(std::mem::take(&mut options.variables), address);
        let own_pages = stand_ins::start(&options, &mut variables, address);
        let client = portcullis_store::client_with(&aws, &ClientOptions::with_patience(options.patience));
        create_tables(&client, prefix_of(&variables), &template.tables).await?;
        if queue_file.is_some() {
            check_no_older_queue(&client).await?;
        }
        let queue = SqliteQueue::open(queue_file.as_deref(), options.durability, Arc::clone(&options.clock))?;
        let queue = Arc::new(queue);
        let events = Arc::clone(&queue) as Arc<dyn EventQueue>;
        let events = options.wrap_queue.map_or_else(|| Arc::clone(&events), |wrap| wrap(Arc::clone(&events)));
        let mailbox = Arc::new(Mailbox::new(options.mailbox, Arc::clone(&options.clock)));
        let environment = Environment {
            secrets: Arc::new(SecretSource::Environment(variables.clone())),
            variables,
            aws,
            queue: Some(Arc::clone(&events)),
            mailer: Some(Arc::clone(&mailbox) as Arc<dyn Mailer>),
            metrics: Metrics::new("local", Arc::clone(&options.clock), options.metrics),
            clock: options.clock,
            randomness: options.randomness,
            patience: options.patience,
            delivery_patience: options.delivery_patience,
        };
        let access = accesses(prefix_of(&environment.variables), &template);
        let (functions, relay) = start_functions(&environment, &access, options.wrap_client.as_ref()).await?;
        let limits = Limits::with_patience(options.patience);
        let pages = OwnPages { mailbox: Some(mailbox), ..own_pages };
        let gateway = Gateway::start(listener, Site { table, functions, limits, watcher: options.watcher, pages })
            .map_err(|problem| StackError::Port { port, problem })?;
        let deliveries = Deliveries::start(Arc::new(relay), events);
        Ok(Self { gateway, deliveries, data, access, environment, queue })
    }

    /// Base URL, such as `http://127.0.0.1:8787`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.gateway.address())
    }

    /// The embedded database; `None` where another one was given.
    #[must_use]
    pub fn database(&self) -> Option<&Database> {
        match &self.data {
            Data::Embedded(database) => Some(database),
            Data::Elsewhere { .. } => None,
        }
    }

    /// Environment that the functions were started in.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Grants of each function to the tables, and the used ones among them.
    #[must_use]
    pub fn access(&self) -> &[Arc<Access>] {
        &self.access
    }

    /// Queue of accepted events.
    #[must_use]
    pub fn queue(&self) -> &SqliteQueue {
        &self.queue
    }

    /// Shuts everything down, the gateway first: requests and deliveries in flight are finished, queued events stay
    /// queued.
    pub async fn shutdown(self) {
        self.gateway.shutdown().await;
        self.deliveries.shutdown().await;
        // Must precede the release of the folder's lock.
        self.queue.close();
        if let Data::Embedded(database) = self.data {
            database.shutdown().await;
        }
    }
}

/// Locks the data folder and checks its keys; `None` for data in memory or elsewhere.
fn data_folder(options: &Options) -> Result<Option<DataFolder>, StackError> {
    let Some(path) = options.data.as_deref() else { return Ok(None) };
    let folder = DataFolder::take(path).map_err(DatabaseError::from)?;
    match secrets::check_keys_of(folder.path(), &options.variables) {
        // The functions report this error too, together with all other settings errors.
        Err(SettingsFileError::Keyring(_)) => {}
        outcome => outcome?,
    }
    Ok(Some(folder))
}

/// Adds default settings; none is a secret.
fn with_defaults(mut variables: BTreeMap<String, SecretString>, address: SocketAddr) -> BTreeMap<String, SecretString> {
    let here = format!("http://{address}");
    for (name, value) in [("TABLE_PREFIX", TABLE_PREFIX), ("POOL_CIDRS", POOL_CIDRS), ("BETTER_AUTH_URL", &here)] {
        variables.entry(name.to_owned()).or_insert_with(|| value.into());
    }
    variables
}

fn prefix_of(variables: &BTreeMap<String, SecretString>) -> &str {
    variables.get("TABLE_PREFIX").map_or(TABLE_PREFIX, ExposeSecret::expose_secret)
}

/// Grants of each function in the template.
fn accesses(prefix: &str, template: &Template) -> Vec<Arc<Access>> {
    let functions = template.functions.iter();
    let granted = |function: &String| template.grants.get(function).cloned().unwrap_or_default();
    functions.map(|function| Arc::new(Access::new(function, prefix, granted(function)))).collect()
}

/// Environment of one function, with its own credentials and grants. `wrap` gets only the calls that the grants allow.
fn for_function(environment: &Environment, access: &Arc<Access>, wrap: Option<&WrapClient>) -> Environment {
    let mut environment = environment.clone();
    if let Some(client) = environment.aws.http_client() {
        let credentials = Credentials::new(access.function(), "local", None, None, "local");
        let client = wrap.map_or_else(|| client.clone(), |wrap| wrap(client.clone()));
        let aws = environment.aws.to_builder().http_client(Guarded::new(client, Arc::clone(access)));
        environment.aws = aws.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
    }
    environment
}

/// Starts all functions, and reports the settings errors of all of them at once.
async fn start_functions(
    environment: &Environment,
    access: &[Arc<Access>],
    wrap: Option<&WrapClient>,
) -> Result<(BTreeMap<String, Router>, Relay), StackError> {
    let mut functions = BTreeMap::new();
    let mut refusals = Vec::new();
    let mut relay = None;
    for access in access {
        let (name, environment) = (access.function().to_owned(), for_function(environment, access, wrap));
        let started = match name.as_str() {
            "auth" => auth::start(&environment).await,
            "internal" => internal::start(&environment).await,
            "skills" => skills::start(&environment).await,
            "slack" => slack::start(&environment).await,
            "v1" => v1::start(&environment).await,
            // The relay has no route: [`Deliveries`] runs it.
            "relay" => {
                relay = Some(environment);
                continue;
            }
            unknown => return Err(StackError::UnknownFunction(unknown.to_owned())),
        };
        match started {
            Ok(router) => drop(functions.insert(name, router)),
            Err(error) => refusals.push(error),
        }
    }
    let relay = relay.ok_or(StackError::NoRelay)?;
    match Relay::start(&relay).await {
        Ok(relay) if refusals.is_empty() => return Ok((functions, relay)),
        Ok(_) => {}
        Err(error) => refusals.push(error),
    }
    Err(SettingsError::of_all(refusals).into())
}
