//! A system whose database can be made to fail.

use std::sync::Arc;

use local::{database::Database, wal_sync::Durability};

use crate::{FaultProxy, System, TestClock, system::Settings};

/// A system, the database beneath it, and between them what makes it fail. The database outlives the system, so that another
/// can be started on it.
pub struct Faulty {
    /// The system.
    pub system: System,
    /// What decides which of its calls fail.
    pub proxy: FaultProxy,
    /// What is behind the proxy.
    pub database: FaultyDatabase,
}

/// A database in memory and the folder of a queue, which last as long as this.
pub struct FaultyDatabase {
    _database: Database,
    _folder: tempfile::TempDir,
}

impl Faulty {
    /// Starts one, with nothing failing yet.
    pub async fn start() -> Self {
        let clock = Arc::new(TestClock::new());
        let database = Database::start(None, Durability::default(), clock.clone()).expect("the database starts");
        let proxy = FaultProxy::start(database.connection()).await;
        let folder = tempfile::tempdir().expect("a folder for the queue");
        let settings = Settings {
            data: Some(folder.path().to_owned()),
            database: Some(proxy.sdk_config()),
            queue_faults: Some(proxy.url()),
            ..Settings::random()
        };
        let settings = settings.with_production_timeouts();
        let system = System::try_start(settings, clock).await.expect("the system starts");
        Self { system, proxy, database: FaultyDatabase { _database: database, _folder: folder } }
    }

    /// Ends the system, and gives what is left: its settings, the proxy and the database.
    pub async fn end_system(self) -> (Settings, FaultProxy, FaultyDatabase) {
        let settings = self.system.settings.clone();
        self.system.shutdown().await;
        (settings, self.proxy, self.database)
    }
}
