//! A system whose database fails on request.

use std::sync::Arc;

use portcullis_local::{database::Database, wal_sync::Durability};

use crate::{FaultProxy, System, TestClock, system::Settings};

/// A system, its database and the fault-injecting proxy between them. The database outlives the system, so that a test
/// can start another system on it.
pub struct Faulty {
    /// The system.
    pub system: System,
    /// The proxy that injects faults into the system's calls.
    pub proxy: FaultProxy,
    /// The database behind the proxy.
    pub database: FaultyDatabase,
}

/// An in-memory database and a queue folder, which live as long as this value.
pub struct FaultyDatabase {
    _database: Database,
    _folder: tempfile::TempDir,
}

impl Faulty {
    /// Starts a system without faults.
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

    /// Ends the system and returns its settings, the proxy and the database.
    pub async fn end_system(self) -> (Settings, FaultProxy, FaultyDatabase) {
        let settings = self.system.settings.clone();
        self.system.shutdown().await;
        (settings, self.proxy, self.database)
    }
}
