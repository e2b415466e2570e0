//! Crash recovery: killed at random moments and restarted on its folder, the system loses nothing that it has
//! acknowledged.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis_crypto::Randomness;
use portcullis_runtime::SystemRandomness;
use portcullis_tests::{
    Child, StandInPool, System,
    seed::{self, Connected},
    slack,
    system::{Settings, eventually, pause},
};
use reqwest::Method;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_local-under-test");
const KILLS: u32 = 20;
/// Number of concurrent senders, each with conversations of its own.
const SENDERS: u32 = 4;
const WRITERS: u32 = 2;
/// Upper bound of the answers before a kill. Counting answers and not time makes a slow machine do as much as a fast
/// one.
const MOST_ANSWERS: u64 = 30;
/// Upper bound of the delay between the last of those answers and the kill, in milliseconds, so that it can hit any
/// operation.
const LONGEST_PAUSE: u64 = 30;

/// A seeded random generator for repeatable runs: `SplitMix64`.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Acknowledged requests, and requests without an answer.
#[derive(Default)]
struct Said {
    accepted: BTreeSet<u32>,
    /// Names written by each call, by scope; the names of one call share its value.
    written: BTreeMap<String, Vec<u32>>,
    unanswered: BTreeMap<String, Vec<u32>>,
}

impl Said {
    fn answers(&self) -> usize {
        self.accepted.len() + self.written.values().map(Vec::len).sum::<usize>()
    }
}

/// Settings of a system whose data in `folder` hold a pool, a bot and a channel.
async fn seeded(folder: &Path, pool: &StandInPool) -> (Settings, Connected) {
    let settings = Settings { data: Some(folder.join("data")), ..Settings::random() };
    let system = System::start_with(settings.clone()).await;
    let id = seed::pool(&system, "pool-1", Some(&pool.address().to_string())).await;
    let bot = seed::bot(&system, "bot-1", &id).await;
    let connected = seed::channel(&system, "channel-1", &bot, &id, "T0ONE", "A0ONE").await;
    system.shutdown().await;
    (settings, connected)
}

/// Sends events until the process is gone. `cycle` and `sender` give them unique numbers and conversations.
async fn send_events(child: Arc<Child>, connected: Connected, cycle: u32, sender: u32, said: Arc<Mutex<Said>>) {
    for count in 0..1_000 {
        let number = sender * 100_000 + cycle * 1_000 + count;
        let message = slack::message(&connected.team, &connected.app, &format!("C0CONVERSATION{sender}"), number);
        match child.event(&connected.signing_secret, &message).send().await {
            Ok(answer) => {
                assert_eq!(answer.status(), 200, "under load, and nothing fails");
                said.lock().unwrap().accepted.insert(number);
            }
            Err(_) => return,
        }
    }
}

/// Writes secrets until the process is gone: three names per call, all with the call's number as their value.
async fn write_secrets(child: Arc<Child>, cycle: u32, writer: u32, said: Arc<Mutex<Said>>) {
    let skill = format!("cycle-{cycle}-{writer}");
    for count in 0..300 {
        let setting = json!({ "value": count.to_string(), "scope": format!("skill:{skill}") });
        let names = ["A", "B", "C"].map(|letter| (format!("{letter}_{count}"), setting.clone()));
        let body = json!({ "secrets": BTreeMap::from(names) });
        let answer = child.internal(Method::PUT, "/api/internal/pools/pool-1/secrets").json(&body).send().await;
        let mut said = said.lock().unwrap();
        match answer {
            Ok(answer) => {
                assert_eq!(answer.status(), 200, "under load, and nothing fails");
                said.written.entry(skill.clone()).or_default().push(count);
            }
            Err(_) => return said.unanswered.entry(skill).or_default().push(count),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_accepted_is_lost_by_twenty_kills_under_load() {
    let mut seed = [0; 8];
    SystemRandomness.fill(&mut seed);
    let seed = u64::from_be_bytes(seed);
    eprintln!("seed {seed:#018x}");
    let mut moments = Seeded(seed);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let pool = StandInPool::start().await;
    let (settings, connected) = seeded(folder.path(), &pool).await;
    let said = Arc::new(Mutex::new(Said::default()));

    for cycle in 0..KILLS {
        let child = Arc::new(Child::start(PROGRAM, &settings, &log).await);
        let mut clients = tokio::task::JoinSet::new();
        for sender in 0..SENDERS {
            clients.spawn(send_events(Arc::clone(&child), connected.clone(), cycle, sender, Arc::clone(&said)));
        }
        for writer in 0..WRITERS {
            clients.spawn(write_secrets(Arc::clone(&child), cycle, writer, Arc::clone(&said)));
        }
        let (before, more) = (said.lock().unwrap().answers(), moments.below(MOST_ANSWERS));
        eventually("answers", async || said.lock().unwrap().answers() >= before + usize::try_from(more).unwrap()).await;
        pause(Duration::from_millis(moments.below(LONGEST_PAUSE))).await;
        child.kill();
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    }

    let child = Child::start(PROGRAM, &settings, &log).await;
    let said = std::mem::take(&mut *said.lock().unwrap());
    assert!(
        said.accepted.len() >= KILLS as usize && said.written.len() > 5,
        "a kill that nothing precedes shows nothing"
    );
    every_secret_can_be_read(&child, &said).await;
    let arrived = || -> Vec<u32> {
        let texts = pool.seen().iter().map(portcullis_tests::pool::Delivery::text).collect::<Vec<_>>();
        texts.iter().map(|text| text["message ".len()..].parse().unwrap()).collect()
    };
    eventually("every accepted event is delivered", async || {
        let arrived: BTreeSet<u32> = arrived().into_iter().collect();
        said.accepted.is_subset(&arrived)
    })
    .await;
    let arrived = arrived();
    for sender in 0..SENDERS {
        let mut known = BTreeSet::new();
        let of_sender = arrived.iter().filter(|number| *number / 100_000 == sender);
        let first_times: Vec<_> = of_sender.filter(|number| known.insert(**number)).collect();
        assert!(first_times.is_sorted(), "a conversation keeps its order: {first_times:?}");
    }
    let again = arrived.len() - arrived.iter().collect::<BTreeSet<_>>().len();
    // At most one event per conversation is in progress when the process is killed.
    assert!(again <= (KILLS * SENDERS) as usize, "{again} came again: more than were under way when it was killed");
}

async fn every_secret_can_be_read(child: &Child, said: &Said) {
    let skills: BTreeSet<_> = said.written.keys().chain(said.unanswered.keys()).collect();
    for skill in skills {
        let path = format!("/api/internal/secrets/{skill}?poolId=pool-1");
        let mut held: BTreeMap<String, String> =
            child.skill(Method::GET, &path).send().await.unwrap().json().await.unwrap();
        let mut take = |count: &u32| ["A", "B", "C"].map(|letter| held.remove(&format!("{letter}_{count}")));
        for count in said.written.get(skill).into_iter().flatten() {
            assert_eq!(take(count), [(); 3].map(|()| Some(count.to_string())), "{skill}, call {count}: all of it");
        }
        for count in said.unanswered.get(skill).into_iter().flatten() {
            let kept = take(count);
            assert!(
                kept == [(); 3].map(|()| None) || kept == [(); 3].map(|()| Some(count.to_string())),
                "{skill}: half of call {count}"
            );
        }
        assert_eq!(held, BTreeMap::new(), "{skill}: what nobody wrote");
    }
    let path = "/api/internal/pools/heartbeat";
    let beat = child.internal(Method::POST, path).json(&json!({ "poolId": "pool-1" })).send().await.unwrap();
    let revision = beat.json::<Value>().await.unwrap()["secretsRevision"].as_u64().unwrap();
    let written: usize = said.written.values().map(Vec::len).sum();
    let unanswered: usize = said.unanswered.values().map(Vec::len).sum();
    assert!(
        (written..=written + unanswered).contains(&usize::try_from(revision).unwrap()),
        "{written} calls, revision {revision}"
    );
}
