//! The whole, put together: database, queue, functions, relay and gateway.

use std::{collections::BTreeMap, io, net::Ipv4Addr, path::PathBuf, sync::Arc};

use axum::Router;
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use portcullis_runtime::{
    Platform,
    logging::LineSink,
    metrics::Metrics,
    queue::{EventQueue, QueueError},
    secrets::SecretSource,
    settings::SettingsError,
};
use tokio::net::TcpListener;

use crate::{
    courier::Courier,
    database::{DataFolder, Database, DatabaseError, create_tables, sdk_config},
    gateway::{Gateway, InvalidRoute, Limits, RoutingTable},
    queue::TableQueue,
    secrets::{self, Settings, SettingsFileError},
    template::{TEMPLATE, Template, TemplateError},
};

/// The function that has no route.
const RELAY: &str = "relay";

/// What a stack is started with.
pub struct Options {
    /// The port on loopback; 0 for one that is free.
    pub port: u16,
    /// The folder that the data is kept in; `None`: in memory.
    pub data: Option<PathBuf>,
    /// Every setting by its name, as [`secrets::gather`] gives them.
    pub settings: Settings,
    /// The clock of everything, but for the expiry of a database on files.
    pub clock: Arc<dyn Clock>,
    /// The random generator of everything.
    pub randomness: Arc<dyn Randomness>,
    /// Where counts are written, where they are.
    pub metrics: Option<Arc<dyn LineSink>>,
    /// A database that runs already, or what stands before it; `None`: the stack starts its own.
    pub database_url: Option<String>,
    /// The queue; `None`: the table of the database.
    pub queue: Option<Arc<dyn EventQueue>>,
    /// How patient the gateway is.
    pub limits: Limits,
}

/// Why a stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A route of the template cannot be served.
    #[error(transparent)]
    Route(#[from] InvalidRoute),
    /// The template names a function that is not part of this program.
    #[error("the template's function {0} is not part of this program")]
    UnknownFunction(String),
    /// The database does not start.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The data belongs to other keys.
    #[error(transparent)]
    Keys(#[from] SettingsFileError),
    /// The queue does not open.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A function's settings are missing or malformed.
    #[error("function {function}: {error}")]
    Settings {
        /// The function.
        function: String,
        /// What is wrong, each setting by name.
        error: SettingsError,
    },
    /// The port cannot be had.
    #[error("port {port} cannot be listened on: {problem}")]
    Listen {
        /// The port.
        port: u16,
        /// What the operating system said.
        problem: io::Error,
    },
}

/// A running stack. Any number of them run side by side in one process.
pub struct Stack {
    gateway: Gateway,
    courier: Option<Courier>,
    database: Option<Database>,
    database_url: String,
    platform: Platform,
    metrics: BTreeMap<String, Metrics>,
}

impl Stack {
    /// Starts everything.
    ///
    /// # Errors
    /// [`StartError`]; what had been started ends again.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let template = Template::parse(TEMPLATE)?;
        let table = RoutingTable::new(&template.routes)?;
        // Before anything else, since it is what fails most often.
        let port = options.port;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.map_err(|problem| StartError::Listen { port, problem })?;
        let (database, database_url) = database(&options).await?;
        let aws = sdk_config(&database_url);
        let client = aws_sdk_dynamodb::Client::new(&aws);
        let prefix = options.settings.get("TABLE_PREFIX").map_or("", secrecy::ExposeSecret::expose_secret);
        create_tables(&client, prefix, &template.tables).await?;
        let queue = match options.queue {
            Some(queue) => queue,
            None => Arc::new(TableQueue::open(client, Arc::clone(&options.clock)).await?),
        };
        let platform = Platform {
            secrets: Arc::new(SecretSource::Environment(options.settings.clone())),
            environment: options.settings,
            aws,
            queue: Some(Arc::clone(&queue)),
            clock: Arc::clone(&options.clock),
            randomness: options.randomness,
            metrics: Metrics::new("local", options.clock, None),
        };
        let mut functions = BTreeMap::new();
        let mut metrics = BTreeMap::new();
        let mut courier = None;
        for name in template.functions {
            let counters = Metrics::new(&name, Arc::clone(&platform.clock), options.metrics.clone());
            let own = Platform { metrics: counters.clone(), ..platform.clone() };
            let failed = |error| StartError::Settings { function: name.clone(), error };
            if name == RELAY {
                let relay = relay::Relay::start(&own).await.map_err(failed)?;
                courier = Some(Courier::start(relay, Arc::clone(&queue)));
            } else {
                functions.insert(name.clone(), function(&name, &own).await?.map_err(failed)?);
            }
            metrics.insert(name, counters);
        }
        let gateway = Gateway::start(listener, table, functions, options.limits);
        let gateway = gateway.map_err(|problem| StartError::Listen { port, problem })?;
        Ok(Self { gateway, courier, database, database_url, platform, metrics })
    }

    /// Where the API answers, such as `http://127.0.0.1:8787`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.gateway.address())
    }

    /// Where the database answers.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// What the functions were started on.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// A function's counters.
    #[must_use]
    pub fn metrics(&self, function: &str) -> Option<&Metrics> {
        self.metrics.get(function)
    }

    /// Ends everything, from the front to the back, so that what was accepted is stored.
    pub async fn shutdown(self) {
        self.gateway.shutdown().await;
        if let Some(courier) = self.courier {
            courier.shutdown().await;
        }
        drop(self.platform);
        if let Some(database) = self.database {
            database.shutdown().await;
        }
    }
}

/// The database that is there, or one of its own.
async fn database(options: &Options) -> Result<(Option<Database>, String), StartError> {
    if let Some(url) = &options.database_url {
        return Ok((None, url.clone()));
    }
    let folder = options.data.as_deref().map(DataFolder::take).transpose().map_err(DatabaseError::from)?;
    if let Some(folder) = &folder {
        secrets::check_keys_of(folder.path(), &options.settings)?;
    }
    let database = Database::start(folder, Arc::clone(&options.clock)).await?;
    let url = database.url().to_owned();
    Ok((Some(database), url))
}

/// Starts the function that the template names.
async fn function(name: &str, platform: &Platform) -> Result<Result<Router, SettingsError>, StartError> {
    match name {
        "slack" => Ok(slack::start(platform).await),
        "internal" => Ok(internal::start(platform).await),
        "skills" => Ok(skills::start(platform).await),
        _ => Err(StartError::UnknownFunction(name.to_owned())),
    }
}
