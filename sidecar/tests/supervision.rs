//! Supervision of children that end, hang or write without end, within the test's own process and with short intervals.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::{
    ffi::OsString,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use http::StatusCode;
use portcullis_sidecar::{
    api::{Api, Health},
    keeper::Keeper,
    launcher::Launcher,
    openclaw::{OpenClaw, Version},
    own_program::OwnProgram,
    pace::{MAXIMUM_RESTARTS, Pace},
    probe::Prober,
    record::{Identity, Record},
    skill_token::Generation,
    supervisor::Supervisor,
    token::Token,
    user::User,
    worker::Worker,
};
use portcullis_tests::system::{eventually, pause};
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
        // Long: a gateway that answers is never slow here, however busy the machine is.
        probe_timeout: Duration::from_secs(20),
        // Long as well: few tests are about a child without a token.
        token_patience: Duration::from_mins(5),
        // Unlimited, except in tests about silence: no probe ends a child.
        silence: Duration::MAX,
        plugins: short,
        restart: Duration::from_millis(5),
        restart_reset: Duration::from_mins(2),
        termination: Duration::from_millis(300),
        ..Pace::default()
    }
}

/// A running supervisor, and what a test observes of it.
struct World {
    folder: TempDir,
    keeper: Rc<Keeper>,
    health: watch::Receiver<Health>,
    configured: watch::Sender<Option<u64>>,
    generation: watch::Sender<Generation>,
    version: watch::Receiver<Version>,
    stop: Rc<Notify>,
    task: JoinHandle<()>,
    probes: Arc<AtomicUsize>,
}

/// A gateway's behavior for probes.
#[derive(Clone, Copy)]
enum Mood {
    Ready,
    /// Every probe is answered with this status.
    Status(StatusCode),
    /// `/health` succeeds, and the others answer 503.
    Starting,
    /// `/health` and `/startupz` succeed, and `/readyz` answers 503.
    NotReady,
    /// Connections are accepted, and never answered.
    Hangs,
    /// Nothing listens.
    Refuses,
}

/// Starts a gateway. Returns its address and its count of probes.
async fn gateway(mood: Mood) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let probes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&probes);
    let answer = async move |uri: http::Uri| {
        counted.fetch_add(1, Ordering::Relaxed);
        match (mood, uri.path()) {
            (Mood::Hangs, _) => std::future::pending().await,
            (Mood::Status(status), _) => status,
            (Mood::Starting, path) if path != "/health" => StatusCode::SERVICE_UNAVAILABLE,
            (Mood::NotReady, "/readyz") => StatusCode::SERVICE_UNAVAILABLE,
            (Mood::Ready, "/health" | "/readyz") | (Mood::NotReady, "/health" | "/startupz") | (Mood::Starting, _) => {
                StatusCode::OK
            }
            (_, path) => panic!("nobody asks for {path} now"),
        }
    };
    if !matches!(mood, Mood::Refuses) {
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(answer);
        tokio::spawn(async { axum::serve(listener, router).await });
    }
    (address, probes)
}

impl World {
    /// Supervises a script; each start adds a line to the file `starts`.
    async fn start(script: &str, mood: Mood, pace: Pace) -> Self {
        Self::start_command(&["sh", "-c", &format!("echo $$ >> starts; {script}")], mood, pace).await
    }

    async fn start_command(command: &[&str], mood: Mood, pace: Pace) -> Self {
        // Nothing listens at this address.
        Self::start_with_api(command, mood, pace, "http://127.0.0.1:9/").await
    }

    async fn start_with_api(command: &[&str], mood: Mood, pace: Pace, api: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), command, mood, pace, api).await
    }

    async fn start_in(folder: TempDir, command: &[&str], mood: Mood, pace: Pace, api: &str) -> Self {
        let (address, probes) = gateway(mood).await;
        let (health, health_seen) = watch::channel(Health::Degraded);
        let (configured, configured_seen) = watch::channel(None);
        let (version, version_seen) = watch::channel(Version::NotYet);
        let (generation, generation_seen) = watch::channel(Generation::Unknown);
        let stop = Rc::new(Notify::new());
        let api = Api::new(api.parse().unwrap(), "pool-1".to_owned(), Token::Held("token".into()));
        let program = OwnProgram::at(Path::new(env!("CARGO_BIN_EXE_portcullis-sidecar")), User::own());
        // Longer than any machine takes: the test is not about the deadline.
        let worker = Worker::new(program, folder.path(), Duration::from_hours(1));
        let config = folder.path().join("openclaw.json");
        let keeper = Rc::new(Keeper::new(worker, folder.path(), &config, folder.path()));
        let supervisor = Supervisor {
            api: Rc::new(api.unwrap()),
            pace,
            openclaw: OpenClaw {
                launcher: Launcher::at(env!("CARGO_BIN_EXE_portcullis-sidecar")),
                command: command.iter().map(OsString::from).collect(),
                user: User::own(),
                folder: folder.path().to_owned(),
                environment: [("PATH".into(), "/usr/bin:/bin".into())].into(),
            },
            config,
            keeper: Rc::clone(&keeper),
            version,
            record: Record::in_folder(folder.path(), "pool-1"),
            prober: Prober::new(address, &pace).unwrap(),
            health,
            configured: configured_seen,
            generation: generation_seen,
            notifier: Rc::default(),
            stop: Rc::clone(&stop),
        };
        let task = tokio::task::spawn_local(supervisor.run());
        let (health, version) = (health_seen, version_seen);
        Self { folder, keeper, health, configured, generation, version, stop, task, probes }
    }

    /// Process ids of all children so far.
    fn starts(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.folder.path().join("starts")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    async fn wait_for(&self, starts: usize) {
        eventually(&format!("{starts} starts"), async || self.starts().len() >= starts).await;
    }

    async fn wait_for_probes(&self, count: usize) {
        let enough = self.probes.load(Ordering::Relaxed) + count;
        eventually("more probes", async || self.probes.load(Ordering::Relaxed) >= enough).await;
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
        let world = World::start("exec sleep 600", Mood::Ready, pace()).await;
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
        let world = World::start("exit 7", Mood::Ready, pace()).await;
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
        let world = World::start("exit 7", Mood::Ready, pace).await;
        world.configured.send_replace(Some(1));
        world.wait_for(3 * MAXIMUM_RESTARTS as usize).await;
        world.end().await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_port_that_refuses_or_hangs_for_too_long_is_told_and_its_child_started_anew() {
    let test = async {
        for mood in [Mood::Hangs, Mood::Refuses] {
            let pace = Pace { silence: Duration::ZERO, probe_timeout: Duration::from_millis(50), ..pace() };
            let world = World::start("exec sleep 600", mood, pace).await;
            let mut health = world.health.clone();
            world.configured.send_replace(Some(1));
            health.wait_for(|health| *health == Health::Unhealthy).await.unwrap();
            world.wait_for(2).await;
            let first = world.starts()[0];
            assert!(!is_alive(first), "two of them never run at once");
            world.end().await;
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_child_is_never_ended_for_its_health_answers() {
    let test = async {
        for (mood, health) in [
            (Mood::Status(StatusCode::SERVICE_UNAVAILABLE), Health::Degraded),
            (Mood::Status(StatusCode::NOT_FOUND), Health::Degraded),
            (Mood::Status(StatusCode::INTERNAL_SERVER_ERROR), Health::Degraded),
            (Mood::Starting, Health::Degraded),
            // One channel that does not work does not make the pool unhealthy.
            (Mood::NotReady, Health::Active),
        ] {
            let world = World::start("exec sleep 600", mood, Pace { silence: Duration::ZERO, ..pace() }).await;
            world.configured.send_replace(Some(1));
            world.wait_for(1).await;
            world.wait_for_probes(20).await;
            assert_eq!(*world.health.borrow(), health);
            assert_eq!(world.end().await.len(), 1);
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_silent_child_lives_on_within_the_time_that_a_restart_takes() {
    let test = async {
        let world = World::start("exec sleep 600", Mood::Hangs, Pace { probe_timeout: pace().probe, ..pace() }).await;
        world.configured.send_replace(Some(1));
        world.wait_for(1).await;
        world.wait_for_probes(20).await;
        assert_eq!(*world.health.borrow(), Health::Degraded);
        assert_eq!(world.end().await.len(), 1);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn one_that_refuses_its_configuration_waits_for_another() {
    let test = async {
        let world = World::start("exit 78", Mood::Refuses, pace()).await;
        let mut health = world.health.clone();
        let mut refused = async |starts: usize| {
            world.wait_for(starts).await;
            health.wait_for(|health| *health == Health::Unhealthy).await.unwrap();
            assert_eq!(world.starts().len(), starts, "it is not started again with the same configuration");
        };
        world.configured.send_replace(Some(1));
        refused(1).await;
        world.configured.send_replace(Some(2));
        refused(2).await;
        std::fs::write(world.folder.path().join("openclaw.json"), "{}").unwrap();
        refused(3).await;
        assert_eq!(world.end().await.len(), 3);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_configuration_that_the_child_damages_is_restored_and_does_not_count_as_refused() {
    let test = async {
        // The first start truncates the file; each start refuses a file that is not the control plane's.
        let script = r"test -e was-here || { touch was-here; echo '{' > openclaw.json; }
            grep -q right openclaw.json || exit 78; exec sleep 600";
        let world = World::start(script, Mood::Ready, pace()).await;
        let mut health = world.health.clone();
        world.keeper.keep_config("\"right\"".to_owned(), "{}".to_owned()).await.unwrap();
        world.configured.send_replace(Some(1));
        world.wait_for(2).await;
        health.wait_for(|health| *health == Health::Active).await.unwrap();
        assert_eq!(std::fs::read_to_string(world.folder.path().join("openclaw.json")).unwrap(), "\"right\"");
        // Simulates a running sidecar's check before the exit is seen.
        std::fs::write(world.folder.path().join("openclaw.json"), "{").unwrap();
        assert!(world.keeper.restore().await.error.is_none());
        assert_eq!(std::fs::read_to_string(world.folder.path().join("openclaw.json")).unwrap(), "\"right\"");
        world.end().await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_updated_openclaw_is_tried_again_with_the_configuration_that_the_old_one_refused() {
    let test = async {
        let folder = tempfile::tempdir().unwrap();
        // A script that starts OpenClaw whatever its arguments are: its version is not asked.
        let program = folder.path().join("start-openclaw");
        let install = |code: u32| {
            let script = format!("#!/bin/sh\necho $$ >> starts; [ {code} = 0 ] && exec sleep 600; exit {code}\n");
            let new = folder.path().join("new");
            std::fs::write(&new, script).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
            std::fs::rename(new, &program).unwrap();
        };
        install(78);
        let world = World::start_command(&[program.to_str().unwrap()], Mood::Ready, pace()).await;
        let mut health = world.health.clone();
        world.configured.send_replace(Some(1));
        health.wait_for(|health| *health == Health::Unhealthy).await.unwrap();
        install(0);
        health.wait_for(|health| *health == Health::Active).await.unwrap();
        world.wait_for(2).await;
        assert_eq!(world.end().await.len(), 2);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn one_that_cannot_be_started_is_tried_again_and_told_of() {
    let test = async {
        let world = World::start_command(&["./there-is-no-such-program"], Mood::Ready, pace()).await;
        let mut health = world.health.clone();
        world.configured.send_replace(Some(1));
        health.wait_for(|health| *health == Health::Unhealthy).await.unwrap();
        assert!(world.end().await.is_empty());
    };
    LocalSet::new().run_until(test).await;
}

/// Installs an `OpenClaw` of 2026.9.6 into a folder; its plugins are those with a file `plugin-…`. It is replaced
/// atomically, as by an update.
fn install_openclaw(folder: &Path, version: &str) -> String {
    let script = format!(
        r#"#!/bin/sh
        case "$*" in
            --version) echo "{version}"; echo asked >> asked ;;
            "plugins list --json")
                echo '{{"plugins":['
                test -e plugin-slack && echo '{{"id":"slack","version":"2026.9.6","rootDir":"/x"}},'
                echo '{{"id":"bundled","rootDir":"/y"}}]}}' ;;
            "gateway run") echo $$ >> starts; exec sleep 600 ;;
            *) exit 64 ;;
        esac
"#
    );
    let (new, program) = (folder.join("new"), folder.join("openclaw"));
    std::fs::write(&new, script).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(new, &program).unwrap();
    program.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_missing_plugin_keeps_the_child_from_starting_until_it_is_there() {
    let test = async {
        let folder = tempfile::tempdir().unwrap();
        let program = install_openclaw(folder.path(), "OpenClaw 2026.9.6 (eb377ac)");
        let entries = r#"{"slack":{"enabled":true},"bundled":{"enabled":true},"feishu":{"enabled":false}}"#;
        let config = format!(r#"{{"plugins":{{"entries":{entries}}}}}"#);
        std::fs::write(folder.path().join("openclaw.json"), config).unwrap();
        let command = [program.as_str(), "gateway", "run"];
        let world = World::start_in(folder, &command, Mood::Ready, pace(), "http://127.0.0.1:9/").await;
        let mut health = world.health.clone();
        world.configured.send_replace(Some(1));
        health.wait_for(|health| *health == Health::Unhealthy).await.unwrap();
        assert!(world.starts().is_empty());
        std::fs::write(world.folder.path().join("plugin-slack"), "").unwrap();
        health.wait_for(|health| *health == Health::Active).await.unwrap();
        world.wait_for(1).await;
        assert_eq!(world.end().await.len(), 1);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn the_version_is_asked_for_anew_at_each_start() {
    let test = async {
        let folder = tempfile::tempdir().unwrap();
        let program = install_openclaw(folder.path(), "OpenClaw 2026.9.6 (eb377ac)");
        let command = [program.as_str(), "gateway", "run"];
        let world = World::start_in(folder, &command, Mood::Ready, pace(), "http://127.0.0.1:9/").await;
        let mut version = world.version.clone();
        let is = |expected: &'static str| move |version: &Version| version.known() == Some(expected);
        version.wait_for(is("2026.9.6")).await.unwrap();
        assert!(world.starts().is_empty(), "the pool registers before it has a configuration");
        world.configured.send_replace(Some(1));
        world.wait_for(1).await;
        install_openclaw(world.folder.path(), "OpenClaw 2026.10.1 (eb377ac)");
        let _ = std::process::Command::new("kill").arg(world.starts()[0].to_string()).status();
        version.wait_for(is("2026.10.1")).await.unwrap();
        install_openclaw(world.folder.path(), "something else");
        world.wait_for(2).await;
        let _ = std::process::Command::new("kill").arg(world.starts()[1].to_string()).status();
        version.wait_for(|version| *version == Version::None).await.unwrap();
        world.end().await;
    };
    LocalSet::new().run_until(test).await;
}

/// A control plane that issues `token-1`, `token-2` and so on, or fails while it is broken.
#[derive(Clone, Default)]
struct Issuer {
    requests: Arc<AtomicUsize>,
    issued: Arc<AtomicUsize>,
    is_broken: Arc<AtomicBool>,
    /// Number of first tokens that end in an hour, as the pool's own does.
    short: usize,
    /// File that must exist before any token but the first is issued.
    after: Option<PathBuf>,
}

impl Issuer {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let issuer = self.clone();
        let answer = async move |body: axum::Json<serde_json::Value>| {
            assert_eq!(body["ttlSeconds"], 30 * 24 * 60 * 60);
            issuer.requests.fetch_add(1, Ordering::Relaxed);
            if issuer.is_broken.load(Ordering::Relaxed) {
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
            let number = 1 + issuer.issued.fetch_add(1, Ordering::Relaxed);
            if let Some(file) = issuer.after.as_ref().filter(|_| number > 1) {
                while !file.exists() {
                    pause(pace().probe).await;
                }
            }
            let hours = if number <= issuer.short { 1 } else { 30 * 24 };
            let ends = portcullis_sidecar::pace::timestamp() + Duration::from_hours(hours);
            Ok(axum::Json(serde_json::json!({ "token": format!("token-{number}"), "expiresAt": ends.to_string() })))
        };
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().route("/api/internal/pools/pool-1/skill-tokens", axum::routing::post(answer));
        tokio::spawn(async { axum::serve(listener, router).await });
        base
    }
}

/// Script that records its token, and runs on.
const TELLS_TOKEN: &str = "echo $$ >> starts; echo $SKILL_API_TOKEN >> tokens; exec sleep 600";

#[tokio::test]
async fn one_whose_token_was_revoked_is_started_anew_once_with_another() {
    let test = async {
        let issuer = Issuer::default();
        let world = World::start_with_api(&["sh", "-c", TELLS_TOKEN], Mood::Ready, pace(), &issuer.start().await).await;
        let tell = |generation| world.generation.send_replace(generation);
        let tokens = || std::fs::read_to_string(world.folder.path().join("tokens")).unwrap_or_default();
        world.configured.send_replace(Some(1));
        world.wait_for(1).await;
        for (told, starts) in [
            // A control plane without generations, and the first generation of one that has them.
            (Generation::Unknown, 1),
            (Generation::Known(0), 1),
            (Generation::Known(1), 2),
            (Generation::Unknown, 2),
            (Generation::Known(1), 2),
            (Generation::Known(4), 3),
            (Generation::Known(3), 4),
        ] {
            tell(told);
            world.wait_for(starts).await;
            let expected: Vec<String> = (1..=starts).map(|number| format!("token-{number}")).collect();
            eventually("it has told its token", async || tokens().lines().eq(&expected)).await;
            // Each heartbeat repeats the generation.
            for _ in 0..5 {
                tell(told);
                world.wait_for_probes(3).await;
            }
            assert_eq!((world.starts().len(), issuer.requests.load(Ordering::Relaxed)), (starts, starts), "{told:?}");
            assert!(world.starts().iter().rev().skip(1).all(|pid| !is_alive(*pid)), "two of them never run at once");
        }
        world.end().await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn one_whose_token_was_revoked_runs_on_until_there_is_another() {
    let test = async {
        let issuer = Issuer::default();
        let pace = Pace { retry: pace().probe, longest_retry: pace().probe, ..pace() };
        let world = World::start_with_api(&["sh", "-c", TELLS_TOKEN], Mood::Ready, pace, &issuer.start().await).await;
        world.configured.send_replace(Some(1));
        world.wait_for(1).await;
        issuer.is_broken.store(true, Ordering::Relaxed);
        world.generation.send_replace(Generation::Known(1));
        eventually("it is tried again", async || issuer.requests.load(Ordering::Relaxed) >= 5).await;
        assert!(world.starts().len() == 1 && is_alive(world.starts()[0]));
        issuer.is_broken.store(false, Ordering::Relaxed);
        world.wait_for(2).await;
        assert_eq!(world.end().await.len(), 2);

        // With an hour between tries only one request is made.
        let pace = Pace { retry: Duration::from_hours(1), longest_retry: Duration::from_hours(1), ..pace };
        let issuer = Issuer::default();
        let world = World::start_with_api(&["sh", "-c", TELLS_TOKEN], Mood::Ready, pace, &issuer.start().await).await;
        world.configured.send_replace(Some(1));
        world.wait_for(1).await;
        issuer.is_broken.store(true, Ordering::Relaxed);
        for generation in 1..5 {
            world.generation.send_replace(Generation::Known(generation));
            world.wait_for_probes(5).await;
        }
        assert_eq!(issuer.requests.load(Ordering::Relaxed), 2);
        assert_eq!(world.end().await.len(), 1);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn one_is_started_anew_with_a_new_token_before_its_own_ends() {
    let test = async {
        // The first token ends in an hour, which is less than the margin: its child is ended as soon as another token
        // is issued, and must have recorded the first by then.
        let folder = tempfile::tempdir().unwrap();
        let issuer = Issuer { short: 1, after: Some(folder.path().join("tokens")), ..Issuer::default() };
        let command = ["sh", "-c", TELLS_TOKEN];
        let world = World::start_in(folder, &command, Mood::Ready, pace(), &issuer.start().await).await;
        world.configured.send_replace(Some(1));
        world.wait_for(2).await;
        let first = world.starts()[0];
        assert!(!is_alive(first), "two of them never run at once");
        let tokens = || std::fs::read_to_string(world.folder.path().join("tokens")).unwrap_or_default();
        eventually("both have told their tokens", async || tokens() == "token-1\ntoken-2\n").await;
        // The second token lasts 30 days, so its child runs on.
        world.wait_for_probes(10).await;
        assert_eq!(world.end().await.len(), 2);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn one_is_not_started_anew_for_a_token_that_ends_as_soon() {
    let test = async {
        let issuer = Issuer { short: usize::MAX, ..Issuer::default() };
        let world = World::start_with_api(&["sh", "-c", TELLS_TOKEN], Mood::Ready, pace(), &issuer.start().await).await;
        world.configured.send_replace(Some(1));
        world.wait_for(1).await;
        eventually("another was asked for", async || issuer.requests.load(Ordering::Relaxed) == 2).await;
        world.wait_for_probes(20).await;
        assert_eq!((world.starts().len(), issuer.requests.load(Ordering::Relaxed)), (1, 2), "once, for now");
        // A revoked token is replaced.
        world.generation.send_replace(Generation::Known(1));
        world.wait_for(2).await;
        assert_eq!(world.end().await.len(), 2);
    };
    LocalSet::new().run_until(test).await;
}
