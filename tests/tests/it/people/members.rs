//! Membership: a person who installs the app in a workspace that another person connected joins that channel.

use futures_util::future::join_all;
use portcullis_store::{MAXIMUM_JOINED_CHANNELS, MAXIMUM_MEMBERS, Table};
use portcullis_tests::{
    Person, StandInSlack, System, seed,
    slack_api::{Exchange, Installed},
    system::{INDEX_LAG, random_hex, send},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    assert_refused, bot, get,
    install::{begin, come_back, outcome, started},
    person,
};

/// Adds the platform's app to a team with this bot token and returns the channel's id or the error.
async fn add(
    system: &System,
    slack: &StandInSlack,
    who: &Person<'_>,
    team: &'static str,
    token: &'static str,
) -> String {
    let code = random_hex(8);
    slack.exchange(&code, Exchange::Good(Installed::new(token, team, "A0PLATFORM")));
    let begun = begin(who, "").await;
    let state = begun.parameter("state");
    let answer = come_back(system, who, &begun.cookie, &[("code", &code), ("state", &state)]).await;
    let mut outcome = outcome(system, &answer);
    outcome.remove("error").or_else(|| outcome.remove("channelId")).unwrap()
}

async fn channels(system: &System, who: &Person<'_>) -> Vec<Value> {
    system.clock.advance(INDEX_LAG.unsigned_abs());
    get(who, "/channels").await.json()["channels"].as_array().unwrap().clone()
}

async fn configuration(system: &System) -> String {
    let latest = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/latest")).await;
    String::from_utf8(latest.body).unwrap()
}

#[tokio::test]
async fn a_second_person_who_adds_the_app_to_a_workspace_joins_its_channel() {
    let (system, slack) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    let first = bot(&ada, "One").await;
    bot(&eve, "Two").await;
    let channel = add(&system, &slack, &ada, "T0ONE", "xoxb-of-ada").await;
    assert_eq!(channels(&system, &eve).await, Vec::<Value>::new());
    assert_eq!(add(&system, &slack, &eve, "T0ONE", "xoxb-of-eve").await, channel);

    // Both see one channel, of the first person's bot; its pool uses the newer token.
    let seen = channels(&system, &eve).await;
    assert_eq!(seen, channels(&system, &ada).await);
    assert_eq!((&seen[0]["id"], &seen[0]["botId"], seen.len()), (&json!(channel), &json!(first), 1));
    let path = format!("/channels/{channel}");
    assert_eq!(get(&eve, &format!("{path}/status")).await.json(), seen[0]);
    assert_eq!(get(&eve, &format!("{path}/readiness")).await.json()["connected"], true);
    assert!(configuration(&system).await.contains("xoxb-of-eve"));

    // A member sees nothing else of the owner's.
    assert_eq!(get(&eve, &format!("/bots/{first}")).await.status, 404);
    assert_eq!(eve.v1(Method::PATCH, &format!("/bots/{first}"), json!({ "name": "Mine" })).await.status, 404);
    assert_eq!(get(&eve, "/bots").await.json()["bots"].as_array().unwrap().len(), 1);

    // Joining again is the same membership. Leaving ends it and does not change the owner's channel.
    assert_eq!(add(&system, &slack, &eve, "T0ONE", "xoxb-of-eve").await, channel);
    assert_eq!(channels(&system, &eve).await.len(), 1);
    assert_eq!(eve.v1(Method::DELETE, &path, Value::Null).await.json(), json!({ "success": true }));
    assert_refused(&get(&eve, &format!("{path}/status")).await, 404, "Channel not found");
    assert_refused(&get(&eve, &format!("{path}/readiness")).await, 404, "Channel not found");
    assert_refused(&eve.v1(Method::DELETE, &path, Value::Null).await, 404, "Channel not found");
    assert_eq!(channels(&system, &eve).await, Vec::<Value>::new());
    assert_eq!(get(&ada, &format!("{path}/status")).await.json()["status"], "connected");
    assert!(configuration(&system).await.contains("xoxb-of-eve"));
}

#[tokio::test]
async fn a_membership_ends_with_the_channel_and_with_the_member() {
    let (system, slack) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    bot(&ada, "One").await;
    bot(&eve, "Two").await;
    let channel = add(&system, &slack, &ada, "T0ONE", "xoxb-1").await;
    add(&system, &slack, &eve, "T0ONE", "xoxb-1").await;
    let path = format!("/channels/{channel}");
    // The members stay when the owner connects again.
    assert_eq!(add(&system, &slack, &ada, "T0ONE", "xoxb-2").await, channel);
    assert_eq!(channels(&system, &eve).await.len(), 1);

    let deleted = eve.post("delete-user", &json!({})).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    let id = channel.parse().unwrap();
    assert_eq!(system.store().get_channel(&id).await.unwrap().unwrap().members, []);

    let bob = person(&system, "bob@example.com").await;
    bot(&bob, "Three").await;
    assert_eq!(add(&system, &slack, &bob, "T0ONE", "xoxb-2").await, channel);
    assert_eq!(ada.v1(Method::DELETE, &path, Value::Null).await.status, 200);
    assert_eq!(channels(&system, &bob).await, Vec::<Value>::new());
    assert_refused(&get(&bob, &format!("{path}/status")).await, 404, "Channel not found");
    // The workspace is free: the next install creates the person's own channel, even for a former member.
    let own = add(&system, &slack, &bob, "T0ONE", "xoxb-3").await;
    assert_ne!(own, channel);
    assert_eq!(channels(&system, &bob).await[0]["id"], own.as_str());
    // The stale entry gives no access: a new channel with the deleted one's id would not have this member.
    let joined = system.store().close_owner(&bob.id().await.parse().unwrap()).await.unwrap().joined_channels;
    assert_eq!(joined, [id], "a deleted channel may be named until the next one is joined");
}

#[tokio::test]
async fn a_broken_channel_works_again_with_a_members_token_and_an_uninstalled_one_gives_way() {
    let (system, slack) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    bot(&ada, "One").await;
    let second = bot(&eve, "Two").await;
    let channel = add(&system, &slack, &ada, "T0ONE", "xoxb-1").await;
    seed::set(&system, Table::Channels, &channel, "status", "error").await;
    assert_eq!(add(&system, &slack, &eve, "T0ONE", "xoxb-2").await, channel);
    assert_eq!(get(&ada, &format!("/channels/{channel}/status")).await.json()["status"], "connected");

    seed::set(&system, Table::Channels, &channel, "status", "disconnected").await;
    let own = add(&system, &slack, &eve, "T0ONE", "xoxb-3").await;
    assert_ne!(own, channel);
    let seen = channels(&system, &eve).await;
    assert_eq!((seen.len(), &seen[0]["botId"]), (1, &json!(second)));
    assert_eq!(channels(&system, &ada).await, Vec::<Value>::new());
    let configuration = configuration(&system).await;
    assert!(configuration.contains("xoxb-3") && !configuration.contains("xoxb-2"), "{configuration}");
}

#[tokio::test]
async fn one_of_the_people_who_add_a_workspace_at_once_owns_it_and_the_others_join() {
    let (system, slack) = started().await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "eve", "joe", "kim", "lee"] {
        let person = person(&system, &format!("{name}@example.com")).await;
        bot(&person, "Bot").await;
        people.push(person);
    }
    let outcomes = join_all(people.iter().map(|who| add(&system, &slack, who, "T0ONE", "xoxb-1"))).await;
    let channel = &outcomes[0];
    assert!(outcomes.iter().all(|other| other == channel), "{outcomes:?}");
    let known = system.store().get_channel(&channel.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(known.members.len(), people.len() - 1);
    for who in &people {
        assert_eq!(channels(&system, who).await.len(), 1);
    }
}

#[tokio::test]
async fn a_person_does_not_join_what_is_their_own_and_memberships_have_limits() {
    let (system, slack) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    bot(&ada, "One").await;
    let channel = add(&system, &slack, &ada, "T0ONE", "xoxb-1").await;
    let second = bot(&ada, "Two").await;
    slack.exchange("code-1", Exchange::Good(Installed::new("xoxb-2", "T0ONE", "A0PLATFORM")));
    let begun = begin(&ada, &format!("?botId={second}")).await;
    let state = begun.parameter("state");
    let answer = come_back(&system, &ada, &begun.cookie, &[("code", "code-1"), ("state", &state)]).await;
    assert_eq!(outcome(&system, &answer)["error"], "channel_taken");

    bot(&eve, "One").await;
    let members: Vec<_> = (0..MAXIMUM_MEMBERS).map(|index| format!("user-{index}")).collect();
    seed::set_texts(&system, Table::Channels, &channel, "members", &members).await;
    assert_eq!(add(&system, &slack, &eve, "T0ONE", "xoxb-2").await, "too_many_members");
    assert!(configuration(&system).await.contains("xoxb-1"), "nothing is half written");

    seed::set_texts(&system, Table::Channels, &channel, "members", &members[..1]).await;
    let owner = format!("\u{1}owner\u{1}{}", eve.id().await);
    let gone: Vec<_> = (0..MAXIMUM_JOINED_CHANNELS).map(|index| format!("channel-{index}")).collect();
    seed::set_texts(&system, Table::Bots, &owner, "joinedChannels", &gone).await;
    assert_eq!(add(&system, &slack, &eve, "T0ONE", "xoxb-2").await, channel, "channels that are gone do not count");
    let joined = system.store().close_owner(&eve.id().await.parse().unwrap()).await.unwrap().joined_channels;
    assert_eq!(joined, [channel.parse().unwrap()]);
    // The account is being deleted.
    assert_eq!(add(&system, &slack, &eve, "T0ONE", "xoxb-3").await, "invalid_state");
}
