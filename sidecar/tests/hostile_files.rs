//! A child of another user attacks its files, the processes that handle them, and the log: the sidecar keeps working,
//! and ends on SIGTERM.
//!
//! Only root can start a child as another user. Without root these tests are skipped, which is a failure if
//! `PORTCULLIS_TESTS_NEED_ROOT` is 1.

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
    io::{BufRead, BufReader, PipeReader},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use portcullis_tests::{System, seed, system::eventually, system::send};
use reqwest::Method;
use serde_json::json;
use support::{Gateway, Machine, is_alive};
use tempfile::TempDir;

/// User id of `nobody`, which the child runs as.
const NOBODY: u32 = 65534;

/// Maximum memory that a sidecar may have used, in kB.
const MEMORY: u64 = 80_000;

fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        skip("only root can start a child as another user");
    }
    is_root
}

/// Prints that a test was skipped, and fails if skipping is not allowed.
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn skip(why: &str) {
    #[expect(clippy::disallowed_methods, reason = "a setting of the tests' own")]
    let must_run = std::env::var("PORTCULLIS_TESTS_NEED_ROOT").is_ok_and(|value| value == "1");
    assert!(!must_run, "this test may not be skipped: {why}");
    println!("skipped: {why}");
}

struct World {
    system: System,
    _gateway: Gateway,
    machine: Machine,
    _state: TempDir,
}

impl World {
    /// Starts a control plane with a bot, a skill and a template, and a machine whose child runs as `nobody`.
    async fn new() -> Self {
        let system = System::start().await;
        let pool = seed::pool(&system, "pool-1", None).await;
        let bot = seed::bot(&system, "bot-1", &pool).await;
        seed::channel(&system, "channel-1", &bot, &pool, "T0TEAM", "A0APP").await;
        for (path, body) in [
            ("/api/internal/skills/maps", json!({ "content": "# Maps", "files": { "bin/run.sh": "#!/bin/sh\n" } })),
            ("/api/internal/workspace-templates/AGENTS.md", json!({ "content": "# Agents", "writeMode": "inject" })),
        ] {
            let answer = send(system.internal(Method::PUT, path).json(&body)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let gateway = Gateway::start().await;
        let mut machine = Machine::of(&system, &gateway).await;
        let state = tempfile::Builder::new().prefix("portcullis-state-").tempdir_in("/tmp").unwrap();
        chown(state.path(), Some(NOBODY), None).unwrap();
        machine.set("PORTCULLIS_CHILD_USER", "nobody");
        machine.set("OPENCLAW_STATE_DIR", state.path().to_str().unwrap());
        Self { system, _gateway: gateway, machine, _state: state }
    }

    /// Starts the world with a script as the child.
    async fn with_child(script: &str) -> Self {
        let mut world = Self::new().await;
        world.machine.command = ["sh", "-c", script].map(str::to_owned).into();
        world
    }

    fn path(&self, file: &str) -> PathBuf {
        self.machine.state().join(file)
    }

    async fn wait_for_heartbeats(&self, count: usize) {
        let id = "pool-1".parse().unwrap();
        let last = async || self.system.store().get_pool(&id).await.unwrap().unwrap().last_seen_at;
        for _ in 0..count {
            let before = last().await;
            // The control plane's clock, which the tests advance.
            self.system.clock.advance(Duration::from_secs(1));
            eventually("another heartbeat", async || last().await != before).await;
        }
    }

    async fn wait_for_log(&self, said: &str) {
        eventually(said, async || self.machine.log().contains(said)).await;
    }
}

/// Peak memory of a process so far, in kB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Finds the process that reads this one's standard output.
fn reader_of(pid: u32) -> Option<u32> {
    let pipe = fs::read_link(format!("/proc/{pid}/fd/1")).ok()?;
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|other| *other != pid)
        .find(|other| fs::read_link(format!("/proc/{other}/fd/0")).is_ok_and(|of| of == pipe))
}

/// Asserts that a process that the child could trace holds only its three file descriptors.
fn assert_holds_nothing(pid: u32) {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    assert_eq!(read("environ"), "");
    let status = read("status");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().replace('\t', " ");
    assert_eq!((field("Uid:"), field("Groups:")), ("65534 65534 65534 65534".to_owned(), String::new()));
    assert_eq!((field("Gid:"), field("NoNewPrivs:")), ("65534 65534 65534 65534".to_owned(), "1".to_owned()));
    let mut open: Vec<_> =
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2"]);
    assert_eq!(fs::metadata(format!("/proc/{pid}/mem")).unwrap().uid(), 0, "the child can't trace it");
}

fn mkfifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

/// A write lease on a file, held until it is dropped.
struct Lease(std::process::Child);

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn lease(path: &Path) -> Lease {
    // 1024: F_SETLEASE, 1: F_WRLCK. SIGIO, with which the kernel requests the lease back, is ignored.
    let script = r#"$SIG{IO} = "IGNORE"; open(F, "+<", $ARGV[0]) or die; fcntl(F, 1024, 1) or die $!; $| = 1;
        print "taken\n"; sleep 600;"#;
    // Retried, because the sidecar may have the file open at this moment.
    for _ in 0..1000 {
        let mut process = Command::new("perl")
            .args(["-e", script])
            .arg(path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line == "taken\n" {
            return Lease(process);
        }
        process.wait().unwrap();
        tokio::task::yield_now().await;
    }
    panic!("no lease on {}", path.display());
}

const FILES: [&str; 6] = [
    "openclaw.json",
    "nexu-context.json",
    "skill-token",
    "skills/maps/SKILL.md",
    "skills/maps/bin/run.sh",
    "workspaces/bot-1/AGENTS.md",
];

type Damage<'a> = &'a dyn Fn(&Path);

#[tokio::test]
async fn any_file_in_the_place_of_its_files_is_replaced_while_heartbeats_go_on() {
    if !is_root() {
        return;
    }
    let world = World::new().await;
    let mut sidecar = world.machine.start();
    let child = world.machine.wait_for_child().await;
    eventually("all is written", async || FILES.iter().all(|file| world.path(file).exists())).await;
    let whole = || FILES.map(|file| (file, fs::read(world.path(file)).unwrap()));
    let mut written = whole();
    let damages: [(&str, Damage<'_>); 6] = [
        ("fifo", &|file| mkfifo(file)),
        ("device", &|file| symlink("/dev/zero", file).unwrap()),
        ("proc", &|file| symlink("/proc/self/mem", file).unwrap()),
        ("socket", &|file| drop(std::os::unix::net::UnixListener::bind(file).unwrap())),
        ("folder", &|file| {
            fs::create_dir_all(file.join("full")).unwrap();
            chown(file, Some(NOBODY), Some(NOBODY)).unwrap();
        }),
        ("large", &|file| fs::File::create(file).unwrap().set_len(1 << 40).unwrap()),
    ];
    for (name, damage) in damages {
        for file in FILES {
            // A file of the agent's that is too large is left alone.
            if name == "large" && file.ends_with("AGENTS.md") {
                continue;
            }
            fs::remove_file(world.path(file)).unwrap();
            damage(&world.path(file));
        }
        // The list of an older sidecar, which is not read any more.
        let list = world.path("skills/.portcullis.json");
        let _ = fs::remove_file(&list);
        if name != "folder" {
            damage(&list);
        }
        // The token is renewed meanwhile; the file must hold the newest.
        written.iter_mut().filter(|(file, _)| *file == "skill-token").for_each(|(_, text)| text.clear());
        eventually(name, async || {
            written.iter().all(|(file, text)| {
                let path = world.path(file);
                let is_plain = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() < 1 << 20);
                is_plain && fs::read(&path).is_ok_and(|found| text.is_empty() || found == *text)
            })
        })
        .await;
        world.wait_for_heartbeats(1).await;
    }
    assert!(peak(sidecar.id()) < MEMORY, "{} kB", peak(sidecar.id()));
    assert_eq!(world.machine.child(), Some(child), "it was never started again");
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert!(!is_alive(child));
}

#[tokio::test]
async fn a_lease_on_its_files_holds_up_neither_heartbeats_nor_the_end() {
    if !is_root() {
        return;
    }
    let world = World::new().await;
    let mut sidecar = world.machine.start();
    world.machine.wait_for_child().await;
    eventually("all is written", async || FILES.iter().all(|file| world.path(file).exists())).await;
    let mut leases = Vec::new();
    for file in FILES {
        leases.push(lease(&world.path(file)).await);
    }
    world.wait_for_heartbeats(2).await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    drop(leases);
}

#[tokio::test]
async fn a_child_that_stops_the_processes_which_handle_its_files_stops_nothing_else() {
    if !is_root() {
        return;
    }
    // After its start: sends SIGSTOP to all of its user's processes that the sidecar has started, the drain among them.
    let script = r#"echo $$ > "$OPENCLAW_STATE_DIR/pid"; sidecar=$PPID
        while :; do for pid in $(cat /proc/$sidecar/task/$sidecar/children); do
            test $pid = $$ || kill -STOP $pid 2> /dev/null
        done; done"#;
    let world = World::with_child(script).await;
    let mut sidecar = world.machine.start();
    let child = world.machine.wait_for_child().await;
    let drain = reader_of(child).unwrap();
    world.wait_for_log("files were not handled within").await;
    world.wait_for_heartbeats(2).await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert!(!is_alive(child) && !is_alive(drain));
}

#[tokio::test]
async fn a_damaged_configuration_is_restored_before_the_next_start() {
    if !is_root() {
        return;
    }
    // At its first start it truncates its configuration and removes a skill; it refuses to start without either.
    let script = r#"cd "$OPENCLAW_STATE_DIR"; test -e was-here || { touch was-here; echo '{' > openclaw.json; rm -r skills; }
        tail -n 1 openclaw.json | grep -q '^}' && test -s skills/maps/SKILL.md || exit 78
        echo $$ > pid; exec sleep 600"#;
    let world = World::with_child(script).await;
    let _sidecar = world.machine.start();
    world.machine.wait_for_child().await;
    assert!(!world.machine.log().contains("OpenClaw refuses its configuration"), "{}", world.machine.log());
    world.wait_for_log("files were changed on the disk: writing them again").await;
}

#[tokio::test]
async fn folders_that_are_swapped_for_links_lead_nowhere() {
    if !is_root() {
        return;
    }
    let victim = tempfile::Builder::new().prefix("portcullis-victim-").tempdir_in("/tmp").unwrap();
    chown(victim.path(), Some(NOBODY), None).unwrap();
    let script = format!(
        r#"cd "$OPENCLAW_STATE_DIR"; echo $$ > pid
        until test -e skills/maps/SKILL.md && test -e workspaces/bot-1/AGENTS.md; do sleep 0.1; done
        while :; do for folder in skills skills/maps workspaces workspaces/bot-1; do
            rm -f $folder/SKILL.md $folder/AGENTS.md
            mv -T $folder aside-$$ && ln -s {victim} $folder && rm $folder && mv -T aside-$$ $folder
        done; done 2> /dev/null"#,
        victim = victim.path().display()
    );
    let world = World::with_child(&script).await;
    let mut sidecar = world.machine.start();
    world.machine.wait_for_child().await;
    world.wait_for_log("files were changed on the disk").await;
    world.wait_for_heartbeats(3).await;
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
}

/// A mount that is unmounted even if the test fails.
struct Mounted(PathBuf);
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_leaves_what_was_there_and_is_told() {
    if !is_root() {
        return;
    }
    let world = World::new().await;
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(world.machine.state()).status().unwrap();
    if !mount(&["-t", "tmpfs", "-o", "size=256k,uid=65534,mode=700", "none"]).success() {
        skip("only one who may mount file systems can fill a disk");
        return;
    }
    let _mounted = Mounted(world.machine.state());
    let mut sidecar = world.machine.start();
    world.machine.wait_for_child().await;
    eventually("all is written", async || FILES.iter().all(|file| world.path(file).exists())).await;
    let before = fs::read(world.path("openclaw.json")).unwrap();
    // Fills all free space.
    assert!(fs::write(world.path("filling"), vec![0; 1 << 20]).is_err());
    // A second bot makes another configuration.
    seed::bot(&world.system, "bot-2", &seed::pool(&world.system, "pool-1", None).await).await;
    world.wait_for_log("No space left on device").await;
    assert_eq!(fs::read(world.path("openclaw.json")).unwrap(), before);
    world.wait_for_heartbeats(1).await;
    fs::remove_file(world.path("filling")).unwrap();
    eventually("it is written", async || fs::read(world.path("openclaw.json")).unwrap() != before).await;
    let left = fs::read_dir(world.machine.state()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_str().unwrap().starts_with(".portcullis-")).collect();
    assert!(left.is_empty(), "{left:?}");
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
}

/// Reads a log to its end, in a thread.
fn read_all(log: PipeReader) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let lines = BufReader::new(log).split(b'\n').map(Result::unwrap);
        let told = lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|line| line.starts_with('{'));
        told.collect::<Vec<_>>().join("\n")
    })
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_neither_heartbeats_nor_the_end() {
    if !is_root() {
        return;
    }
    let script = r#"echo $$ > "$OPENCLAW_STATE_DIR/pid"; timeout --foreground 600 yes flood >&2 & exec timeout --foreground 600 yes flood"#;
    let world = World::with_child(script).await;
    let (unread, log) = std::io::pipe().unwrap();
    let mut sidecar = world.machine.start_with(log.try_clone().unwrap(), log);
    let child = world.machine.wait_for_child().await;
    let drain = reader_of(child).unwrap();
    world.wait_for_heartbeats(3).await;
    // New files are synced as well.
    let body = json!({ "content": "# Maps 2" });
    let answer = send(world.system.internal(Method::PUT, "/api/internal/skills/maps").json(&body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    eventually("skills are written", async || {
        world.machine.text("skills/maps/SKILL.md").as_deref() == Some("# Maps 2")
    })
    .await;
    assert!(peak(sidecar.id()) < MEMORY && peak(drain) < MEMORY);
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    assert!(!is_alive(child));
    eventually("nobody is left", async || !is_alive(drain)).await;
    drop(unread);
}

#[tokio::test]
async fn lines_that_were_dropped_are_counted_in_the_log() {
    if !is_root() {
        return;
    }
    let script = r#"echo $$ > "$OPENCLAW_STATE_DIR/pid"; yes 'flood' | head -c 10000000; touch "$OPENCLAW_STATE_DIR/done"
        exec sleep 600"#;
    let world = World::with_child(script).await;
    let (unread, log) = std::io::pipe().unwrap();
    let mut sidecar = world.machine.start_with(log.try_clone().unwrap(), log);
    world.machine.wait_for_child().await;
    eventually("it was not held up", async || world.path("done").exists()).await;
    let told = read_all(unread);
    sidecar.terminate();
    assert!(sidecar.wait().await.success());
    let told = told.join().unwrap();
    // A slow reader causes several lines with counts.
    let dropped = told.lines().filter(|line| line.contains("lines of OpenClaw's output were dropped"));
    let dropped = dropped.map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["droppedLines"].as_u64().unwrap()
    });
    let dropped: u64 = dropped.sum();
    assert!(dropped > 1000, "{dropped}");
}

#[tokio::test]
async fn a_child_that_outlives_its_sidecar_is_neither_blocked_nor_ended_by_its_output() {
    if !is_root() {
        return;
    }
    // Each round writes more than half of a pipe's capacity.
    let script = r#"cd "$OPENCLAW_STATE_DIR"; echo $$ > pid; round=0
        while :; do yes "line of round $round" | head -c 40000; echo; round=$((round + 1)); echo $round > rounds; sleep 0.05; done"#;
    let world = World::with_child(script).await;
    let first = world.machine.start();
    let child = world.machine.wait_for_child().await;
    let drain = reader_of(child).unwrap();
    assert_holds_nothing(drain);
    first.kill();
    let rounds = || world.machine.text("rounds").and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    let enough = rounds() + 20;
    eventually("it goes on", async || rounds() >= enough).await;
    assert!(is_alive(child) && is_alive(drain));
    world.wait_for_log(&format!("line of round {}\n", enough - 2)).await;
    let mut second = world.machine.start();
    world.wait_for_log("adopted").await;
    second.terminate();
    assert!(second.wait().await.success());
    assert!(!is_alive(child));
    eventually("the drain ends with it", async || !is_alive(drain)).await;
}

#[tokio::test]
async fn a_fifo_in_the_place_of_the_pools_token_is_refused_and_not_waited_for() {
    let mut machine = {
        let system = System::start().await;
        let _pool = seed::pool(&system, "pool-1", None).await;
        Machine::of(&system, &Gateway::start().await).await
    };
    let token = machine.root().join("fifo");
    mkfifo(&token);
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    machine.set("PORTCULLIS_TOKEN_FILE", token.to_str().unwrap());
    let mut sidecar = machine.start();
    assert!(!sidecar.wait().await.success());
    assert!(machine.log().contains("is not a plain file"), "{}", machine.log());
}
