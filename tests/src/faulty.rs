//! A system whose database can be made to fail.

use std::sync::Arc;

use local::database::Database;

use crate::{FaultProxy, System, TestClock, system::Settings};

/// A system, the database beneath it, and between them what makes it fail. The database outlives the system, so that another
/// can be started on it.
pub struct Faulty {
    /// The system.
    pub system: System,
    /// What decides which of its calls fail.
    pub proxy: FaultProxy,
    /// What is behind the proxy.
    pub database: Database,
}

impl Faulty {
    /// Starts one, with nothing failing yet.
    pub async fn start() -> Self {
        let clock = Arc::new(TestClock::new());
        let database = Database::start(None, clock.clone()).expect("the database starts");
        let proxy = FaultProxy::start(database.connection()).await;
        let settings = Settings { database: Some(proxy.sdk_config()), ..Settings::random() }.with_production_timeouts();
        let system = System::try_start(settings, clock).await.expect("the system starts");
        Self { system, proxy, database }
    }

    /// Ends the system, and gives what is left: its settings, the proxy and the database.
    pub async fn end_system(self) -> (Settings, FaultProxy, Database) {
        let settings = self.system.settings.clone();
        self.system.shutdown().await;
        (settings, self.proxy, self.database)
    }
}
