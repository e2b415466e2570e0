//! The whole stack, started in this process and as the program that an operator starts.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod program;

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_sdk_dynamodb::{config::Credentials, types::AttributeValue};
use portcullis_crypto::Randomness;
use portcullis_demo::Demo;
use portcullis_local::{
    Options, Stack, StackError,
    database::{DataFolder, Database, create_tables},
    secrets,
    template::{Key, KeyAttribute, Table},
    wal_sync::Durability,
};
use portcullis_runtime::SystemClock;
use program::Program;
use tokio::process::Command;

/// Bytes that differ at each call and are the same in each run.
#[derive(Default)]
struct Counting(AtomicU64);

impl Randomness for Counting {
    fn fill(&self, destination: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (byte, value) in destination.iter_mut().rev().zip(count.iter().rev().cycle()) {
            *byte = *value;
        }
    }
}

fn options(folder: &Path, data: bool) -> Options {
    let settings = secrets::Settings::new();
    let settings =
        secrets::gather(settings, &folder.join(".env"), folder, true, &Counting::default()).unwrap().settings;
    Options { data: data.then(|| folder.to_owned()), ..Options::new(settings) }
}

#[tokio::test]
async fn a_demonstration_goes_through_every_layer_on_several_stacks_side_by_side() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) =
        tokio::join!(Stack::start(options(one.path(), false)), Stack::start(options(other.path(), false)));
    for stack in [one.unwrap(), other.unwrap()] {
        let mut demo = Demo::new(&stack, None, Path::new(env!("CARGO_BIN_EXE_local"))).unwrap();
        let steps = demo.run().await.unwrap();
        let lines: Vec<String> = steps.iter().map(|step| format!("{}: {}", step.place, step.what)).collect();
        assert!(lines.contains(&"skills: skill maps reads MAPS_KEY and SHARED_KEY, and nothing else".to_owned()));
        assert!(lines.contains(&"skills: skill mail reads MAIL_KEY and SHARED_KEY, and nothing else".to_owned()));
        let [.., last, to_open] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(*to_open, format!("console: open {} and sign in, or sign up", stack.base_url()));
        assert!(last.starts_with("pool: got POST /slack/events/slack-A00DEMO-T00DEMO, "), "{last}");
        assert!(last.ends_with(", signed with the delivery secret"), "{last}");
        demo.run().await.expect("on the same data it goes again");
        demo.shutdown().await;
        stack.shutdown().await;
    }
}

#[tokio::test]
async fn anothers_pool_is_kept_alive_by_heartbeats() {
    let home = tempfile::tempdir().unwrap();
    // Nothing listens at this address, so that a delivery ends at once.
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (watcher, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let stack = Stack::start(Options { watcher: Some(watcher), ..options(home.path(), false) }).await.unwrap();
    let demo = Demo::new(&stack, Some(address), Path::new(env!("CARGO_BIN_EXE_local"))).unwrap();
    let mut demo = demo.with_heartbeat_interval(std::time::Duration::from_millis(1));
    demo.run().await.unwrap();
    let mut before_the_message = true;
    for _ in 0..5 {
        loop {
            let answered = requests.recv().await.unwrap();
            if answered.path == "/api/internal/pools/heartbeat" {
                assert_eq!(answered.status, 200);
                break;
            }
            assert!(!before_the_message || answered.path != "/api/slack/events", "the pool is not known to be alive");
        }
        before_the_message = false;
    }
    demo.shutdown().await;
    stack.shutdown().await;
}

#[tokio::test]
async fn data_under_another_key_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    Stack::start(options(folder.path(), true)).await.unwrap().shutdown().await;
    let mut other = options(folder.path(), true);
    other.variables.insert("ENCRYPTION_KEY".to_owned(), "ab".repeat(32).into());
    let error = Stack::start(other).await.err().expect("it is refused");
    assert!(matches!(error, StackError::Keys(_)), "{error}");
    Stack::start(options(folder.path(), true)).await.expect("with the right key it opens").shutdown().await;
}

#[tokio::test]
async fn a_missing_setting_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path(), false);
    options.variables.remove("SKILL_API_TOKEN");
    let error = Stack::start(options).await.err().expect("it is refused").to_string();
    assert_eq!(error, "settings: SKILL_API_TOKEN is not set");
}

/// A client with the credentials that `--database-only` has written into its file.
fn client(home: &Path) -> aws_sdk_dynamodb::Client {
    let file = home.join("data/database.env");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(file).unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap();
        line.trim_matches('\'').to_owned()
    };
    let credentials = Credentials::new(value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"), None, None, "test");
    let aws = portcullis_local::database::sdk_config_with(&value("AWS_ENDPOINT_URL_DYNAMODB"), credentials);
    aws_sdk_dynamodb::Client::new(&aws)
}

#[tokio::test]
async fn acknowledged_writes_survive_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let arguments = ["--database-only", "--data", "data"];
    let mut program = Program::start(home.path(), &arguments);
    program.line("Ctrl-C").await;
    let written = client(home.path());
    for number in 0..50 {
        let id = aws_sdk_dynamodb::types::AttributeValue::S(number.to_string());
        written.put_item().table_name("portcullis-local-pools").item("id", id).send().await.unwrap();
    }
    program.child.kill().await.unwrap();
    let mut program = Program::start(home.path(), &arguments);
    program.line("Ctrl-C").await;
    let kept = client(home.path()).scan().table_name("portcullis-local-pools").send().await.unwrap();
    assert_eq!(kept.count, 50);
    program.terminate().await;
    assert!(!home.path().join("data/database.env").exists(), "a key that opens nothing is not left");
}

/// Local addresses of the sockets that this process listens on, as the kernel reports them.
fn listening(process: u32) -> Vec<String> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| Some(std::fs::read_link(entry.ok()?.path()).ok()?.to_str()?.to_owned()))
        .filter_map(|target| Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables = ["tcp", "tcp6", "udp", "udp6"].map(|table| format!("/proc/{process}/net/{table}"));
    let mut found = Vec::new();
    for table in tables {
        // A machine without IPv6 has fewer tables.
        for line in std::fs::read_to_string(&table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A is LISTEN. UDP has no such state: any UDP socket would take requests.
            let is_open = fields[3] == "0A" || table.contains("udp");
            if is_open && sockets.iter().any(|inode| inode == fields[9]) {
                found.push(fields[1].to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_running_stack_listens_on_the_gateways_port_and_on_no_other() {
    let home = tempfile::tempdir().unwrap();
    for data in [&["--data", "data"] as &[_], &[]] {
        let mut program = Program::start(home.path(), &[&["--port", "0"], data].concat());
        let api = program.line("API").await;
        program.line("Ctrl-C").await;
        let port: u16 = api.trim_end().rsplit(':').next().unwrap().parse().unwrap();
        let found = listening(program.child.id().unwrap());
        // The kernel prints the address as one number in this machine's byte order.
        assert_eq!(found, [format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]))]);
        program.terminate().await;
    }
}

#[tokio::test]
async fn the_program_prints_no_token_and_ends_cleanly_when_it_is_told_to() {
    let home = tempfile::tempdir().unwrap();
    let mut program = Program::start(home.path(), &["--port", "0", "--data", "data"]);
    let mut printed = String::new();
    while !printed.contains("Ctrl-C") {
        printed += &program.lines.next_line().await.unwrap().unwrap();
    }
    let generated = std::fs::read_to_string(home.path().join("data/dev.env")).unwrap();
    let values: Vec<&str> = generated.lines().filter_map(|line| line.split('\'').nth(1)).collect();
    assert_eq!(values.len(), 5);
    assert!(values.iter().all(|value| !printed.contains(value)));
    program.terminate().await;
}

#[tokio::test]
async fn a_second_program_on_the_same_data_says_so_and_fails() {
    let home = tempfile::tempdir().unwrap();
    let mut first = Program::start(home.path(), &["--database-only", "--data", "data"]);
    first.line("Database").await;
    let mut second = Command::new(env!("CARGO_BIN_EXE_local"));
    let second = second.args(["--dead-letters", "--data", "data"]).current_dir(home.path()).output().await.unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("is in use by another process"));
}

#[tokio::test]
async fn a_folder_with_events_of_an_older_version_is_refused_by_every_task_that_needs_the_queue() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    Stack::start(options(&folder, true)).await.unwrap().shutdown().await;
    leave_event_of_older_version(&folder).await;
    for arguments in [&["--quiet", "--port", "0"] as &[_], &["--dead-letters"], &["--redrive"]] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_local"));
        program.args(arguments).args(["--data", "data"]).current_dir(home.path()).env_clear();
        let output = program.output().await.unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}: {complaint}");
        assert!(complaint.contains("1 events of an older version lie in local_dead_letters"), "{complaint}");
    }
}

/// Leaves a dead letter as versions did that kept the queue in the database.
async fn leave_event_of_older_version(folder: &Path) {
    let attribute = |name: &str, kind: &str| KeyAttribute { name: name.to_owned(), kind: kind.to_owned() };
    let table = Table {
        name: "local_dead_letters".to_owned(),
        key: Key { partition: attribute("id", "S"), sort: Some(attribute("part", "N")) },
        indexes: Vec::new(),
        ttl_attribute: None,
    };
    let data = Some(DataFolder::take(folder).unwrap());
    let database = Database::start(data, Durability::default(), Arc::new(SystemClock)).unwrap();
    let client = aws_sdk_dynamodb::Client::new(&database.sdk_config());
    create_tables(&client, "", &[table]).await.unwrap();
    let put = client.put_item().table_name("local_dead_letters").item("id", AttributeValue::S("1".to_owned()));
    let put = put.item("part", AttributeValue::N("0".to_owned())).item("body", AttributeValue::S("x".to_owned()));
    put.send().await.unwrap();
    database.shutdown().await;
}

#[tokio::test]
async fn a_folder_without_data_has_no_dead_letters_and_is_not_made() {
    let home = tempfile::tempdir().unwrap();
    let run = async |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_local"));
        program.args(arguments).current_dir(home.path()).env_clear().output().await.unwrap()
    };
    for task in ["--dead-letters", "--redrive"] {
        let output = run(&[task, "--data", "none"]).await;
        assert!(!output.status.success());
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.starts_with("cargo local: none has no data"), "{complaint}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing is made");
    }
    let mut program = Program::start(home.path(), &["--quiet", "--port", "0", "--data", "my data"]);
    let address = program.line("http://127.0.0.1:").await;
    let health = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{address}/health"));
    assert_eq!(health.send().await.unwrap().status(), 200, "the address is all that is printed");
    program.terminate().await;
    let output = run(&["--dead-letters", "--data", "my data"]).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "No event was given up on.\n");
}

#[tokio::test]
async fn a_running_demonstration_is_sent_messages_and_asked_for_a_token() {
    let home = tempfile::tempdir().unwrap();
    let mut program = Program::start(home.path(), &["--demo", "--port", "0", "--data", "data"]);
    let api = program.line("API").await;
    let port = api.trim_end().rsplit(':').next().unwrap().to_owned();
    program.line("got POST").await;
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
        let arguments = [arguments, &["--port", &port, "--data", "data"]].concat();
        command.args(arguments).current_dir(home.path()).env_clear().output().await.unwrap()
    };
    let sent = run(&["--text", "hello"]).await;
    assert_eq!(String::from_utf8_lossy(&sent.stdout), "{\"ok\":true}\n", "{sent:?}");
    // The request's line comes before or after that of the delivery that it led to.
    program.line("slack     POST /api/slack/events 200").await;
    std::fs::write(home.path().join("event.json"), "{\"type\":\"event_callback\"}\n").unwrap();
    let refused = run(&["--send", "event.json"]).await;
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the control plane answered 4"), "{refused:?}");

    let token = run(&["--runtime-token", "pool-demo", "--ttl", "60"]).await;
    let token = String::from_utf8(token.stdout).unwrap();
    assert!(token.ends_with('\n') && token.trim_end().bytes().all(|byte| byte.is_ascii_graphic()), "{token:?}");
    for (pool, ttl, message) in
        [("pool-9", "60", "404 Not Found: Pool pool-9 not found"), ("pool-demo", "1", "400 Bad Request: ")]
    {
        let refused = run(&["--runtime-token", pool, "--ttl", ttl]).await;
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
        let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(complaint.contains(message), "{complaint}");
    }
    program.terminate().await;
    let away = run(&["--runtime-token", "pool-demo"]).await;
    assert!(!away.status.success());
    assert!(String::from_utf8_lossy(&away.stderr).contains("nothing answers at http://127.0.0.1:"), "{away:?}");
}

#[tokio::test]
async fn settings_that_are_wrong_stand_on_a_line_each_with_their_source() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(
        home.path().join(".env"),
        "ENCRYPTION_KEY=00\nSKILL_API_TOKEN=short\nINTERNAL_TOKEN_MODE=no\nSLACK_SIGING_SECRET=x\n",
    )
    .unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_local"));
    let output =
        program.args(["--port", "0", "--data", "data"]).current_dir(home.path()).env_clear().env("POOL_CIDRS", "x");
    let output = output.output().await.unwrap();
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr);
    for (name, source) in [
        ("SKILL_API_TOKEN", "(from .env)"),
        ("INTERNAL_TOKEN_MODE", "(from .env)"),
        ("ENCRYPTION_KEY", "(from .env)"),
        ("POOL_CIDRS", "(from the environment)"),
    ] {
        let is_told = complaint.lines().any(|line| line.starts_with(&format!("  {name}")) && line.ends_with(source));
        assert!(is_told, "{name} {source}: {complaint}");
    }
    assert!(
        complaint
            .contains(".env: SLACK_SIGING_SECRET is not a setting and is ignored; did you mean SLACK_SIGNING_SECRET?")
    );
}
