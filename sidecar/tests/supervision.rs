//! What becomes of a child that ends, hangs or talks without end; in this process, with the times made short.

use std::{ffi::OsString, path::Path, rc::Rc, time::Duration};

use axum::Router;
use http::StatusCode;
use portcullis_sidecar::{
    api::{Api, Health},
    pace::{MAXIMUM_RESTARTS, Pace},
    probe::Prober,
    record::{Identity, Record},
    supervisor::Supervisor,
    token::Token,
    user::User,
};
use portcullis_tests::system::eventually;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::{JoinHandle, LocalSet},
};

fn pace() -> Pace {
    let short = Duration::from_millis(20);
    Pace {
        probe: short,
        probe_timeout: Duration::from_millis(500),
        startup_grace: Duration::from_millis(100),
        restart: Duration::from_millis(5),
        restart_reset: Duration::from_mins(2),
        termination: Duration::from_millis(300),
        ..Pace::default()
    }
}

/// A supervisor at work, and what a test sees of it.
struct World {
    folder: TempDir,
    health: watch::Receiver<Health>,
    configured: watch::Sender<Option<u64>>,
    stop: Rc<Notify>,
    task: JoinHandle<()>,
}

/// A gateway that answers, or one that does not.
async fn gateway(well: bool) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
    let router = Router::new().fallback(async move || status);
    tokio::spawn(async { axum::serve(listener, router).await });
    address
}

impl World {
    /// Supervises a script, for which each start adds a line to the file `starts`.
    async fn start(script: &str, well: bool, pace: Pace) -> Self {
        Self::start_command(&["sh", "-c", &format!("echo $$ >> starts; {script}")], well, pace).await
    }

    async fn start_command(command: &[&str], well: bool, pace: Pace) -> Self {
        // Nobody listens there.
        Self::start_with_api(command, well, pace, "http://127.0.0.1:9/").await
    }

    async fn start_with_api(command: &[&str], well: bool, pace: Pace, api: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (health, health_seen) = watch::channel(Health::Degraded);
        let (configured, configured_seen) = watch::channel(None);
        let stop = Rc::new(Notify::new());
        let api = Api::new(api.parse().unwrap(), "pool-1".to_owned(), Token::Held("token".into()));
        let supervisor = Supervisor {
            api: Rc::new(api.unwrap()),
            pace,
            command: command.iter().map(OsString::from).collect(),
            user: User::own(),
            folder: folder.path().to_owned(),
            environment: [("PATH".into(), "/usr/bin:/bin".into())].into(),
            record: Record::in_folder(folder.path()),
            prober: Prober::new(gateway(well).await, &pace).unwrap(),
            health,
            configured: configured_seen,
            stop: Rc::clone(&stop),
        };
        let task = tokio::task::spawn_local(supervisor.run());
        Self { folder, health: health_seen, configured, stop, task }
    }

    /// The ids of all children so far.
    fn starts(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.folder.path().join("starts")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    async fn wait_for(&self, starts: usize) {
        eventually(&format!("{starts} starts"), async || self.starts().len() >= starts).await;
    }

    async fn end(self) -> Vec<u32> {
        self.stop.notify_one();
        self.task.await.unwrap();
        let text = std::fs::read_to_string(self.folder.path().join("starts")).unwrap_or_default();
        assert!(!Path::new(&self.folder.path().join("openclaw-process.json")).exists(), "no record of it is left");
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

fn is_alive(pid: u32) -> bool {
    Identity::of(pid).is_some()
}

#[tokio::test]
async fn a_child_is_started_once_there_is_a_configuration_and_ended_at_the_end() {
    let test = async {
        let world = World::start("exec sleep 600", true, pace()).await;
        let mut health = world.health.clone();
        tokio::task::yield_now().await;
        assert!(world.starts().is_empty());
        world.configured.send_replace(Some(1));
        health.wait_for(|health| *health == Health::Active).await.unwrap();
        world.wait_for(1).await;
        let children = world.end().await;
        assert_eq!(children.len(), 1);
        assert!(!is_alive(children[0]));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn one_that_ends_at_once_is_started_ten_times_more_and_then_with_a_new_configuration() {
    let test = async {
        let world = World::start("exit 7", true, pace()).await;
        let mut health = world.health.clone();
        world.configured.send_replace(Some(1));
        let most = 1 + MAXIMUM_RESTARTS as usize;
        world.wait_for(most).await;
        health.wait_for(|health| *health == Health::Unhealthy).await.unwrap();
        assert_eq!(world.starts().len(), most, "it is left alone now");
        world.configured.send_replace(Some(2));
        world.wait_for(2 * most).await;
        world.end().await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn one_that_ran_long_enough_has_its_restarts_counted_anew() {
    let test = async {
        let pace = Pace { restart_reset: Duration::ZERO, ..pace() };
        let world = World::start("exit 7", true, pace).await;
        world.configured.send_replace(Some(1));
        world.wait_for(3 * MAXIMUM_RESTARTS as usize).await;
        world.end().await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn one_that_hangs_is_told_of_and_started_anew() {
    let test = async {
        let world = World::start("exec sleep 600", false, pace()).await;
        let mut health = world.health.clone();
        world.configured.send_replace(Some(1));
        health.wait_for(|health| *health == Health::Unhealthy).await.unwrap();
        world.wait_for(2).await;
        let first = world.starts()[0];
        assert!(!is_alive(first), "two of them never run at once");
        world.end().await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn one_that_cannot_be_started_is_tried_again_and_told_of() {
    let test = async {
        let world = World::start_command(&["./there-is-no-such-program"], true, pace()).await;
        let mut health = world.health.clone();
        world.configured.send_replace(Some(1));
        health.wait_for(|health| *health == Health::Unhealthy).await.unwrap();
        assert!(world.end().await.is_empty());
    };
    LocalSet::new().run_until(test).await;
}

/// A control plane that issues a token at each request: `token-1`, `token-2`.
async fn issuing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let issued = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let answer = async move |body: axum::Json<serde_json::Value>| {
        assert_eq!(body["ttlSeconds"], 30 * 24 * 60 * 60);
        let number = 1 + issued.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        axum::Json(serde_json::json!({ "token": format!("token-{number}"), "expiresAt": "x" }))
    };
    #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
    let router = Router::new().route("/api/internal/pools/pool-1/skill-tokens", axum::routing::post(answer));
    tokio::spawn(async { axum::serve(listener, router).await });
    base
}

#[tokio::test]
async fn one_is_started_anew_with_a_new_token_before_its_own_ends() {
    let test = async {
        // Of the token's 30 days, all are the margin.
        let pace = Pace { token_margin: Duration::from_hours(30 * 24), ..pace() };
        let script = "echo $$ >> starts; echo $SKILL_API_TOKEN >> tokens; exec sleep 600";
        let world = World::start_with_api(&["sh", "-c", script], true, pace, &issuing().await).await;
        world.configured.send_replace(Some(1));
        world.wait_for(3).await;
        let first = world.starts()[0];
        assert!(!is_alive(first), "two of them never run at once");
        let tokens = std::fs::read_to_string(world.folder.path().join("tokens")).unwrap();
        assert!(tokens.starts_with("token-1\ntoken-2\n"), "{tokens}");
        world.end().await;

        // With the margin that there is, it runs on.
        let pace = Pace { token_margin: Pace::default().token_margin, ..pace };
        let world = World::start_with_api(&["sh", "-c", script], true, pace, &issuing().await).await;
        let mut health = world.health.clone();
        world.configured.send_replace(Some(1));
        health.wait_for(|health| *health == Health::Active).await.unwrap();
        world.wait_for(1).await;
        assert_eq!(world.end().await.len(), 1);
    };
    LocalSet::new().run_until(test).await;
}
