//! Artifacts: their sessions, and the owners of preview URLs.

use portcullis_store::{
    Artifact, ArtifactChange, ArtifactError, ArtifactStatus, BotReach, NewArtifact, NewSession, PutArtifactError,
    SessionChange, SessionRef, Table, round_trips::counted,
};
use tokio::task::JoinSet;

use crate::support::{World, bot, fixed_keys, hours, item, text};

const MAIN: &str = "agent:bot-1:main";
const URL: &str = "https://example.com/preview";

fn titled(title: &str) -> ArtifactChange {
    ArtifactChange { title: Some(title.parse().unwrap()), ..ArtifactChange::default() }
}

fn at(url: &str, title: &str) -> ArtifactChange {
    ArtifactChange { preview_url: Some(url.parse().expect("a URL")), ..titled(title) }
}

fn key(key: &str) -> SessionRef {
    SessionRef::Key(key.parse().unwrap())
}

fn chat(chat: &str, thread: Option<&str>) -> SessionRef {
    SessionRef::Chat { chat: chat.parse().expect("a chat"), thread: thread.map(|text| text.parse().unwrap()) }
}

fn new(session: SessionRef, change: ArtifactChange) -> NewArtifact {
    NewArtifact {
        bot: bot(),
        session,
        channel_type: None,
        channel_id: None,
        artifact_type: None,
        source: None,
        content_type: None,
        change,
    }
}

async fn put(world: &World, session: SessionRef, change: ArtifactChange) -> Result<Artifact, PutArtifactError> {
    world.store.put_artifact(BotReach::Any, &new(session, change)).await
}

async fn session(world: &World, session_key: &str, channel_id: Option<&str>) {
    let new = NewSession {
        bot: bot(),
        session_key: session_key.parse().unwrap(),
        channel_type: None,
        channel_id: channel_id.map(|text| text.parse().unwrap()),
        change: SessionChange { title: Some("A session".parse().unwrap()), ..SessionChange::default() },
    };
    world.store.put_session(BotReach::Any, &new).await.expect("is written");
}

#[tokio::test]
async fn the_same_session_and_preview_are_the_same_artifact() {
    let world = World::with_bot().await;
    let (made, calls) = counted(put(&world, key(MAIN), at(URL, "One"))).await;
    let made = made.unwrap();
    assert_eq!((made.status, calls), (ArtifactStatus::Building, 2));
    let live = ArtifactChange { status: Some(ArtifactStatus::Live), ..at("https://EXAMPLE.com/preview#x", "Two") };
    let changed = put(&world, key(MAIN), live).await.unwrap();
    assert_eq!((&changed.id, changed.title.as_str(), changed.status), (&made.id, "Two", ArtifactStatus::Live));
    let without =
        (put(&world, key(MAIN), titled("A")).await.unwrap(), put(&world, key(MAIN), titled("A")).await.unwrap());
    assert_ne!(without.0.id, without.1.id);
    assert_eq!(put(&world, key("agent:bot-1:other"), at(URL, "x")).await, Err(PutArtifactError::PreviewTaken));
}

#[tokio::test]
async fn a_preview_has_one_owner_however_many_want_it() {
    let world = World::with_bot().await;
    let mut tasks = JoinSet::new();
    for writer in 0..16 {
        let store = world.with_keys(fixed_keys());
        // Four sessions, each four times.
        let new = new(key(&format!("agent:bot-1:s{}", writer % 4)), at(URL, "x"));
        tasks.spawn(async move { store.put_artifact(BotReach::Any, &new).await });
    }
    let outcomes = tasks.join_all().await;
    let won: Vec<_> = outcomes.iter().flatten().collect();
    assert_eq!(won.len(), 4, "{outcomes:?}");
    assert!(won.iter().all(|artifact| (&artifact.id, &artifact.session_key) == (&won[0].id, &won[0].session_key)));
    let lost = outcomes.iter().filter(|outcome| **outcome == Err(PutArtifactError::PreviewTaken)).count();
    assert_eq!((lost, world.count(Table::Artifacts).await), (12, 2));
}

#[tokio::test]
async fn a_changed_preview_gives_the_old_one_up() {
    let world = World::with_bot().await;
    let made = put(&world, key(MAIN), at(URL, "One")).await.unwrap();
    let elsewhere = "https://example.com/elsewhere";
    let (changed, calls) = counted(world.store.change_artifact(BotReach::Any, &made.id, &at(elsewhere, "Two"))).await;
    assert_eq!((changed.unwrap().preview_url.unwrap().as_str(), calls), (elsewhere, 2));
    let other = put(&world, key("agent:bot-1:other"), at(URL, "x")).await.unwrap();
    let taken = world.store.change_artifact(BotReach::Any, &made.id, &at(URL, "x")).await;
    assert_eq!(taken, Err(ArtifactError::PreviewTaken));
    // The session's own URL, in another spelling.
    assert!(
        world
            .store
            .change_artifact(BotReach::Any, &other.id, &at("https://example.com:443/preview", "y"))
            .await
            .is_ok()
    );
    assert_eq!(world.count(Table::Artifacts).await, 4);
}

#[tokio::test]
async fn an_unknown_artifact_and_an_owners_row_are_not_found() {
    let world = World::with_bot().await;
    put(&world, key(MAIN), at(URL, "One")).await.unwrap();
    for row in world.engine.rows(Table::Artifacts).await {
        let id = row["id"].as_s().unwrap();
        let changed = world.store.change_artifact(BotReach::Any, id, &titled("x")).await;
        assert_eq!(changed.is_ok(), row.contains_key("bot"), "{id}");
    }
    let unknown = "00000000-0000-4000-8000-000000000000";
    let changed = world.store.change_artifact(BotReach::Any, unknown, &titled("x")).await;
    assert_eq!(changed, Err(ArtifactError::NotFound));
}

#[tokio::test]
async fn a_chat_is_the_one_session_that_takes_place_there() {
    let world = World::with_bot().await;
    assert_eq!(put(&world, chat("channel:C1", None), titled("x")).await, Err(PutArtifactError::NoSession));
    session(&world, "agent:bot-1:slack:channel:c1:thread:17.1", Some("C1")).await;
    let of = async |session: SessionRef| put(&world, session, titled("x")).await.map(|made| made.session_key.unwrap());
    let base = "agent:bot-1:slack:channel:c1";
    assert_eq!(of(chat("channel:C1", None)).await.as_deref(), Ok(base));
    assert_eq!(of(chat("channel:c1", Some("T.9"))).await, Ok(format!("{base}:thread:t.9")));

    session(&world, "agent:bot-1:discord:channel:c1", None).await;
    assert_eq!(of(chat("channel:C1", None)).await, Err(PutArtifactError::SeveralSessions));
    let of_slack =
        NewArtifact { channel_type: Some("slack".parse().unwrap()), ..new(chat("channel:C1", None), titled("x")) };
    let made = world.store.put_artifact(BotReach::Any, &of_slack).await.unwrap();
    assert_eq!(made.session_key.as_deref(), Some(base));
}

#[tokio::test]
async fn a_persons_chat_is_their_direct_session_or_the_bots_main_one() {
    let world = World::with_bot().await;
    let of = async |session: SessionRef| put(&world, session, titled("x")).await.map(|made| made.session_key.unwrap());
    assert_eq!(of(chat("user:U1", None)).await.as_deref(), Ok(MAIN));
    session(&world, "agent:bot-1:slack:direct:u1", Some("D1")).await;
    assert_eq!(of(chat("user:U1", None)).await.as_deref(), Ok("agent:bot-1:slack:direct:u1"));
    assert_eq!(of(chat("channel:D1", None)).await.as_deref(), Ok("agent:bot-1:slack:direct:u1"));
    assert_eq!(of(chat("user:U2", None)).await.as_deref(), Ok(MAIN));
}

#[tokio::test]
async fn a_look_up_outlives_its_sessions_and_one_past_its_time_finds_nothing() {
    let world = World::with_bot().await;
    let key = "agent:bot-1:slack:channel:c1";
    session(&world, key, Some("C1")).await;
    // Touched every 80 days, the session and its look-up rows outlive the retention.
    for _ in 0..4 {
        world.clock.advance(hours(80 * 24));
        session(&world, key, None).await;
        assert!(put(&world, chat("channel:C1", None), titled("x")).await.is_ok());
    }
    world.clock.advance(hours(181 * 24));
    assert_eq!(put(&world, chat("channel:C1", None), titled("x")).await, Err(PutArtifactError::NoSession));
    // The expired look-up row still exists; the new session's key replaces its keys.
    session(&world, "agent:bot-1:discord:channel:c1", Some("C1")).await;
    let made = put(&world, chat("channel:C1", None), titled("x")).await.unwrap();
    assert_eq!(made.session_key.as_deref(), Some("agent:bot-1:discord:channel:c1"));
}

#[tokio::test]
async fn more_sessions_of_one_channel_than_a_look_up_holds_are_still_sessions() {
    let world = World::with_bot().await;
    for number in 0..20 {
        session(&world, &format!("agent:bot-1:s{number}"), Some("C1")).await;
    }
    assert_eq!(put(&world, chat("channel:C1", None), titled("x")).await, Err(PutArtifactError::SeveralSessions));
    assert_eq!(world.count(Table::ChatSessions).await, 21);
}

#[tokio::test]
async fn a_preview_is_to_be_had_where_it_is_nobodys_or_ones_own() {
    let world = World::with_bot().await;
    let url = URL.parse().unwrap();
    let check = async |session: Option<&SessionRef>| {
        world.store.check_preview(BotReach::Any, &bot(), session, None, &url).await
    };
    let free = check(None).await.unwrap();
    assert_eq!((free.session_key, free.existing), (None, None));
    let made = put(&world, key(MAIN), at(URL, "One")).await.unwrap();
    let own = check(Some(&key(MAIN))).await.unwrap();
    assert_eq!(own.existing.map(|owner| owner.artifact), Some(made.id));
    assert_eq!(check(Some(&key("agent:bot-1:other"))).await, Err(PutArtifactError::PreviewTaken));
    assert_eq!(check(None).await, Err(PutArtifactError::PreviewTaken));
    let gone = world.engine.row(Table::Artifacts, item([("id", text("nothing"))])).await;
    assert_eq!(gone, None);
}
