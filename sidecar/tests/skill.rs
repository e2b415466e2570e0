//! `portcullis-skill`, as a skill runs it, against the whole control plane.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use portcullis_tests::{System, seed, system::send};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A pool's machine, as a sidecar has left it.
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
        let environment = [("PATH", "/usr/bin:/bin".to_owned()), ("SKILL_API_TOKEN", token)].into();
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

/// What a command came to.
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
    let lines = machine.run(&["secrets", "get", "--env"]).await.output;
    assert_eq!(lines, "export KEY='it'\\''s '\\''quoted'\\'' $(id)'\nexport SHARED='of the pool'\n");
    assert_eq!(machine.run(&["secrets", "get", "--skill", "other"]).await.json(), json!({ "SHARED": "of the pool" }));
    machine.run(&["secrets", "get", "OTHER"]).await.assert_fails(3, "there is no secret OTHER");
    let elsewhere = machine.run_in(machine.folder.path(), &["secrets", "get"], "").await;
    elsewhere.assert_fails(2, "name the skill with --skill");
}

#[tokio::test]
async fn artifacts_and_feedback_are_of_the_agent_that_the_skill_runs_for() {
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
    machine.run(&create).await.assert_fails(2, "set OPENCLAW_AGENT_ID");
    machine.environment.insert("OPENCLAW_AGENT_ID", "carol".to_owned());
    machine.run(&create).await.assert_fails(2, "none of this pool's agents");
    machine.environment.insert("OPENCLAW_AGENT_ID", "bob".to_owned());
    let made = machine.run(&create).await.json();
    assert_eq!(
        (&made["botId"], &made["metadata"], &made["artifactType"]),
        (&json!("bot-of-bob"), &json!({ "a": [1] }), &json!("deployment"))
    );
    let update = ["artifact", "update", made["id"].as_str().unwrap(), "--status", "stopped", "--file-count", "3"];
    let updated = machine.run(&update).await.json();
    assert_eq!((&updated["status"], &updated["fileCount"]), (&json!("stopped"), &json!(3)));
    machine.run(&["artifact", "update", "no-such-id", "--title", "x"]).await.assert_fails(3, "Artifact not found");
    machine.run(&["artifact", "create", "--title", "x"]).await.assert_fails(2, "sessionKey or chatId is required");
    machine.run(&["artifact", "create"]).await.assert_fails(2, "--title");
    assert_eq!(machine.run(&["feedback", "Well done"]).await.json(), json!({ "ok": true }));
    let here = machine.folder.path().to_owned();
    assert_eq!(machine.run_in(&here, &["feedback", "-"], "Of\nseveral lines").await.json(), json!({ "ok": true }));
}

#[tokio::test]
async fn what_a_control_plane_has_none_of_yet_is_said_clearly() {
    let machine = Machine::with_agents(&["ada"]).await;
    for arguments in [
        &["composio", "execute", "GMAIL_SEND_EMAIL", r#"{"to":"x"}"#][..],
        &["composio", "execute", "GMAIL_SEND_EMAIL"],
        &["composio", "disconnect", "gmail"],
    ] {
        machine.run(arguments).await.assert_fails(6, "Composio is not available on this control plane");
    }
    machine.run(&["composio", "execute", "X", "[]"]).await.assert_fails(2, "must be a JSON object");
}

#[tokio::test]
async fn the_token_in_the_file_comes_before_the_one_in_the_environment() {
    let mut machine = Machine::with_agents(&["ada"]).await;
    let good = machine.environment.insert("SKILL_API_TOKEN", "not-good".to_owned()).unwrap();
    machine.run(&["secrets", "get"]).await.assert_fails(4, "Unauthorized skill request");
    let file = machine.folder.path().join("skill-token");
    machine.environment.insert("SKILL_API_TOKEN_FILE", file.to_str().unwrap().to_owned());
    machine.run(&["secrets", "get"]).await.assert_fails(4, "Unauthorized skill request");
    fs::write(&file, format!("{good}\n")).unwrap();
    let ran = machine.run(&["secrets", "get"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    machine.environment.remove("SKILL_API_TOKEN");
    fs::remove_file(&file).unwrap();
    machine.run(&["secrets", "get"]).await.assert_fails(2, "there is no token");
}

#[tokio::test]
async fn the_pool_is_found_through_the_state_folder_or_upward() {
    let mut machine = Machine::with_agents(&["ada"]).await;
    let outside = tempfile::tempdir().unwrap();
    let get = ["secrets", "get", "--skill", "maps"];
    machine.run_in(outside.path(), &get, "").await.assert_fails(2, "is a sidecar running?");
    machine.environment.insert("OPENCLAW_STATE_DIR", machine.folder.path().to_str().unwrap().to_owned());
    assert_eq!(machine.run_in(outside.path(), &get, "").await.code, 0);
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
