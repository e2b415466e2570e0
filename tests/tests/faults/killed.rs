//! The relay's process, killed at the worst moments. The database is outside of the process, and its proxy holds the
//! process at the moment of the kill.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use portcullis_tests::{
    Behaviour, Child, Fault, FaultProxy, Faulty, StandInPool,
    faults::Call,
    faulty::FaultyDatabase,
    pool::Delivery,
    seed::{self, Connected},
    slack,
    system::{Settings, eventually, send},
};

use crate::relay::{is_lease, is_record};

const PROGRAM: &str = env!("CARGO_BIN_EXE_local-under-test");

/// A database with a connected channel, without a running system.
struct Scene {
    settings: Settings,
    proxy: FaultProxy,
    _database: FaultyDatabase,
    connected: Connected,
    pool: StandInPool,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let faulty = Faulty::start().await;
        let (connected, pool) = seed::connected(&faulty.system).await;
        let (settings, proxy, database) = faulty.end_system().await;
        Self { settings, proxy, _database: database, connected, pool, folder: tempfile::tempdir().unwrap() }
    }

    fn log(&self) -> std::path::PathBuf {
        Path::join(self.folder.path(), "log")
    }

    async fn start(&self) -> Child {
        Child::start(PROGRAM, &self.settings, &self.log()).await
    }

    async fn accepted(&self, child: &Child, number: u32) {
        let message = slack::message(&self.connected.team, &self.connected.app, "C0GENERAL", number);
        assert_eq!(send(child.event(&self.connected.signing_secret, &message)).await.status, 200);
    }

    /// Holds the process at the first call for which `is_moment` is true, and sets the returned flag then.
    fn hold_at(&self, is_moment: fn(&Call) -> bool) -> Arc<AtomicBool> {
        let is_there = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&is_there);
        self.proxy.rule(move |call| {
            if is_moment(call) {
                tell.store(true, SeqCst);
                return Fault::Hang;
            }
            Fault::None
        });
        is_there
    }

    fn texts(&self) -> Vec<String> {
        self.pool.seen().iter().map(Delivery::text).collect()
    }

    /// Restarts the system and has event 2 delivered, which waits for event 1 in the same conversation, so that event 1
    /// is settled. Repeats this with event 3 to show that event 1 is not delivered again.
    async fn goes_on(&self) {
        for number in [2, 3] {
            let child = self.start().await;
            self.accepted(&child, number).await;
            let text = format!("message {number}");
            eventually(&text, async || self.texts().contains(&text)).await;
            child.kill();
        }
    }

    fn times_delivered(&self) -> usize {
        self.texts().iter().filter(|text| *text == "message 1").count()
    }
}

#[tokio::test]
async fn killed_between_the_pools_2xx_and_its_record_it_delivers_twice_at_the_most() {
    let scene = Scene::set().await;
    let child = scene.start().await;
    let is_there = scene.hold_at(is_record);
    scene.accepted(&child, 1).await;
    eventually("the record is tried", async || is_there.load(SeqCst)).await;
    assert_eq!(scene.times_delivered(), 1, "the pool has it");
    child.kill();
    scene.proxy.heal();
    scene.goes_on().await;
    assert!((1..=2).contains(&scene.times_delivered()), "{:?}", scene.texts());
}

#[tokio::test]
async fn killed_between_the_record_and_the_queues_row_it_delivers_once() {
    let scene = Scene::set().await;
    let child = scene.start().await;
    let is_there = scene.hold_at(Call::is_acknowledgement);
    scene.accepted(&child, 1).await;
    eventually("the acknowledgement is tried", async || is_there.load(SeqCst)).await;
    child.kill();
    scene.proxy.heal();
    scene.goes_on().await;
    assert_eq!(scene.times_delivered(), 1, "{:?}", scene.texts());
}

#[tokio::test]
async fn killed_while_the_pool_has_not_answered_it_delivers_twice_at_the_most() {
    let scene = Scene::set().await;
    let child = scene.start().await;
    scene.pool.behave(Behaviour::Hang);
    scene.accepted(&child, 1).await;
    scene.pool.wait_for(1).await;
    child.kill();
    scene.pool.behave(Behaviour::Answer(200));
    scene.goes_on().await;
    assert_eq!(scene.times_delivered(), 2, "nobody had said that it had arrived: {:?}", scene.texts());
}

/// Kills the process before the post: the event is delivered exactly once.
async fn is_not_lost(is_moment: fn(&Call) -> bool) {
    let scene = Scene::set().await;
    let child = scene.start().await;
    let is_there = scene.hold_at(is_moment);
    scene.accepted(&child, 1).await;
    eventually("the moment", async || is_there.load(SeqCst)).await;
    assert_eq!(scene.times_delivered(), 0);
    child.kill();
    scene.proxy.heal();
    scene.goes_on().await;
    assert_eq!(scene.times_delivered(), 1, "{:?}", scene.texts());
    // The process is killed during the later events too, which may then be delivered twice.
    let mut order = scene.texts();
    order.dedup();
    assert_eq!(order, ["message 1", "message 2", "message 3"]);
}

#[tokio::test]
async fn killed_before_the_lease_it_loses_nothing() {
    is_not_lost(is_lease).await;
}

#[tokio::test]
async fn killed_before_the_session_is_recorded_it_loses_nothing() {
    is_not_lost(|call| call.is_about("chat_sessions")).await;
}

#[tokio::test]
async fn killed_before_the_pool_is_looked_up_it_loses_nothing() {
    is_not_lost(|call| call.action == "BatchGetItem" && call.is_about("pools") && call.body.contains("pool-1")).await;
}
