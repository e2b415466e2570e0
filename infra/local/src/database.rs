//! The embedded DynamoDB: an engine in this process, served on a loopback port.
//!
//! Everything talks to it with the real AWS client over HTTP, so what works here has gone through the same wire, the same
//! conditions and the same errors as on AWS.

mod folder;
mod tables;

use std::{net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use dynoxide::storage_backend;
use portcullis_auth::Clock;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

pub use folder::{DataFolder, DataFolderError};
pub use tables::create_tables;

/// How often expired items are deleted. DynamoDB itself promises no more than a few days.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);
/// How long the end waits for requests that are under way.
const GRACE: Duration = Duration::from_secs(2);

/// Why the embedded database does not run.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    /// The engine does not open its file.
    #[error("the database does not open: {0}")]
    Engine(#[from] dynoxide::DynoxideError),
    /// No port of loopback could be had.
    #[error("the database gets no port on loopback: {0}")]
    Listen(#[from] std::io::Error),
    /// A table could not be made.
    #[error("table {table} could not be made: {problem}")]
    Table {
        /// The table's full name.
        table: String,
        /// What the engine said.
        problem: String,
    },
}

/// A running embedded database.
///
/// With a data folder, what was acknowledged has been handed to the operating system and synced (the engine's
/// write-ahead log, with `synchronous` at its default of `FULL`): it survives the death of this process at any moment.
pub struct Database {
    url: String,
    stop: CancellationToken,
    server: JoinHandle<Result<(), String>>,
    sweeper: JoinHandle<()>,
    // Held until the end: a second process on the same folder would have a queue of its own.
    folder: Option<DataFolder>,
}

impl Database {
    /// Starts the engine in memory, or on the files in `folder`.
    ///
    /// In memory it expires items by `clock`; on files by the machine's clock, which is the engine's own.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn start(folder: Option<DataFolder>, clock: Arc<dyn Clock>) -> Result<Self, DatabaseError> {
        let engine = match &folder {
            Some(folder) => dynoxide::Database::new(&folder.database_file()?)?,
            None => dynoxide::Database::memory_with_clock(Arc::new(EngineClock(clock)))?,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(listener, engine.clone(), stopped));
        let sweeper = tokio::spawn(sweep(engine, stop.clone()));
        Ok(Self { url, stop, server, sweeper, folder })
    }

    /// Where it answers, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder that it keeps its files in, if it keeps any.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(DataFolder::path)
    }

    /// Ends it: requests under way are answered, for at most 2 seconds, and the files are closed.
    pub async fn shutdown(self) {
        self.stop.cancel();
        // A client that has sent half a request would hold the end up for as long as it likes.
        let mut server = self.server;
        match timeout(GRACE, &mut server).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(problem))) => tracing::warn!(problem, "the database's server failed"),
            Ok(Err(error)) => tracing::warn!(%error, "the database's server failed"),
            Err(_) => server.abort(),
        }
        if let Err(error) = self.sweeper.await {
            tracing::warn!(%error, "the database's sweeper failed");
        }
    }
}

/// What AWS clients are made of to reach the embedded database at `url`, whose credentials are any.
#[must_use]
pub fn sdk_config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// Deletes expired items until the end.
async fn sweep(engine: dynoxide::Database, stop: CancellationToken) {
    while timeout(SWEEP_INTERVAL, stop.cancelled()).await.is_err() {
        let engine = engine.clone();
        match tokio::task::spawn_blocking(move || engine.sweep_ttl()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(deleted)) => tracing::debug!(deleted, "expired items were deleted"),
            Ok(Err(error)) => tracing::warn!(%error, "expired items could not be deleted"),
            Err(error) => tracing::warn!(%error, "the sweep of expired items failed"),
        }
    }
}

/// Our clock as the engine knows clocks.
struct EngineClock(Arc<dyn Clock>);

impl storage_backend::Clock for EngineClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().as_second()).unwrap_or(0)
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_duration().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Mutex};

    use aws_sdk_dynamodb::{Client, types::AttributeValue};
    use jiff::Timestamp;

    use super::*;
    use crate::template::{TEMPLATE, Template};

    struct FixedClock(Timestamp);

    impl Clock for FixedClock {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    fn clock() -> Arc<dyn Clock> {
        Arc::new(FixedClock(Timestamp::from_second(1_800_000_000).unwrap()))
    }

    /// A folder that goes when the test ends.
    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    async fn start(folder: Option<&Path>) -> (Database, Client) {
        let folder = folder.map(|folder| DataFolder::take(folder).unwrap());
        let database = Database::start(folder, clock()).await.unwrap();
        let client = Client::new(&sdk_config(database.url()));
        create_tables(&client, "test-", &Template::parse(TEMPLATE).unwrap().tables).await.unwrap();
        (database, client)
    }

    fn pool(id: &str) -> HashMap<String, AttributeValue> {
        HashMap::from([("id".to_owned(), AttributeValue::S(id.to_owned()))])
    }

    #[tokio::test]
    async fn every_table_of_the_template_is_made_and_making_them_again_changes_nothing() {
        let (database, client) = start(None).await;
        client.put_item().table_name("test-pools").set_item(Some(pool("p1"))).send().await.unwrap();
        let tables = Template::parse(TEMPLATE).unwrap().tables;
        create_tables(&client, "test-", &tables).await.unwrap();
        let names = client.list_tables().send().await.unwrap().table_names.unwrap();
        assert_eq!(names.len(), tables.len());
        let bots = client.describe_table().table_name("test-bots").send().await.unwrap().table.unwrap();
        assert_eq!(bots.global_secondary_indexes().len(), 1);
        let ttl = client.describe_time_to_live().table_name("test-event_log").send().await.unwrap();
        assert_eq!(ttl.time_to_live_description.unwrap().attribute_name.as_deref(), Some("expiresAt"));
        let item = client.get_item().table_name("test-pools").set_key(Some(pool("p1"))).send().await.unwrap();
        assert!(item.item.is_some(), "what a table held before is still there");
        database.shutdown().await;
    }

    #[tokio::test]
    async fn a_table_with_another_key_is_refused_at_start() {
        let (database, client) = start(None).await;
        let mut tables = Template::parse(TEMPLATE).unwrap().tables;
        let pools = tables.iter_mut().find(|table| table.name == "pools").unwrap();
        pools.key.partition.name = "other".to_owned();
        let error = create_tables(&client, "test-", &tables).await.unwrap_err().to_string();
        assert_eq!(error, "table test-pools could not be made: it is there already, with another key");
        database.shutdown().await;
    }

    #[tokio::test]
    async fn what_was_written_to_a_folder_is_there_after_a_restart_and_one_in_memory_is_not() {
        let folder = folder();
        let (database, client) = start(Some(folder.path())).await;
        client.put_item().table_name("test-pools").set_item(Some(pool("p1"))).send().await.unwrap();
        database.shutdown().await;

        let (database, client) = start(Some(folder.path())).await;
        let kept = client.get_item().table_name("test-pools").set_key(Some(pool("p1"))).send().await.unwrap();
        assert!(kept.item.is_some());
        database.shutdown().await;

        let (database, client) = start(None).await;
        let kept = client.get_item().table_name("test-pools").set_key(Some(pool("p1"))).send().await.unwrap();
        assert!(kept.item.is_none());
        database.shutdown().await;
    }

    #[tokio::test]
    async fn a_folder_in_use_is_refused_and_free_again_after_the_end() {
        let folder = folder();
        let (database, _) = start(Some(folder.path())).await;
        let refusal = DataFolder::take(folder.path()).unwrap_err();
        assert!(matches!(refusal, DataFolderError::InUse(_)), "{refusal}");
        database.shutdown().await;
        DataFolder::take(folder.path()).unwrap();
    }

    #[tokio::test]
    async fn the_engine_of_a_database_in_memory_expires_by_our_clock() {
        struct Movable(Mutex<Timestamp>);
        impl Clock for Movable {
            fn now(&self) -> Timestamp {
                *self.0.lock().unwrap()
            }
        }
        let movable = Arc::new(Movable(Mutex::new(Timestamp::from_second(1_000).unwrap())));
        let engine = EngineClock(Arc::clone(&movable) as Arc<dyn Clock>);
        assert_eq!(storage_backend::Clock::now_unix_secs(&engine), 1_000);
        *movable.0.lock().unwrap() = Timestamp::from_second(2_000).unwrap();
        assert_eq!(storage_backend::Clock::now_unix_secs(&engine), 2_000);
    }

    #[tokio::test]
    async fn half_a_request_does_not_hold_up_the_end() {
        use tokio::io::AsyncWriteExt;
        let (database, _) = start(None).await;
        let address = database.url().trim_start_matches("http://").to_owned();
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        connection.write_all(b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\n").await.unwrap();
        timeout(GRACE * 2, database.shutdown()).await.expect("it ends");
    }
}
