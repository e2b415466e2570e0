//! End-to-end tests of the sidecar's binary against the whole control plane, with a child that records its environment.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
    sync::{Arc, Mutex},
};

use portcullis_tests::{
    System, seed,
    system::{eventually, send},
};
use reqwest::Method;
use serde_json::json;
use support::{Gateway, Machine, is_alive, is_root, signal};
use tokio::{io::AsyncReadExt, net::TcpListener};

async fn prepared() -> (System, Gateway, Machine) {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    let bot = seed::bot(&system, "bot-1", &pool).await;
    seed::channel(&system, "channel-1", &bot, &pool, "T0TEAM", "A0APP").await;
    let gateway = Gateway::start().await;
    let machine = Machine::of(&system, &gateway).await;
    (system, gateway, machine)
}

async fn put(system: &System, path: &str, body: serde_json::Value) {
    let answer = send(system.internal(Method::PUT, path).json(&body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_pool_is_brought_up_and_kept_as_the_control_plane_has_it() {
    let (system, _gateway, machine) = prepared().await;
    put(&system, "/api/internal/skills/maps", json!({ "content": "# Maps", "files": { "run.sh": "#!/bin/sh\n" } }))
        .await;
    let template = json!({ "content": "# Agents", "writeMode": "inject" });
    // By the file's own name; a control plane that accepts only older names gets the other.
    let by_name = async |name: &str| {
        let path = format!("/api/internal/workspace-templates/{name}");
        send(system.internal(Method::PUT, &path).json(&template)).await.status == 200
    };
    assert!(by_name("AGENTS.md").await || by_name("agents").await);
    let _sidecar = machine.start();
    machine.wait_for_child().await;
    let config = machine.json("openclaw.json").unwrap();
    assert!(config["channels"]["slack"]["accounts"].is_object(), "{config}");
    let context = machine.json("nexu-context.json").unwrap();
    let expected = json!({
        "apiUrl": system.stack.base_url(), "poolId": "pool-1", "agents": { "bot-1": { "botId": "bot-1" } },
    });
    assert_eq!(context, expected, "and nothing else");
    eventually("skills and templates are there", async || {
        machine.text("skills/maps/run.sh").is_some() && machine.text("workspaces/bot-1/AGENTS.md").is_some()
    })
    .await;
    for file in ["openclaw.json", "nexu-context.json", "skill-token"] {
        let mode = fs::metadata(machine.state().join(file)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }

    // A change is on the disk with the next heartbeat, in a new agent's workspace too; deleted documents are removed.
    put(&system, "/api/internal/skills/maps", json!({ "content": "# Maps 2" })).await;
    seed::bot(&system, "bot-2", &seed::pool(&system, "pool-1", None).await).await;
    eventually("the change is there", async || {
        machine.text("skills/maps/SKILL.md").as_deref() == Some("# Maps 2")
            && machine.text("workspaces/bot-2/AGENTS.md").is_some()
            && machine.json("nexu-context.json").unwrap()["agents"]["bot-2"]["botId"] == "bot-2"
    })
    .await;
    assert_eq!(machine.text("skills/maps/run.sh"), None);
    let pool = system.store().get_pool(&"pool-1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(pool.status.to_string(), "active");
}

#[tokio::test]
async fn the_pools_token_is_nowhere_that_the_child_could_look() {
    let (system, _gateway, mut machine) = prepared().await;
    let token = fs::read_to_string(machine.environment.remove("PORTCULLIS_TOKEN_FILE").unwrap()).unwrap();
    machine.set("INTERNAL_API_TOKEN", &token);
    for (name, value) in [
        ("AWS_SECRET_ACCESS_KEY", "c4n4ry"),
        ("LD_PRELOAD_CANARY", "c4n4ry"),
        ("SOMETHING_ELSE", "c4n4ry"),
        ("PORTCULLIS_PASS_ENV", "WANTED"),
        ("SKILL_API_TOKEN", "c4n4ry"),
        ("NOTIFY_SOCKET", "c4n4ry"),
        ("WATCHDOG_USEC", "600000000"),
        ("WANTED", "passed"),
    ] {
        machine.set(name, value);
    }
    let secret = "c4n4ry-of-the-pool";
    put(&system, "/api/internal/pools/pool-1/secrets", json!({ "secrets": { "A_KEY": secret } })).await;
    let sidecar = machine.start();
    let child = machine.wait_for_child().await;

    let environment = machine.child_environment();
    let names: Vec<&str> =
        environment.keys().map(String::as_str).filter(|name| !["PWD", "SHLVL", "_"].contains(name)).collect();
    let mut expected = vec![
        "HOME",
        "OPENCLAW_CONFIG_PATH",
        "OPENCLAW_CONFIG_READONLY",
        "OPENCLAW_NO_RESPAWN",
        "OPENCLAW_STATE_DIR",
        "PATH",
        "SKILL_API_TOKEN",
        "SKILL_API_TOKEN_FILE",
        "WANTED",
    ];
    if is_root() {
        expected.extend(["SHELL", "USER"]);
        expected.sort_unstable();
    }
    assert_eq!(names, expected);

    // Neither process, nor a file of the child's, holds the pool's token or a pool's secret.
    eventually("the token's file is there", async || machine.text("skill-token").is_some()).await;
    for (pid, file) in [(sidecar.id(), "environ"), (sidecar.id(), "cmdline"), (child, "environ"), (child, "cmdline")] {
        let found = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let found = String::from_utf8_lossy(&found);
        assert!(!found.contains(&token), "{file} of {pid}");
    }
    for line in ["openclaw.json", "nexu-context.json", "skill-token"].map(|file| machine.text(file).unwrap()) {
        assert!(!line.contains(&token) && !line.contains(secret), "{line}");
    }
    assert!(!machine.log().contains(&token) && !machine.log().contains(&environment["SKILL_API_TOKEN"]));

    // The child's own token reads its pool's secrets, but has no rights of the pool's token.
    for held in [&environment["SKILL_API_TOKEN"], &machine.text("skill-token").unwrap()] {
        let with = |method, path: &str| system.request(method, path).header("x-internal-token", held);
        let secrets = send(with(Method::GET, "/api/internal/secrets/maps?poolId=pool-1")).await;
        assert_eq!(secrets.json(), json!({ "A_KEY": secret }));
        assert_eq!(send(with(Method::GET, "/api/internal/pools/pool-1/config/latest")).await.status, 401);
    }
}

#[tokio::test]
async fn a_child_that_outlived_its_sidecar_is_adopted_and_ended_with_the_next() {
    let (_system, _gateway, machine) = prepared().await;
    let first = machine.start();
    let child = machine.wait_for_child().await;
    first.kill();
    assert!(is_alive(child));
    let mut second = machine.start();
    eventually("it is adopted", async || machine.log().contains("adopted")).await;
    assert_eq!(machine.child(), Some(child), "no other was started");
    second.terminate();
    assert!(second.wait().await.success());
    assert!(!is_alive(child));
}

#[tokio::test]
async fn revoked_skill_tokens_are_replaced_in_the_file_and_in_a_running_and_an_adopted_child() {
    let (system, _gateway, machine) = prepared().await;
    put(&system, "/api/internal/pools/pool-1/secrets", json!({ "secrets": { "A_KEY": "c4n4ry" } })).await;
    let revoke = async |kind: &str| {
        let path = format!("/api/internal/pools/pool-1/{kind}");
        let answer = send(system.internal(Method::DELETE, &path)).await;
        assert!(answer.status == 200 || answer.status == 204, "{answer:?}");
    };
    let status = async |held: &str| {
        let path = "/api/internal/secrets/maps?poolId=pool-1";
        send(system.request(Method::GET, path).header("x-internal-token", held)).await.status
    };
    let has_good_tokens = async || {
        let in_file = machine.text("skill-token").unwrap_or_default();
        let in_child = machine.child_environment().remove("SKILL_API_TOKEN").unwrap_or_default();
        status(&in_file).await == 200 && status(&in_child).await == 200
    };
    let first = machine.start();
    let child = machine.wait_for_child().await;
    eventually("both are good", async || has_good_tokens().await).await;

    revoke("skill-tokens").await;
    assert!(!has_good_tokens().await);
    eventually("both are good again", async || has_good_tokens().await).await;
    let second_child = machine.wait_for_child().await;
    assert!(second_child != child && !is_alive(child));

    // While the sidecar is stopped; its own token is revoked as well, and replaced by an operator.
    first.kill();
    revoke("runtime-tokens").await;
    let path = "/api/internal/pools/pool-1/runtime-tokens";
    let answer = send(system.internal(Method::POST, path).json(&json!({ "ttlSeconds": 3600 }))).await;
    fs::write(&machine.environment["PORTCULLIS_TOKEN_FILE"], answer.json()["token"].as_str().unwrap()).unwrap();
    let mut second = machine.start();
    eventually("it is adopted", async || machine.log().contains("adopted")).await;
    eventually("both are good again", async || has_good_tokens().await).await;
    let third_child = machine.wait_for_child().await;
    assert!(third_child != second_child && !is_alive(second_child));
    let starts = || machine.log().matches(r#""message":"started OpenClaw""#).count();
    eventually("it has said so", async || starts() >= 3).await;
    assert_eq!(starts(), 3, "{}", machine.log());
    second.terminate();
    assert!(second.wait().await.success());
}

#[tokio::test]
async fn a_process_that_it_did_not_start_is_not_ended() {
    let (_system, _gateway, machine) = prepared().await;
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    fs::create_dir_all(machine.root().join("run")).unwrap();
    let record = json!({
        "identity": { "pid": stranger.id(), "startTime": 1, "bootId": "another" }, "tokenEnds": null,
    });
    fs::write(machine.root().join("run/openclaw-process.json"), record.to_string()).unwrap();
    let mut sidecar = machine.start();
    let child = machine.wait_for_child().await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert!(!is_alive(child) && is_alive(stranger.id()));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed_with_all_that_it_started() {
    let (_system, _gateway, mut machine) = prepared().await;
    let script = r#"trap '' TERM; sleep 600 & echo $! > "$OPENCLAW_STATE_DIR/grandchild"
        echo $$ > "$OPENCLAW_STATE_DIR/pid"; while :; do sleep 1; done"#;
    machine.command = ["sh", "-c", script].map(str::to_owned).into();
    machine.set("PORTCULLIS_STOP_SECONDS", "1");
    let mut sidecar = machine.start();
    let child = machine.wait_for_child().await;
    let grandchild: u32 = machine.text("grandchild").unwrap().trim().parse().unwrap();
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert!(!is_alive(child));
    eventually("its own child has ended", async || !is_alive(grandchild)).await;
}

#[tokio::test]
async fn a_child_that_takes_its_time_to_end_is_given_it() {
    let (_system, _gateway, mut machine) = prepared().await;
    // After SIGTERM the child ends only once the test allows it.
    let script = r#"trap 'touch "$OPENCLAW_STATE_DIR/told"' TERM; echo $$ > "$OPENCLAW_STATE_DIR/pid"
        until test -e "$OPENCLAW_STATE_DIR/may-end"; do sleep 0.1; done; touch "$OPENCLAW_STATE_DIR/ended"#
        .to_owned()
        + "\"";
    machine.command = vec!["sh".to_owned(), "-c".to_owned(), script];
    machine.set("PORTCULLIS_STOP_SECONDS", "300");
    let mut sidecar = machine.start();
    machine.wait_for_child().await;
    sidecar.terminate();
    eventually("it is told", async || machine.text("told").is_some()).await;
    fs::write(machine.state().join("may-end"), "").unwrap();
    assert!(sidecar.wait().await.success());
    assert!(machine.text("ended").is_some());
}

#[tokio::test]
async fn a_child_that_prints_a_hundred_megabytes_costs_the_sidecar_nothing() {
    let (_system, _gateway, mut machine) = prepared().await;
    let script = r#"head -c 100000000 /dev/zero; echo $$ > "$OPENCLAW_STATE_DIR/pid"; exec sleep 600"#;
    machine.command = ["sh", "-c", script].map(str::to_owned).into();
    let sidecar = machine.start();
    machine.wait_for_child().await;
    let status = fs::read_to_string(format!("/proc/{}/status", sidecar.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 60_000, "{peak} kB");
}

#[tokio::test]
async fn a_child_that_was_killed_is_started_again() {
    let (_system, _gateway, machine) = prepared().await;
    let _sidecar = machine.start();
    let child = machine.wait_for_child().await;
    signal(child, "KILL");
    eventually("another has started", async || machine.child().is_some_and(|now| now != child && is_alive(now))).await;
}

#[tokio::test]
async fn a_refused_configuration_is_told_and_a_new_version_starts_the_child_again() {
    let (system, _gateway, mut machine) = prepared().await;
    let script = r#"test -e "$OPENCLAW_STATE_DIR/workspaces/bot-2" || exit 78
        echo $$ > "$OPENCLAW_STATE_DIR/pid"; exec sleep 600"#;
    machine.command = ["sh", "-c", script].map(str::to_owned).into();
    let _sidecar = machine.start();
    let id = "pool-1".parse().unwrap();
    let status = async || system.store().get_pool(&id).await.unwrap().unwrap().status.to_string();
    eventually("it is told", async || status().await == "unhealthy").await;
    let refusal = "OpenClaw refuses its configuration (exit code 78)";
    eventually("it has said so", async || machine.log().contains(refusal)).await;
    assert_eq!(machine.log().matches("started OpenClaw").count(), 1, "{}", machine.log());
    fs::create_dir_all(machine.state().join("workspaces/bot-2")).unwrap();
    seed::bot(&system, "bot-2", &seed::pool(&system, "pool-1", None).await).await;
    machine.wait_for_child().await;
    eventually("it is well", async || status().await == "active").await;
}

#[tokio::test]
async fn a_control_plane_that_is_away_keeps_nobody_from_starting_with_what_there_is() {
    let (system, gateway, machine) = prepared().await;
    let mut sidecar = machine.start();
    let child = machine.wait_for_child().await;
    let config = machine.text("openclaw.json").unwrap();
    system.shutdown().await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert!(!is_alive(child));
    let mut sidecar = machine.start();
    eventually("another has started", async || machine.child().is_some_and(|now| now != child && is_alive(now))).await;
    machine.wait_for_child().await;
    assert_eq!(machine.text("openclaw.json").unwrap(), config);
    assert!(sidecar.is_running());
    drop(gateway);
}

/// A proxy that never answers, and the first lines that clients send to it.
async fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let told = Arc::<Mutex<Vec<String>>>::default();
    let lines = Arc::clone(&told);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let count = connection.read(&mut head).await.unwrap_or(0);
            lines.lock().unwrap().push(String::from_utf8_lossy(&head[..count]).into_owned());
        }
    });
    (address, told)
}

#[tokio::test]
async fn a_control_plane_on_this_machine_is_called_through_no_proxy() {
    let (_system, _gateway, mut machine) = prepared().await;
    let (proxy, told) = proxy().await;
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        machine.set(name, &proxy);
    }
    machine.set("NO_PROXY", "elsewhere.example.com");
    let mut sidecar = machine.start();
    machine.wait_for_child().await;
    eventually("the gateway answers", async || machine.log().contains("OpenClaw is ready")).await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    // Nothing listens at this address.
    machine.set("PORTCULLIS_API_URL", "https://localhost:9");
    let count = machine.log().matches("no heartbeat").count();
    let _sidecar = machine.start();
    eventually("it is tried", async || machine.log().matches("no heartbeat").count() > count).await;
    assert_eq!(*told.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_control_plane_elsewhere_is_called_through_the_proxy_for_https_which_sees_no_token() {
    let (_system, _gateway, mut machine) = prepared().await;
    let (proxy, told) = proxy().await;
    machine.set("PORTCULLIS_API_URL", "https://control-plane.invalid");
    machine.set("HTTPS_PROXY", &proxy);
    let token = fs::read_to_string(&machine.environment["PORTCULLIS_TOKEN_FILE"]).unwrap();
    let _sidecar = machine.start();
    eventually("the proxy is asked", async || !told.lock().unwrap().is_empty()).await;
    let told = told.lock().unwrap().concat();
    assert!(told.starts_with("CONNECT control-plane.invalid:443 ") && !told.contains(&token), "{told}");
}

#[tokio::test]
async fn the_fleets_token_is_not_passed_on_where_none_is_issued() {
    let (_system, _gateway, mut machine) = prepared().await;
    machine.set("SKILL_API_TOKEN", "c4n4ry");
    machine.set("SKILL_API_TOKEN_PREVIOUS", "c4n4ry");
    for asked in ["SKILL_API_TOKEN", "WANTED,skill_api_token", "SKILL_API_TOKEN_PREVIOUS\r\n", "\"SKILL_API_TOKEN\""] {
        machine.set("PORTCULLIS_PASS_ENV", asked);
        let mut sidecar = machine.start();
        assert!(!sidecar.wait().await.success(), "{asked}");
    }
    assert_eq!(machine.log().matches("PORTCULLIS_PASS_ENV: OpenClaw is never given ").count(), 4, "{}", machine.log());
    assert!(machine.child().is_none());
    machine.prepare(&["slack"]).await.assert_fails("PORTCULLIS_PASS_ENV");
    // From an earlier run's files, the child starts while the control plane is unreachable.
    machine.environment.remove("PORTCULLIS_PASS_ENV");
    machine.set("PORTCULLIS_API_URL", "http://127.0.0.1:9");
    fs::create_dir_all(machine.state()).unwrap();
    fs::write(machine.state().join("openclaw.json"), "{}").unwrap();
    if let Some(user) = machine.environment.get("PORTCULLIS_CHILD_USER").map(|user| user.parse().unwrap()) {
        for path in [machine.state(), machine.state().join("openclaw.json")] {
            std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
        }
    }
    let _sidecar = machine.start();
    machine.wait_for_child().await;
    assert!(!machine.child_environment().contains_key("SKILL_API_TOKEN"));
    assert!(!format!("{:?}", machine.child_environment()).contains("c4n4ry"));
}

#[tokio::test]
async fn all_settings_that_are_wrong_are_named_at_once_and_nothing_is_started() {
    let (_system, _gateway, mut machine) = prepared().await;
    let token = machine.environment["PORTCULLIS_TOKEN_FILE"].clone();
    fs::write(&token, "one\ntwo\n").unwrap();
    machine.environment.remove("PORTCULLIS_POOL_ID");
    machine.set("PORTCULLIS_STOP_SECONDS", "soon");
    let mut sidecar = machine.start();
    assert!(!sidecar.wait().await.success());
    let told: Vec<String> =
        machine.log_lines().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    let expected = [
        "PORTCULLIS_POOL_ID is not set".to_owned(),
        "PORTCULLIS_STOP_SECONDS must be a whole number from 1 to 300".to_owned(),
        format!("PORTCULLIS_TOKEN_FILE: the file {token} holds more than one line: a token is one line"),
        "the sidecar cannot run".to_owned(),
    ];
    assert_eq!(told, expected);
    machine.environment.remove("PORTCULLIS_TOKEN_FILE");
    let mut sidecar = machine.start();
    assert!(!sidecar.wait().await.success());
    assert!(machine.log().contains("INTERNAL_API_TOKEN is not set"));
    machine.set("INTERNAL_API_TOKEN", "one\ntwo");
    let mut sidecar = machine.start();
    assert!(!sidecar.wait().await.success());
    assert!(machine.log().contains("INTERNAL_API_TOKEN holds more than one line"));
    assert_eq!(machine.child(), None);
}

/// An `OpenClaw` on a PATH of its own, which installs a plugin by creating a file in its state folder.
fn install_openclaw(machine: &mut Machine, plugins_work: bool) {
    let script = format!(
        r#"#!/bin/sh
        cd "$OPENCLAW_STATE_DIR"
        case "$1 $2" in
            "--version ") echo "OpenClaw 2026.9.6 (eb377ac)" ;;
            "plugins list")
                echo '{{"plugins":['
                for plugin in slack discord feishu; do
                    test -e "plugin-$plugin" && echo "{{\"id\":\"$plugin\",\"version\":\"$(cat plugin-$plugin)\",\"rootDir\":\"/x\"}},"
                done
                echo '{{"id":"bundled","rootDir":"/y","version":"2026.9.6"}}]}}' ;;
            "plugins install")
                test "$OPENCLAW_CONFIG_READONLY" = 1 && exit 1
                echo "$*" >> installs; env -0 > environment; echo changed > "$OPENCLAW_CONFIG_PATH"
                {plugins_work} || exit 1
                plugin=${{3#npm:@openclaw/}}; echo "${{plugin#*@}}" > "plugin-${{plugin%%@*}}" ;;
            "gateway run") echo $$ > pid; exec sleep 600 ;;
        esac
"#
    );
    let folder = machine.root().join("bin");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("openclaw"), script).unwrap();
    fs::set_permissions(folder.join("openclaw"), fs::Permissions::from_mode(0o755)).unwrap();
    machine.set("PATH", &format!("{}:/usr/bin:/bin", folder.display()));
    machine.command = Vec::new();
}

#[tokio::test]
async fn prepare_installs_what_the_configuration_enables_and_says_what_lacks() {
    let (_system, _gateway, mut machine) = prepared().await;
    install_openclaw(&mut machine, true);
    // Without a configuration on the disk, the control plane's decides, which has Slack.
    machine.prepare(&[]).await.assert_succeeds();
    assert_eq!(machine.text("installs").as_deref(), Some("plugins install npm:@openclaw/slack@2026.9.6\n"));
    let environment = machine.child_environment();
    assert!(!environment["OPENCLAW_CONFIG_PATH"].ends_with(".openclaw/openclaw.json"), "that is the control plane's");
    assert!(
        environment
            .keys()
            .all(|name| !name.starts_with("PORTCULLIS_") && !name.contains("TOKEN") || name == "SKILL_API_TOKEN_FILE")
    );
    let left = fs::read_dir(machine.state()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.contains("prepare")), "nothing else is left");
    // A second run does nothing. Another version of the plugin replaces it.
    machine.prepare(&[]).await.assert_succeeds();
    assert_eq!(machine.text("installs").unwrap().lines().count(), 1);
    fs::write(machine.state().join("plugin-slack"), "2026.9.5").unwrap();
    machine.prepare(&[]).await.assert_succeeds();
    assert!(machine.text("installs").unwrap().ends_with("npm:@openclaw/slack@2026.9.6 --force\n"));
    // The configuration on the disk takes precedence over the control plane's, and named platforms over both.
    let config = json!({ "plugins": { "entries": { "bundled": { "enabled": true } } } });
    fs::write(machine.state().join("openclaw.json"), config.to_string()).unwrap();
    machine.prepare(&[]).await.assert_succeeds();
    assert_eq!(machine.text("installs").unwrap().lines().count(), 2, "a bundled plugin is there");
    machine.environment.retain(|name, _| !name.starts_with("PORTCULLIS_") || name == "PORTCULLIS_CHILD_USER");
    machine.prepare(&["discord"]).await.assert_succeeds();
    assert!(machine.text("installs").unwrap().ends_with("npm:@openclaw/discord@2026.9.6\n"));
    // A plugin whose newest version is not OpenClaw's own.
    machine.prepare(&["feishu@2026.9.5"]).await.assert_succeeds();
    assert!(machine.text("installs").unwrap().ends_with("npm:@openclaw/feishu@2026.9.5\n"));
    for wrong in ["feishu@", "feishu@latest", "feishu@2026.9.5 --force", "@2026.9.5", "feishu@2026.9.5@1"] {
        machine.prepare(&[wrong]).await.assert_fails("is not a platform's name");
    }
    machine.prepare(&["../x"]).await.assert_fails("../x is not a platform's name");
    machine.prepare(&["--", "sh"]).await.assert_fails("sh does not say which OpenClaw it is");

    fs::remove_file(machine.state().join("plugin-discord")).unwrap();
    install_openclaw(&mut machine, false);
    let lacks = "as OpenClaw's user, openclaw plugins install npm:@openclaw/discord@2026.9.6";
    machine.prepare(&["discord"]).await.assert_fails(lacks);
}

#[tokio::test]
async fn without_openclaw_nothing_is_started_and_the_words_help() {
    let (_system, _gateway, mut machine) = prepared().await;
    machine.command = Vec::new();
    machine.set("PATH", machine.root().to_str().unwrap().to_owned().as_str());
    let mut sidecar = machine.start();
    assert!(!sidecar.wait().await.success());
    assert!(machine.log().contains("openclaw is not found on the PATH of OpenClaw's user"), "{}", machine.log());
    machine.prepare(&["slack"]).await.assert_fails("openclaw is not found on the PATH");
    machine.command = vec!["/no/such/openclaw".to_owned(), "gateway".to_owned()];
    let mut sidecar = machine.start();
    assert!(!sidecar.wait().await.success());
    assert!(machine.log().contains("/no/such/openclaw is not a program"), "{}", machine.log());
}

#[tokio::test]
async fn help_and_version_start_nothing() {
    for program in [env!("CARGO_BIN_EXE_portcullis-sidecar"), env!("CARGO_BIN_EXE_portcullis-skill")] {
        let run = |argument: &str| Command::new(program).arg(argument).env_clear().output().unwrap();
        let version = run("--version");
        assert!(version.status.success());
        let name = program.rsplit('/').next().unwrap();
        let expected = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);
        let help = run("--help");
        assert!(help.status.success() && help.stderr.is_empty());
        assert!(String::from_utf8(help.stdout).unwrap().contains("Usage: "));
    }
    let sidecar = Command::new(env!("CARGO_BIN_EXE_portcullis-sidecar")).args(["sleep", "600"]).output().unwrap();
    assert_eq!(sidecar.status.code(), Some(2), "a command without -- is a mistake");
}

#[tokio::test]
async fn a_refusal_is_logged_with_its_reason_and_what_to_do() {
    let (system, _gateway, machine) = prepared().await;
    let path = "/api/internal/pools/pool-1/runtime-tokens";
    let _sidecar = machine.start();
    machine.wait_for_child().await;
    assert_eq!(send(system.internal(Method::DELETE, path)).await.status, 200);
    eventually("the refusal is logged", async || {
        machine.log_lines().iter().any(|line| {
            line["level"] == "WARN"
                && line["status"] == 401
                && line["route"] == "POST /api/internal/pools/heartbeat"
                && line["reason"].as_str().is_some_and(|reason| !reason.is_empty())
                && line["code"].is_string()
                && line["requestId"].is_string()
                && line["toDo"].as_str().is_some_and(|text| text.contains("runtime-tokens"))
                && line["againInSeconds"].is_number()
                && line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z'))
        })
    })
    .await;
}

#[tokio::test]
async fn every_signal_that_asks_for_an_end_ends_the_child_and_then_the_sidecar() {
    let (_system, _gateway, machine) = prepared().await;
    for name in ["HUP", "INT", "QUIT", "TERM"] {
        let mut sidecar = machine.start();
        let child = machine.wait_for_child().await;
        signal(sidecar.id(), name);
        assert!(sidecar.wait().await.success(), "{name}");
        assert!(!is_alive(child), "{name}");
    }
}

/// Needs root, to run the child as another user.
#[tokio::test]
async fn a_child_of_another_user_can_read_neither_the_sidecars_memory_nor_its_environment() {
    let (_system, _gateway, mut machine) = prepared().await;
    machine.set("PORTCULLIS_CHILD_USER", "nobody");
    if !is_root() {
        let mut sidecar = machine.start();
        assert!(!sidecar.wait().await.success());
        assert!(machine.log().contains("only root can run OpenClaw as the user nobody"));
        return;
    }
    // A folder of the child's own, which the child can reach.
    let state = tempfile::Builder::new().prefix("portcullis-state-").tempdir_in("/tmp").unwrap();
    std::os::unix::fs::chown(state.path(), Some(65534), None).unwrap();
    machine.set("OPENCLAW_STATE_DIR", state.path().to_str().unwrap());
    // A link that the child makes leads only where the child itself has access.
    let target = machine.root().join("roots-own");
    fs::create_dir(&target).unwrap();
    std::os::unix::fs::symlink(&target, state.path().join("skills")).unwrap();
    let script = r#"for file in environ mem maps fd/0; do cat /proc/$PPID/$file > /dev/null 2>&1 && echo "$file" >> seen; done
        id -u > user; id -G > groups; env -0 > environment; echo $$ > pid; exec sleep 600"#;
    machine.command = ["sh", "-c", script].map(str::to_owned).into();
    let _sidecar = machine.start();
    machine.wait_for_child().await;
    assert_eq!(machine.text("seen"), None, "the child could read these of the sidecar");
    assert_eq!((machine.text("user").unwrap().trim(), machine.text("groups").unwrap().trim()), ("65534", "65534"));
    for file in ["openclaw.json", "nexu-context.json", "skill-token"] {
        eventually(file, async || machine.text(file).is_some()).await;
        let found = fs::metadata(state.path().join(file)).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (65534, 0o600), "{file}");
    }
    eventually("skills were refused", async || machine.log().contains("skills is a link, and is not followed")).await;
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "nothing was written through the link");
    assert_eq!(machine.child_environment()["USER"], "nobody");
}
