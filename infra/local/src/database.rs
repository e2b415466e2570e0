//! The embedded DynamoDB: an engine in this process, without a port.
//!
//! All callers use the real AWS client, so that local calls have the same JSON, the same conditions and the same errors
//! as on AWS. [`Served`] serves it on a port for programs that cannot share this process.

mod calls;
mod connection;
mod folder;
mod served;
mod tables;

use std::{path::Path, sync::Arc, time::Duration};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use dynoxide::storage_backend;
use portcullis_auth::Clock;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub use calls::Answer;
pub use connection::{CallError, Connection};
pub use folder::{DataFolder, DataFolderError};
pub use served::{Served, random_credentials};
pub use tables::create_tables;

use crate::wal_sync::{Durability, WalSync};

/// Interval of the deletion of expired items. DynamoDB itself promises no more than a few days.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// Reason why the embedded database does not run.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    /// The engine did not start in memory.
    #[error("the database does not start: {0}")]
    Engine(#[from] dynoxide::DynoxideError),
    /// The file is damaged or not a database. The engine's own message would only help its programmer.
    #[error("{file} is damaged or no database of this program: restore it from a backup, or start with another folder")]
    Damaged {
        /// File of the database.
        file: String,
    },
    /// The engine fails to open its file, for another reason.
    #[error("{file} does not open: {problem}")]
    File {
        /// File of the database.
        file: String,
        /// The engine's message.
        problem: String,
    },
    /// A table could not be created.
    #[error("table {table} could not be made: {problem}")]
    Table {
        /// Full name of the table.
        table: String,
        /// The engine's message.
        problem: String,
    },
}

/// A running embedded database.
///
/// With a data folder, an acknowledged write is in the engine's write-ahead log, and survives the death of this process
/// at any moment; with [`Durability::PowerCut`] the log is also on the disk by then.
pub struct Database {
    connection: Connection,
    stop: CancellationToken,
    sweeper: JoinHandle<()>,
    // Held until the end: a second process on the same folder would have a queue of its own.
    folder: Option<DataFolder>,
}

impl Database {
    /// Starts the engine in memory, or on the files in `folder`, with writes as durable as `durability` requires.
    ///
    /// In memory it expires items by `clock`; on files by the machine's clock, which is the engine's own.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn start(
        folder: Option<DataFolder>,
        durability: Durability,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DatabaseError> {
        let (engine, sync) = match &folder {
            Some(folder) => {
                let file = folder.database_file()?;
                let engine = dynoxide::Database::new(&file).map_err(|error| does_not_open(file.clone(), &error))?;
                // Sets `synchronous = NORMAL` in the engine: its commits leave the wait for the disk to `WalSync`.
                engine.disable_bulk_loading()?;
                let sync = WalSync::start(&file, durability);
                (engine, sync.map_err(|problem| DatabaseError::File { file, problem: problem.to_string() })?)
            }
            None => (dynoxide::Database::memory_with_clock(Arc::new(EngineClock(clock)))?, WalSync::none()),
        };
        let (connection, stop) = (Connection::new(engine, sync), CancellationToken::new());
        let sweeper = tokio::spawn(sweep(connection.clone(), stop.clone()));
        Ok(Self { connection, stop, sweeper, folder })
    }

    /// Connection to the engine from within this process.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Configuration of AWS clients that call the engine from within this process.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        self.connection.sdk_config()
    }

    /// Folder of its files, if it has any.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(DataFolder::path)
    }

    /// Shuts the database down: calls in flight are finished, and the files are closed. Later calls fail.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.sweeper.await {
            tracing::warn!(%error, "the database's sweeper failed");
        }
        self.connection.close();
    }
}

/// Configuration of AWS clients for a stand-in for an AWS service at `url`, which accepts any credentials.
#[must_use]
pub fn sdk_config(url: &str) -> SdkConfig {
    sdk_config_with(url, Credentials::new("local", "local", None, None, "local"))
}

/// Configuration of AWS clients for an AWS service at `url` with these credentials.
#[must_use]
pub fn sdk_config_with(url: &str, credentials: Credentials) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// Deletes expired items until the shutdown.
async fn sweep(connection: Connection, stop: CancellationToken) {
    while timeout(SWEEP_INTERVAL, stop.cancelled()).await.is_err() {
        let connection = connection.clone();
        // Blocking: the sweep scans whole tables.
        let sweep = spawn_blocking(move || connection.with_engine(dynoxide::Database::sweep_ttl));
        match sweep.await {
            Ok(Ok(Ok(0)) | Err(CallError::Ended)) => {}
            Ok(Ok(Ok(deleted))) => tracing::debug!(deleted, "expired items were deleted"),
            Ok(Ok(Err(error))) => tracing::warn!(%error, "expired items could not be deleted"),
            Ok(Err(error)) => tracing::warn!(%error, "the sweep of expired items failed"),
            Err(error) => tracing::warn!(%error, "the sweep of expired items failed"),
        }
    }
}

/// Substrings of the engine's messages for a file that is not a database, and for one whose pages contradict each
/// other.
const DAMAGE: [&str; 3] = ["not a valid SQLite database", "file is not a database", "malformed"];

fn does_not_open(file: String, error: &dynoxide::DynoxideError) -> DatabaseError {
    let problem = error.to_string();
    if DAMAGE.iter().any(|words| problem.contains(words)) {
        DatabaseError::Damaged { file }
    } else {
        DatabaseError::File { file, problem }
    }
}

/// Adapter of our clock to the engine's trait.
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

    use aws_sdk_dynamodb::{
        Client,
        error::{ProvideErrorMetadata, SdkError},
        operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
        types::{AttributeValue, ConditionCheck, TransactWriteItem},
    };
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

    /// A folder that is removed when the test ends.
    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    async fn start(folder: Option<&Path>) -> (Database, Client) {
        let folder = folder.map(|folder| DataFolder::take(folder).unwrap());
        let database = Database::start(folder, Durability::default(), clock()).unwrap();
        let client = Client::new(&database.sdk_config());
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
    async fn rows_in_a_folder_survive_a_restart_and_rows_in_memory_do_not() {
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
    async fn a_damaged_file_is_named_with_what_to_do() {
        let folder = folder();
        start(Some(folder.path())).await.0.shutdown().await;
        let taken = DataFolder::take(folder.path()).unwrap();
        let file = taken.database_file().unwrap();
        std::fs::write(&file, "not a database".repeat(1000)).unwrap();
        let refused =
            Database::start(Some(taken), Durability::default(), clock()).err().map(|error| error.to_string()).unwrap();
        assert!(refused.starts_with(&file) && refused.contains("restore it from a backup"), "{refused}");
        assert!(!refused.contains("encryption"), "{refused}");
    }

    #[tokio::test]
    async fn a_write_that_the_disk_did_not_take_is_not_answered_and_a_read_is() {
        const TABLE: &str = r#"{"TableName":"some","BillingMode":"PAY_PER_REQUEST",
            "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],
            "AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}]}"#;
        for (durability, is_answered) in [(Durability::PowerCut, false), (Durability::ProcessDeath, true)] {
            let folder = folder();
            let taken = DataFolder::take(folder.path()).unwrap();
            let log = format!("{}-wal", taken.database_file().unwrap());
            let database = Database::start(Some(taken), durability, clock()).unwrap();
            // SQLite goes on with the file that it has open; the sync finds none.
            std::fs::remove_file(log).unwrap();
            let written = database.connection().call("DynamoDB_20120810.CreateTable", TABLE.as_bytes()).await;
            assert_eq!(written.is_ok(), is_answered, "{durability:?}: {written:?}");
            let read = database.connection().call("DynamoDB_20120810.ListTables", b"{}").await.unwrap();
            assert_eq!(read.status, 200, "{}", read.body);
            database.shutdown().await;
        }
    }

    #[tokio::test]
    async fn a_refusal_of_the_engine_reaches_the_aws_client_as_dynamodbs_own_error() {
        let (database, client) = start(None).await;
        let put = |condition: &str| {
            let put = client.put_item().table_name("test-pools").set_item(Some(pool("p1")));
            put.condition_expression(condition).return_values_on_condition_check_failure("ALL_OLD".into()).send()
        };
        put("attribute_not_exists(id)").await.unwrap();
        let error = put("attribute_not_exists(id)").await.unwrap_err().into_service_error();
        let PutItemError::ConditionalCheckFailedException(failed) = error else { panic!("{error}") };
        assert_eq!(failed.item, Some(pool("p1")));
        let error = client.get_item().table_name("none").set_key(Some(pool("p1"))).send().await.unwrap_err();
        assert!(error.into_service_error().is_resource_not_found_exception());
        let condition = ConditionCheck::builder().table_name("test-pools").set_key(Some(pool("p2")));
        let condition = condition.condition_expression("attribute_exists(id)").build().unwrap();
        let part = TransactWriteItem::builder().condition_check(condition).build();
        let error = client.transact_write_items().transact_items(part).send().await.unwrap_err().into_service_error();
        let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { panic!("{error}") };
        assert_eq!(cancelled.cancellation_reasons()[0].code(), Some("ConditionalCheckFailed"));
        database.shutdown().await;
    }

    #[tokio::test]
    async fn an_operation_that_is_not_used_is_refused_and_a_client_outlives_the_database_without_hanging() {
        let (database, client) = start(None).await;
        let error = client.list_backups().send().await.unwrap_err();
        assert_eq!(error.code(), Some("UnknownOperationException"));
        database.shutdown().await;
        let error = client.list_tables().send().await.unwrap_err();
        assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    }
}
