//! Tests of `portcullis-skill` in a skill's environment, against the whole control plane.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use axum::Router;
use http::StatusCode;
use portcullis_tests::{System, seed, system::send};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A pool's machine, in the state that a sidecar leaves.
struct Machine {
    system: System,
    folder: TempDir,
    environment: BTreeMap<&'static str, String>,
}

impl Machine {
    async fn with_agents(agents: &[&str]) -> Self {
        let system = System::start().await;
        let pool = seed::pool(&system, "pool-1", None).await;
        for agent in agents {
            seed::bot(&system, &format!("bot-of-{agent}"), &pool).await;
        }
        let secrets = json!({ "secrets": {
            "SHARED": "of the pool", "KEY": { "value": "it's 'quoted' $(id)", "scope": "skill:maps" },
        } });
        let put = system.internal(Method::PUT, "/api/internal/pools/pool-1/secrets").json(&secrets);
        assert_eq!(send(put).await.status, 200);
        let issue = system.internal(Method::POST, "/api/internal/pools/pool-1/skill-tokens");
        let token = send(issue.json(&json!({ "ttlSeconds": 600 }))).await.json()["token"].as_str().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let agents: BTreeMap<_, _> =
            agents.iter().map(|agent| (agent, json!({ "botId": format!("bot-of-{agent}") }))).collect();
        let context = json!({ "apiUrl": system.stack.base_url(), "poolId": "pool-1", "agents": agents });
        fs::write(folder.path().join("nexu-context.json"), context.to_string()).unwrap();
        fs::create_dir_all(folder.path().join("skills/maps/bin")).unwrap();
        let state = folder.path().to_str().unwrap().to_owned();
        let environment =
            [("PATH", "/usr/bin:/bin".to_owned()), ("SKILL_API_TOKEN", token), ("OPENCLAW_STATE_DIR", state)].into();
        Self { system, folder, environment }
    }

    /// Runs the command in a skill's folder.
    async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_in(&self.folder.path().join("skills/maps/bin"), arguments, "").await
    }

    async fn run_in(&self, folder: &Path, arguments: &[&str], input: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis-skill"));
        command.args(arguments).env_clear().envs(&self.environment).current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.to_owned();
        let ended = tokio::task::spawn_blocking(move || {
            let mut process = command.spawn().unwrap();
            process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            process.wait_with_output().unwrap()
        });
        Ran::of(ended.await.unwrap())
    }
}

/// Outcome of a command.
#[derive(Debug)]
struct Ran {
    code: i32,
    output: String,
    error: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), output: text(output.stdout), error: text(output.stderr) }
    }

    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.output).unwrap()
    }

    fn assert_fails(&self, code: i32, said: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.error.contains(said) && self.output.is_empty(), "{self:?}");
    }
}

#[tokio::test]
async fn a_skill_reads_its_secrets_in_the_form_that_it_needs() {
    let machine = Machine::with_agents(&["ada"]).await;
    let expected = json!({ "SHARED": "of the pool", "KEY": "it's 'quoted' $(id)" });
    for arguments in [&["secrets", "get"][..], &["secrets", "get", "--json"], &["secrets", "get", "--skill", "maps"]] {
        assert_eq!(machine.run(arguments).await.json(), expected);
    }
    assert_eq!(machine.run(&["secrets", "get", "KEY"]).await.output, "it's 'quoted' $(id)");
    for arguments in [["secrets", "get", "KEY", "--json"], ["secrets", "get", "--json", "KEY"]] {
        assert_eq!(machine.run(&arguments).await.json(), json!({ "KEY": "it's 'quoted' $(id)" }));
    }
    machine.run(&["secrets", "get", "KEY", "--env"]).await.assert_fails(2, "cannot be used with");
    machine.run(&["secrets", "get", "OTHER", "--json"]).await.assert_fails(3, "there is no secret OTHER");
    let lines = machine.run(&["secrets", "get", "--env"]).await.output;
    assert_eq!(lines, "export KEY='it'\\''s '\\''quoted'\\'' $(id)'\nexport SHARED='of the pool'\n");
    assert_eq!(machine.run(&["secrets", "get", "--skill", "other"]).await.json(), json!({ "SHARED": "of the pool" }));
    machine.run(&["secrets", "get", "OTHER"]).await.assert_fails(3, "there is no secret OTHER");
    let elsewhere = machine.run_in(machine.folder.path(), &["secrets", "get"], "").await;
    elsewhere.assert_fails(2, "name the skill with --skill");
}

#[tokio::test]
async fn artifacts_and_feedback_are_of_the_agent_in_whose_workspace_the_skill_runs() {
    let mut machine = Machine::with_agents(&["ada", "bob"]).await;
    let create = [
        "artifact",
        "create",
        "--title",
        "A page",
        "--session-key",
        "agent:bot-of-bob:main",
        "--preview-url",
        "https://example.com/",
        "--type",
        "deployment",
        "--status",
        "live",
        "--metadata",
        r#"{"a":[1]}"#,
    ];
    // A variable that OpenClaw does not set is ignored.
    machine.environment.insert("OPENCLAW_AGENT_ID", "bob".to_owned());
    machine.run(&create).await.assert_fails(2, "name the bot with --bot, one of bot-of-ada, bot-of-bob");
    for workspace in ["bob/skills/maps", "carol"] {
        fs::create_dir_all(machine.folder.path().join("workspaces").join(workspace)).unwrap();
    }
    let workspace = |inner: &str| machine.folder.path().join("workspaces").join(inner);
    machine.run_in(&workspace("carol"), &create, "").await.assert_fails(2, "the workspace of carol, which is none of");
    machine.run(&[&create[..], &["--bot", "carol"]].concat()).await.assert_fails(2, "none of this pool's bots");
    let made = machine.run_in(&workspace("bob/skills/maps"), &create, "").await.json();
    for bot in ["bot-of-bob", "bob"] {
        let again = [&["--bot", bot], &create[..]].concat();
        let again = machine.run_in(&workspace("carol"), &again, "").await.json();
        assert_eq!(again["id"], made["id"]);
    }
    assert_eq!(
        (&made["botId"], &made["metadata"], &made["artifactType"]),
        (&json!("bot-of-bob"), &json!({ "a": [1] }), &json!("deployment"))
    );
    let update = ["artifact", "update", made["id"].as_str().unwrap(), "--status", "stopped", "--file-count", "3"];
    let updated = machine.run(&update).await.json();
    assert_eq!((&updated["status"], &updated["fileCount"]), (&json!("stopped"), &json!(3)));
    let machine = &machine;
    machine.run(&["artifact", "update", "no-such-id", "--title", "x"]).await.assert_fails(3, "Artifact not found");
    let create = ["artifact", "create", "--title", "x", "--bot", "bob"];
    machine.run(&create).await.assert_fails(2, "sessionKey or chatId is required");
    machine.run(&["artifact", "create"]).await.assert_fails(2, "--title");
    let here = workspace("bob");
    assert_eq!(machine.run_in(&here, &["feedback", "Well done"], "").await.json()["ok"], true);
    assert_eq!(machine.run_in(&here, &["feedback", "-"], "Of\nseveral lines").await.json()["ok"], true);
    let of_ada = ["feedback", "- a point", "--bot", "bot-of-ada"];
    assert_eq!(machine.run_in(&here, &of_ada, "").await.json()["ok"], true);
    machine.run(&["feedback", "x"]).await.assert_fails(2, "name the bot with --bot");
}

/// Starts a control plane that answers every request with this.
async fn answering(status: StatusCode, body: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "a stand-in has no tiers")]
    let router = Router::new().fallback(async move || (status, axum::Json(body)));
    tokio::spawn(async { axum::serve(listener, router).await });
    base
}

#[tokio::test]
async fn a_feature_that_a_control_plane_lacks_is_named_clearly() {
    let machine = Machine::with_agents(&["ada"]).await;
    let connect = async |status, body| {
        let agents = json!({ "ada": { "botId": "bot-of-ada" } });
        let context = json!({ "apiUrl": answering(status, body).await, "poolId": "pool-1", "agents": agents });
        fs::write(machine.folder.path().join("nexu-context.json"), context.to_string()).unwrap();
    };
    let commands = [
        &["composio", "execute", "GMAIL_SEND_EMAIL", r#"{"to":"x"}"#][..],
        &["composio", "execute", "GMAIL_SEND_EMAIL"],
        &["composio", "disconnect", "gmail"],
    ];
    connect(StatusCode::NOT_FOUND, json!({ "message": "Not found" })).await;
    for arguments in commands {
        machine.run(arguments).await.assert_fails(6, "Composio is not available on this control plane");
    }
    machine.run(&["composio", "execute", "X", "[]"]).await.assert_fails(2, "must be a JSON object");
    connect(StatusCode::SERVICE_UNAVAILABLE, json!({ "message": "Accounts cannot be connected yet" })).await;
    for arguments in commands {
        machine.run(arguments).await.assert_fails(5, "Accounts cannot be connected yet");
    }
}

#[tokio::test]
async fn the_token_in_the_file_comes_before_the_one_in_the_environment() {
    let mut machine = Machine::with_agents(&["ada"]).await;
    let good = machine.environment.insert("SKILL_API_TOKEN", "not-good".to_owned()).unwrap();
    machine.run(&["secrets", "get"]).await.assert_fails(4, "Unauthorized skill request");
    let file = machine.folder.path().join("skill-token");
    machine.environment.insert("SKILL_API_TOKEN_FILE", file.to_str().unwrap().to_owned());
    machine.run(&["secrets", "get"]).await.assert_fails(4, "Unauthorized skill request");
    let long = "x".repeat(5000);
    for (text, fault) in [
        (format!("{good}\n{good}\n"), "holds more than one line"),
        (String::new(), "is empty"),
        ("\n \n".to_owned(), "is empty"),
        (long, "is longer than 4096 characters"),
        (format!("{good} x"), "something else than visible ASCII"),
    ] {
        fs::write(&file, text).unwrap();
        let ran = machine.run(&["secrets", "get"]).await;
        ran.assert_fails(2, fault);
        assert!(ran.error.contains(&format!("SKILL_API_TOKEN_FILE: the file {}", file.display())), "{ran:?}");
        assert!(!ran.error.contains(&good), "{ran:?}");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    machine.run(&["secrets", "get"]).await.assert_fails(2, "is not a plain file");
    fs::remove_dir(&file).unwrap();
    fs::write(&file, format!("{good}\n")).unwrap();
    let ran = machine.run(&["secrets", "get"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    machine.environment.remove("SKILL_API_TOKEN");
    fs::remove_file(&file).unwrap();
    machine.run(&["secrets", "get"]).await.assert_fails(2, "cannot be read: entity not found");
    machine.environment.remove("SKILL_API_TOKEN_FILE");
    machine.run(&["secrets", "get"]).await.assert_fails(2, "there is no token");
    machine.environment.insert("SKILL_API_TOKEN", format!("{good}\n{good}"));
    machine.run(&["secrets", "get"]).await.assert_fails(2, "SKILL_API_TOKEN holds more than one line");
}

#[tokio::test]
async fn the_pool_is_found_through_the_state_folder_alone() {
    let mut machine = Machine::with_agents(&["ada"]).await;
    let get = ["secrets", "get", "--skill", "maps"];
    let outside = tempfile::tempdir().unwrap();
    assert_eq!(machine.run_in(outside.path(), &get, "").await.code, 0);
    // A context that somebody placed above a working folder could name another control plane.
    let state = machine.environment.remove("OPENCLAW_STATE_DIR").unwrap();
    machine.run(&get).await.assert_fails(2, "OPENCLAW_STATE_DIR is not set");
    machine.environment.insert("OPENCLAW_STATE_DIR", outside.path().to_str().unwrap().to_owned());
    machine.run(&get).await.assert_fails(2, "is a sidecar running?");
    machine.environment.insert("OPENCLAW_STATE_DIR", state);
    fs::write(machine.folder.path().join("nexu-context.json"), "{").unwrap();
    machine.run(&get).await.assert_fails(2, "malformed");
}

#[tokio::test]
async fn a_control_plane_that_is_away_is_told_from_a_refusal() {
    let machine = Machine::with_agents(&["ada"]).await;
    let context = json!({ "apiUrl": "http://127.0.0.1:9", "poolId": "pool-1", "agents": {} });
    fs::write(machine.folder.path().join("nexu-context.json"), context.to_string()).unwrap();
    machine.run(&["secrets", "get"]).await.assert_fails(5, "could not be reached");
    machine.run(&["feedback", "x"]).await.assert_fails(2, "this pool has no agent");
    let context = json!({ "apiUrl": "http://example.com", "poolId": "pool-1", "agents": {} });
    fs::write(machine.folder.path().join("nexu-context.json"), context.to_string()).unwrap();
    machine.run(&["secrets", "get"]).await.assert_fails(2, "apiUrl must be an https URL");
    drop(machine.system);
}

#[tokio::test]
async fn a_control_plane_on_this_machine_is_called_through_no_proxy() {
    let mut machine = Machine::with_agents(&["agent"]).await;
    // Nothing listens at this address.
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        machine.environment.insert(name, "http://127.0.0.1:9".to_owned());
    }
    machine.environment.insert("NO_PROXY", "elsewhere.example.com".to_owned());
    let ran = machine.run(&["secrets", "get", "KEY"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}
