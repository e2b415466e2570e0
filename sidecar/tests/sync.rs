//! Tests against a control plane that is unreachable, slow, broken or hostile: the files on the disk stay whole, and
//! valid answers are applied again.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::{
    path::Path,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use portcullis_sidecar::{
    api::{Api, Health, Report},
    block::with_block,
    keeper::Keeper,
    openclaw::Version,
    own_program::OwnProgram,
    pace::Pace,
    skill_token::Generation,
    sync::Sync,
    token::Token,
    user::User,
    worker::Worker,
};
use portcullis_tests::system::eventually;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, LocalSet},
};

/// Behavior of the control plane for each request.
#[derive(Clone, Debug)]
enum Mood {
    /// Healthy, with a configuration of this version.
    Well(u64),
    Status(u16),
    /// Healthy, except that paths below this one fail.
    Lacking(u64, &'static str),
    Html,
    /// A valid answer that is cut in the middle.
    Half(u64),
    Hang,
    /// An answer of the right form with invalid content.
    Wrong(Value),
}

#[derive(Clone)]
struct ControlPlane {
    mood: Arc<Mutex<Mood>>,
    heartbeats: Arc<AtomicUsize>,
    others: Arc<AtomicUsize>,
    /// Number of registrations.
    registrations: Arc<AtomicUsize>,
    /// Number of requests for a skill token.
    tokens: Arc<AtomicUsize>,
    /// Whether such requests are refused.
    refuses_tokens: Arc<AtomicBool>,
    /// The pool's generation of skill tokens; `None` for a control plane without generations.
    generation: Arc<Mutex<Option<u64>>>,
    /// Body of the newest heartbeat.
    told: Arc<Mutex<Value>>,
    /// Body of the newest registration.
    registered: Arc<Mutex<Value>>,
}

impl ControlPlane {
    fn last_seen(&self) -> Option<u64> {
        self.told.lock().unwrap()["lastSeenVersion"].as_u64()
    }

    fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn take(State(plane): State<ControlPlane>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path.ends_with("/heartbeat") { &plane.heartbeats } else { &plane.others }.fetch_add(1, Ordering::Relaxed);
    if path.ends_with("/register") {
        plane.registrations.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!(request.headers()["authorization"], "Bearer a-token");
    if let Some(told) = match path.rsplit('/').next() {
        Some("heartbeat") => Some(&plane.told),
        Some("register") => Some(&plane.registered),
        _ => None,
    } {
        let body = axum::body::to_bytes(request.into_body(), 1024 * 1024).await.unwrap();
        *told.lock().unwrap() = serde_json::from_slice(&body).unwrap();
    }
    if path.ends_with("/skill-tokens") {
        plane.tokens.fetch_add(1, Ordering::Relaxed);
        if plane.refuses_tokens.load(Ordering::Relaxed) {
            return (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response();
        }
    }
    let mood = plane.mood.lock().unwrap().clone();
    match mood {
        Mood::Status(status) => (StatusCode::from_u16(status).unwrap(), "{}").into_response(),
        Mood::Lacking(_, lacking) if path.contains(lacking) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response()
        }
        Mood::Well(version) | Mood::Lacking(version, _) => {
            let mut answer = answer(&path, version);
            if let (true, Some(generation)) = (answer["token"].is_string(), *plane.generation.lock().unwrap()) {
                answer["skillTokensGeneration"] = generation.into();
                answer["token"] = format!("token-of-{generation}").into();
            }
            axum::Json(answer).into_response()
        }
        Mood::Html => ([("content-type", "text/html")], "<html><body>200 OK</body></html>").into_response(),
        Mood::Half(version) => {
            let whole = answer(&path, version).to_string();
            let half = whole[..whole.len() / 2].to_owned();
            Response::builder().header("content-length", whole.len()).body(Body::from(half)).unwrap()
        }
        Mood::Hang => std::future::pending().await,
        Mood::Wrong(value) => axum::Json(value).into_response(),
    }
}

fn answer(path: &str, version: u64) -> Value {
    match path.rsplit('/').nth(1).unwrap_or_default() {
        "config" => json!({
            "poolId": "pool-1", "version": version, "config": { "gateway": { "port": version } },
            "agentMeta": { "agent": { "botId": "bot" } }, "poolSecrets": { "KEY": "c4n4ry" },
        }),
        "skills" => json!({ "version": version, "skills": { "maps": { "SKILL.md": format!("# {version}") } } }),
        "workspace-templates" => json!({
            "version": version, "templates": { "agents": { "content": format!("# {version}"), "writeMode": "inject" } },
        }),
        _ => json!({
            "ok": true, "token": format!("token-{version}"), "expiresAt": "x", "configVersion": version,
            "skillsVersion": version, "templatesVersion": version,
        }),
    }
}

/// Expected `AGENTS.md` of an agent that has not written to it.
fn injected(version: u64) -> String {
    String::from_utf8(with_block(b"", &format!("# {version}"))).unwrap()
}

struct World {
    folder: TempDir,
    plane: ControlPlane,
    configured: watch::Receiver<Option<u64>>,
    _health: watch::Sender<Health>,
    version: watch::Sender<Version>,
    task: JoinHandle<()>,
}

impl World {
    async fn start(mood: Mood) -> Self {
        Self::start_at(mood, |_| {}).await
    }

    /// Starts with a pace that `change` changes.
    async fn start_at(mood: Mood, change: impl FnOnce(&mut Pace)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let plane = ControlPlane {
            mood: Arc::new(Mutex::new(mood)),
            heartbeats: Arc::default(),
            others: Arc::default(),
            registrations: Arc::default(),
            tokens: Arc::default(),
            refuses_tokens: Arc::default(),
            generation: Arc::default(),
            told: Arc::default(),
            registered: Arc::default(),
        };
        #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
        let router = Router::new().fallback(take).with_state(plane.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().unwrap();
        let (health, health_seen) = watch::channel(Health::Active);
        let (configured, configured_seen) = watch::channel(None);
        let (version, version_seen) = watch::channel(Version::None);
        let short = Duration::from_millis(10);
        let api = Api::new(base.parse().unwrap(), "pool-1".to_owned(), Token::Held("a-token".into())).unwrap();
        let program = OwnProgram::at(Path::new(env!("CARGO_BIN_EXE_portcullis-sidecar")), User::own());
        // Longer than any machine takes: the test is not about the deadline.
        let worker = Worker::new(program, folder.path(), Duration::from_hours(1));
        let (config, run) = (folder.path().join("openclaw.json"), folder.path().join("run"));
        let keeper = Keeper::new(worker, folder.path(), &config, &run);
        let mut pace = Pace { heartbeat: short, retry: short, longest_retry: 2 * short, ..Pace::default() };
        change(&mut pace);
        let sync = Sync {
            api: Rc::new(api),
            pace,
            address: Some("127.0.0.1:1".to_owned()),
            keeper: Rc::new(keeper),
            health: health_seen,
            version: version_seen,
            generation: watch::Sender::new(Generation::NotYet),
            configured,
        };
        let task = tokio::task::spawn_local(sync.run());
        Self { folder, plane, configured: configured_seen, _health: health, version, task }
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join(path)).ok()
    }

    /// Version of all files on the disk, which must never be half written.
    fn version(&self) -> Option<u64> {
        let config: Value = serde_json::from_str(&self.read("openclaw.json")?).expect("whole");
        config["gateway"]["port"].as_u64()
    }

    async fn wait_for(&self, version: u64) {
        eventually(&format!("version {version}"), async || {
            self.version() == Some(version)
                && self.read("skills/maps/SKILL.md") == Some(format!("# {version}"))
                && self.read("workspaces/agent/AGENTS.md") == Some(injected(version))
        })
        .await;
    }

    async fn wait_for_calls(&self, count: usize) {
        let (heartbeats, others) = (&self.plane.heartbeats, &self.plane.others);
        let calls = || heartbeats.load(Ordering::Relaxed) + others.load(Ordering::Relaxed);
        let enough = calls() + count;
        eventually("more calls", async || calls() >= enough).await;
    }
}

#[tokio::test]
async fn the_last_good_files_stay_through_any_failure_and_the_next_good_ones_come() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        let mut good = 1;
        for mood in [
            Mood::Status(500),
            Mood::Status(401),
            Mood::Status(403),
            Mood::Status(404),
            Mood::Status(429),
            Mood::Status(302),
            Mood::Html,
            Mood::Half(99),
            Mood::Wrong(json!([])),
            Mood::Wrong(json!({ "configVersion": -1 })),
        ] {
            world.plane.be(mood.clone());
            world.wait_for_calls(3).await;
            assert_eq!(world.version(), Some(good), "{mood:?}");
            world.wait_for(good).await;
            good += 1;
            world.plane.be(Mood::Well(good));
            world.wait_for(good).await;
        }
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_control_plane_that_hangs_is_given_up_on() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        world.plane.be(Mood::Hang);
        world.wait_for_calls(1).await;
        world.plane.be(Mood::Well(2));
        assert_eq!(world.version(), Some(1));
        // The call that hangs has a time-out of 20 s.
        world.wait_for(2).await;
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn well_formed_hostile_content_is_not_written() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        for hostile in [
            json!({ "configVersion": 2, "skillsVersion": 1, "templatesVersion": 1, "token": "t", "version": 2,
                "config": [], "agentMeta": {} }),
            json!({ "configVersion": 2, "skillsVersion": 1, "templatesVersion": 1, "token": "t", "version": 2,
                "config": {}, "agentMeta": { "../../hostile-by-test": { "botId": "b" } } }),
            json!({ "configVersion": 1, "skillsVersion": 2, "templatesVersion": 1, "token": "t", "version": 2,
                "skills": { "..": { "x": "y" } } }),
            json!({ "configVersion": 1, "skillsVersion": 2, "templatesVersion": 1, "token": "t", "version": 2,
                "skills": { "maps": { "../../hostile-by-test": "y" } } }),
            json!({ "configVersion": 1, "skillsVersion": 1, "templatesVersion": 2, "token": "t", "version": 2,
                "templates": { "../hostile-by-test": { "content": "y", "writeMode": "inject" } } }),
        ] {
            world.plane.be(Mood::Wrong(hostile.clone()));
            world.wait_for_calls(4).await;
            assert_eq!(world.version(), Some(1), "{hostile}");
            assert_eq!(world.read("skills/maps/SKILL.md").as_deref(), Some("# 1"), "{hostile}");
        }
        let above = world.folder.path().parent().unwrap();
        assert!(!above.join("hostile-by-test").exists() && !above.join("HOSTILE-BY-TEST.md").exists());
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_idle_pool_costs_one_request_a_heartbeat() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        let others = world.plane.others.load(Ordering::Relaxed);
        let heartbeats = world.plane.heartbeats.load(Ordering::Relaxed);
        eventually("ten heartbeats", async || world.plane.heartbeats.load(Ordering::Relaxed) >= heartbeats + 10).await;
        // At most the last request of the first round.
        assert!(world.plane.others.load(Ordering::Relaxed) <= others + 1);
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_unknown_pool_registers_again_and_one_whose_token_is_refused_does_not() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        let plane = &world.plane;
        for status in [401, 403, 500] {
            let heartbeats = plane.heartbeats.load(Ordering::Relaxed);
            plane.be(Mood::Status(status));
            eventually("three heartbeats", async || plane.heartbeats.load(Ordering::Relaxed) >= heartbeats + 3).await;
            assert_eq!(plane.registrations.load(Ordering::Relaxed), 1, "{status}");
        }
        plane.be(Mood::Status(404));
        eventually("a registration", async || plane.registrations.load(Ordering::Relaxed) > 1).await;
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_token_in_the_file_is_renewed_once_when_the_pools_generation_changes() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        let tokens = || world.plane.tokens.load(Ordering::Relaxed);
        let heartbeats = async |count: usize| {
            let enough = world.plane.heartbeats.load(Ordering::Relaxed) + count;
            eventually("more heartbeats", async || world.plane.heartbeats.load(Ordering::Relaxed) >= enough).await;
        };
        let raise_to = |generation: Option<u64>| *world.plane.generation.lock().unwrap() = generation;
        heartbeats(5).await;
        assert_eq!(tokens(), 1, "a control plane that tells no generation changes nothing");
        for (count, generation) in [(2, 0), (3, 1), (4, 7), (5, 6)] {
            raise_to(Some(generation));
            let token = format!("token-of-{generation}");
            eventually("the token is new", async || world.read("skill-token").as_ref() == Some(&token)).await;
            heartbeats(10).await;
            assert_eq!(tokens(), count, "once for each change");
        }
        raise_to(None);
        heartbeats(5).await;
        assert_eq!(tokens(), 5);
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn revoked_tokens_are_replaced_whatever_else_fails_and_after_an_absence() {
    let test = async {
        // The back-off is so long that a test would never end.
        let hour = Duration::from_hours(1);
        let world = World::start_at(Mood::Well(1), |pace| (pace.retry, pace.longest_retry) = (hour, hour)).await;
        let is_of = async |generation: u64| {
            let token = format!("token-of-{generation}");
            eventually("the token is new", async || world.read("skill-token").as_ref() == Some(&token)).await;
        };
        world.wait_for(1).await;
        *world.plane.generation.lock().unwrap() = Some(1);
        is_of(1).await;
        // Skills fail: the files wait for an hour.
        world.plane.be(Mood::Lacking(2, "/skills/"));
        eventually("the configuration is new", async || world.version() == Some(2)).await;
        for generation in [2, 3] {
            *world.plane.generation.lock().unwrap() = Some(generation);
            is_of(generation).await;
        }
        world.task.abort();

        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        // Unreachable, and back with another generation.
        world.plane.be(Mood::Status(503));
        world.wait_for_calls(3).await;
        *world.plane.generation.lock().unwrap() = Some(4);
        world.plane.be(Mood::Well(1));
        let is_new = || world.read("skill-token").as_deref() == Some("token-of-4");
        eventually("the token is new", async || is_new()).await;
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_renewal_that_fails_is_not_tried_at_each_heartbeat() {
    let test = async {
        let hour = Duration::from_hours(1);
        let world = World::start_at(Mood::Well(1), |pace| (pace.retry, pace.longest_retry) = (hour, hour)).await;
        world.wait_for(1).await;
        world.plane.refuses_tokens.store(true, Ordering::Relaxed);
        *world.plane.generation.lock().unwrap() = Some(1);
        let tokens = || world.plane.tokens.load(Ordering::Relaxed);
        eventually("it is tried", async || tokens() == 2).await;
        let enough = world.plane.heartbeats.load(Ordering::Relaxed) + 20;
        eventually("more heartbeats", async || world.plane.heartbeats.load(Ordering::Relaxed) >= enough).await;
        assert_eq!(tokens(), 2);
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_pools_secrets_are_written_nowhere() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        eventually("it is told", async || *world.configured.borrow() == Some(1)).await;
        let found =
            std::process::Command::new("grep").args(["-r", "c4n4ry"]).arg(world.folder.path()).output().unwrap();
        assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
        let context: Value = serde_json::from_str(&world.read("nexu-context.json").unwrap()).unwrap();
        let keys: Vec<&String> = context.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["agents", "apiUrl", "poolId"]);
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn the_version_reported_as_seen_is_the_one_on_the_disk() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        eventually("it is told", async || world.plane.last_seen() == Some(1)).await;
        let file = world.folder.path().join("openclaw.json");
        let written = world.read("openclaw.json").unwrap();
        let elsewhere = world.folder.path().join("elsewhere");
        let changes: [&dyn Fn(); 4] = [
            &|| std::fs::write(&file, "{}").unwrap(),
            &|| std::fs::write(&file, format!("{written}\n")).unwrap(),
            &|| std::fs::remove_file(&file).unwrap(),
            &|| {
                std::fs::rename(&file, &elsewhere).unwrap();
                std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
            },
        ];
        for change in changes {
            change();
            eventually("it is written again", async || {
                world.read("openclaw.json").as_ref() == Some(&written) && !file.is_symlink()
            })
            .await;
            eventually("it is told", async || world.plane.last_seen() == Some(1)).await;
        }
        // Restored from memory: the control plane is not needed.
        world.plane.be(Mood::Lacking(1, "/config/"));
        std::fs::write(&file, "{}").unwrap();
        eventually("it is written again", async || world.read("openclaw.json").as_ref() == Some(&written)).await;
        // While it cannot be restored, no version is reported.
        let aside = world.folder.path().with_extension("aside");
        std::fs::rename(world.folder.path(), &aside).unwrap();
        std::fs::write(world.folder.path(), "").unwrap();
        eventually("none is told", async || world.plane.last_seen() == Some(0)).await;
        std::fs::remove_file(world.folder.path()).unwrap();
        std::fs::rename(&aside, world.folder.path()).unwrap();
        eventually("it is told again", async || world.plane.last_seen() == Some(1)).await;
        assert_eq!(world.read("openclaw.json"), Some(written));
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn files_are_restored_from_memory_after_any_change_by_the_child() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        eventually("the token is there", async || world.read("skill-token").is_some()).await;
        // From now on only heartbeats are answered.
        world.plane.be(Mood::Lacking(1, "/latest"));
        let files =
            ["openclaw.json", "nexu-context.json", "skill-token", "skills/maps/SKILL.md", "workspaces/agent/AGENTS.md"];
        let path = |file: &str| world.folder.path().join(file);
        let damages: [&dyn Fn(&Path); 7] = [
            &|file| std::fs::remove_file(file).unwrap(),
            &|file| {
                let whole = std::fs::read(file).unwrap();
                std::fs::write(file, &whole[..whole.len() / 2]).unwrap();
            },
            &|file| std::fs::write(file, "").unwrap(),
            &|file| {
                std::fs::remove_file(file).unwrap();
                nix::unistd::mkfifo(file, nix::sys::stat::Mode::S_IRWXU).unwrap();
            },
            &|file| {
                std::fs::remove_file(file).unwrap();
                std::os::unix::fs::symlink("/dev/zero", file).unwrap();
            },
            &|file| {
                std::fs::remove_file(file).unwrap();
                drop(std::os::unix::net::UnixListener::bind(file).unwrap());
            },
            &|file| {
                std::fs::remove_file(file).unwrap();
                std::fs::create_dir_all(file.join("full")).unwrap();
            },
        ];
        for file in files {
            let written = if file.ends_with("AGENTS.md") { injected(1) } else { world.read(file).unwrap() };
            for (index, damage) in damages.iter().enumerate() {
                damage(&path(file));
                let is_restored = async || {
                    let is_plain = std::fs::symlink_metadata(path(file)).is_ok_and(|found| found.is_file());
                    // The remainder of a broken block stays as the agent's text.
                    is_plain && world.read(file).is_some_and(|text| text.ends_with(&written))
                };
                eventually(&format!("{file} is restored after damage {index}"), is_restored).await;
            }
        }
        // Folders that are in the way are handled too.
        for folder in ["skills/maps", "skills", "workspaces/agent", "workspaces"] {
            std::fs::remove_dir_all(path(folder)).unwrap();
            nix::unistd::mkfifo(&path(folder), nix::sys::stat::Mode::S_IRWXU).unwrap();
            world.wait_for(1).await;
        }
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn the_list_of_written_files_lies_in_the_run_folder_and_an_older_one_is_taken_over() {
    let test = async {
        let world = World::start(Mood::Status(500)).await;
        let skills = world.folder.path().join("skills");
        std::fs::create_dir(&skills).unwrap();
        std::fs::write(skills.join("old.md"), "of an older sidecar").unwrap();
        std::fs::write(skills.join(".portcullis.json"), r#"{"files":["old.md"]}"#).unwrap();
        world.plane.be(Mood::Well(1));
        world.wait_for(1).await;
        assert!(!skills.join("old.md").exists() && !skills.join(".portcullis.json").exists());
        let list = || world.read("run/files.json").and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let expected = json!({
            "skills": { "files": ["maps/SKILL.md"], "seeded": [] },
            "workspaces": { "agent": { "files": ["AGENTS.md"], "seeded": [] } },
        });
        eventually("it is listed", async || list() == Some(expected.clone())).await;
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn copies_of_a_configuration_with_old_secrets_do_not_stay() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        for name in ["openclaw.json.bak", "openclaw.json.bak.3", "openclaw.json.last-good"] {
            std::fs::write(world.folder.path().join(name), "old").unwrap();
        }
        eventually("they are gone", async || {
            ["bak", "bak.3", "last-good"].iter().all(|end| world.read(&format!("openclaw.json.{end}")).is_none())
        })
        .await;
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

const REPORT: Report<'static> = Report { address: None, health: Health::Active, openclaw_version: None };

/// A control plane that refuses everything with this body.
async fn refusing(status: u16, body: String) -> Api {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let answer = async move || {
        let answer = Response::builder().status(status).header("x-request-id", "request-1");
        answer.body(Body::from(body)).unwrap()
    };
    #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
    let router = Router::new().fallback(answer);
    tokio::spawn(async { axum::serve(listener, router).await });
    Api::new(base.parse().unwrap(), "pool-1".to_owned(), Token::Held("a-token".into())).unwrap()
}

#[tokio::test]
async fn a_refusal_tells_its_route_reason_and_remedy() {
    let body = json!({ "message": "Pool pool-1 not found", "code": "not_found", "fields": { "podIp": "no" }, "requestId": "x" });
    let api = refusing(404, body.to_string()).await;
    let error = api.register(&REPORT).await.unwrap_err();
    assert!(error.is_not_found());
    let facts: Value = error.facts().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let expected = json!({
        "because": "the control plane answered 404 to POST /api/internal/pools/register: Pool pool-1 not found",
        "route": "POST /api/internal/pools/register",
        "status": 404,
        "reason": "Pool pool-1 not found",
        "code": "not_found",
        "fields": { "podIp": "no" },
        "requestId": "request-1",
        "toDo": "a bound token cannot make a pool: an operator registers it first with POST /api/internal/pools/register",
    });
    assert_eq!(facts, expected);
    let error = api.heartbeat(&REPORT, None).await.unwrap_err();
    assert!(error.facts().iter().all(|(name, _)| *name != "toDo"), "an unknown pool registers by itself");
}

#[tokio::test]
async fn a_refusal_that_repeats_the_token_or_never_ends_is_not_logged_as_it_is() {
    let long = "x".repeat(100_000);
    for body in [
        json!({ "message": "you sent Bearer a-token", "code": "a-token", "fields": { "a-token": "x", "y": "a-token" } }),
        json!({ "message": ["a-token"], "code": 7, "fields": "a-token" }),
        json!({ "message": long }),
        json!("a-token"),
    ] {
        let error = refusing(400, body.to_string()).await.register(&REPORT).await.unwrap_err();
        let told = format!("{:?} {error:?}", error.facts());
        assert!(!told.contains("a-token") && told.len() < 2_000, "{told}");
    }
}

#[tokio::test]
async fn the_version_of_openclaw_is_told_from_the_first_call_on() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        assert!(world.plane.registered.lock().unwrap()["openclawVersion"].is_null(), "what is no OpenClaw has none");
        let told = || world.plane.told.lock().unwrap()["openclawVersion"].clone();
        for version in ["2026.3.7", "2026.9.6"] {
            world.version.send_replace(Version::Known(version.to_owned()));
            eventually("it is told", async || told() == version).await;
        }
        // An unknown pool registers with the same report.
        world.plane.be(Mood::Status(404));
        world.wait_for_calls(2).await;
        world.plane.be(Mood::Well(1));
        let registered = || world.plane.registered.lock().unwrap()["openclawVersion"].clone();
        eventually("it registers with it", async || registered() == "2026.9.6").await;
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn all_is_written_before_the_first_start_however_many_tries_that_takes() {
    let test = async {
        for lacking in ["/skills/", "/workspace-templates/", "/config/"] {
            let world = World::start(Mood::Lacking(1, lacking)).await;
            world.wait_for_calls(8).await;
            assert_eq!((*world.configured.borrow(), world.version()), (None, None), "{lacking}");
            world.plane.be(Mood::Well(1));
            let mut configured = world.configured.clone();
            // The configuration that a start waits for is written last.
            configured.wait_for(Option::is_some).await.unwrap();
            assert_eq!(world.version(), Some(1), "{lacking}");
            assert_eq!(world.read("skills/maps/SKILL.md").as_deref(), Some("# 1"), "{lacking}");
            assert_eq!(world.read("workspaces/agent/AGENTS.md"), Some(injected(1)), "{lacking}");
            world.task.abort();
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn after_the_first_start_what_fails_keeps_no_configuration_back() {
    let test = async {
        let world = World::start(Mood::Well(1)).await;
        world.wait_for(1).await;
        for (version, lacking) in [(2, "/skills/"), (3, "/workspace-templates/")] {
            world.plane.be(Mood::Lacking(version, lacking));
            eventually("the configuration is there", async || world.version() == Some(version)).await;
            world.plane.be(Mood::Well(version));
            world.wait_for(version).await;
        }
        world.task.abort();
    };
    LocalSet::new().run_until(test).await;
}
