//! Synchronization of a platform's conversations into sessions.

use portcullis_tests::system::send;
use reqwest::Method;
use serde_json::{Value, json};

use super::{DISCORD_TOKEN, FEISHU_SECRET, Scripted, assert_refused, connect_discord, connect_feishu, scripted};

async fn sync(scripted: &Scripted, platform: &str) -> portcullis_tests::Answer {
    let path = format!("/api/internal/sessions/sync-{platform}");
    send(scripted.system.internal(Method::POST, &path).json(&json!({ "poolId": "pool-1" }))).await
}

async fn sessions(person: &portcullis_tests::Person<'_>) -> Vec<(String, String)> {
    let field = |session: &Value, name: &str| session[name].as_str().unwrap().to_owned();
    let mut all = Vec::new();
    loop {
        let path = format!("/sessions?limit=100&offset={}", all.len());
        let page = person.v1(Method::GET, &path, Value::Null).await.json()["sessions"].as_array().unwrap().clone();
        if page.is_empty() {
            break;
        }
        all.extend(page.iter().map(|session| (field(session, "sessionKey"), field(session, "title"))));
    }
    all.sort();
    all
}

fn guild(id: u32) -> Value {
    json!({ "id": id.to_string(), "name": format!("Guild {id}"), "owner": false, "permissions": "0" })
}

#[tokio::test]
async fn each_guild_of_a_discord_bot_is_a_session_page_by_page() {
    let scripted = scripted().await;
    let (ada, bot) = scripted.person_with_bot("ada@example.com").await;
    scripted.discord_knows("1234567890");
    connect_discord(&ada, json!({ "botToken": DISCORD_TOKEN, "appId": "1234567890" })).await;
    let first: Vec<Value> = (1000..1200).map(guild).collect();
    scripted.discord.say("users/@me/guilds?limit=200", 200, json!(first));
    scripted.discord.say("users/@me/guilds?limit=200&after=1199", 200, json!([guild(1200), guild(1201)]));
    let synced = sync(&scripted, "discord").await;
    assert_eq!((synced.status.as_u16(), synced.json()), (200, json!({ "synced": 202 })));
    assert_eq!(scripted.discord.calls("users/@me/guilds").len(), 2);
    // A second sync after a rename creates no session.
    scripted.discord.say("users/@me/guilds", 200, json!([{ "id": "1000", "name": "Renamed\n" }]));
    assert_eq!(sync(&scripted, "discord").await.json(), json!({ "synced": 1 }));
    scripted.system.clock.advance(portcullis_tests::system::INDEX_LAG.unsigned_abs());
    let all = sessions(&ada).await;
    let key = format!("agent:{bot}:discord:channel:1000");
    assert!(all.contains(&(key, "Renamed".to_owned())), "{all:?}");
    assert_eq!(all.len(), 202);
    assert_eq!(sync(&scripted, "feishu").await.json(), json!({ "synced": 0 }), "no channel of Feishu's");
}

#[tokio::test]
async fn a_conversation_with_an_unusable_id_harms_no_other() {
    let scripted = scripted().await;
    let (ada, bot) = scripted.person_with_bot("ada@example.com").await;
    scripted.discord_knows("1234567890");
    connect_discord(&ada, json!({ "botToken": DISCORD_TOKEN, "appId": "1234567890" })).await;
    let unusable = ["", "10\n00", &"9".repeat(257)].map(|id| json!({ "id": id, "name": "Guild" }));
    let guilds = [&unusable[..], &[guild(1000)]].concat();
    scripted.discord.say("users/@me/guilds", 200, json!(guilds));
    assert_eq!(sync(&scripted, "discord").await.json(), json!({ "synced": 1 }));
    scripted.system.clock.advance(portcullis_tests::system::INDEX_LAG.unsigned_abs());
    let expected = (format!("agent:{bot}:discord:channel:1000"), "Guild 1000".to_owned());
    assert_eq!(sessions(&ada).await, [expected]);
}

#[tokio::test]
async fn each_group_chat_of_a_feishu_bot_is_a_session_page_by_page() {
    let scripted = scripted().await;
    let (ada, bot) = scripted.person_with_bot("ada@example.com").await;
    scripted.feishu_knows();
    connect_feishu(&ada, json!({ "appId": "cli_one", "appSecret": FEISHU_SECRET })).await;
    let page = |items: Value, next: &str| json!({ "code": 0, "data": { "items": items, "has_more": !next.is_empty(), "page_token": next } });
    let first = page(json!([{ "chat_id": "oc_A", "name": "Plans" }]), "next/1");
    scripted.feishu.say("im/v1/chats?page_size=100", 200, first);
    let second = page(json!([{ "chat_id": "oc_B", "name": "" }, { "chat_id": "oc_C" }]), "");
    scripted.feishu.say("im/v1/chats?page_size=100&page_token=next%2F1", 200, second);
    assert_eq!(sync(&scripted, "feishu").await.json(), json!({ "synced": 3 }));
    scripted.system.clock.advance(portcullis_tests::system::INDEX_LAG.unsigned_abs());
    let expected = [("oc_a", "Plans"), ("oc_b", "Feishu oc_B"), ("oc_c", "Feishu oc_C")];
    let expected = expected.map(|(id, title)| (format!("agent:{bot}:feishu:group:{id}"), title.to_owned()));
    assert_eq!(sessions(&ada).await, expected);
}

#[tokio::test]
async fn a_page_that_leads_to_itself_ends() {
    let scripted = scripted().await;
    let (ada, _) = scripted.person_with_bot("ada@example.com").await;
    scripted.feishu_knows();
    connect_feishu(&ada, json!({ "appId": "cli_one", "appSecret": FEISHU_SECRET })).await;
    let page =
        json!({ "code": 0, "data": { "items": [{ "chat_id": "oc_A" }], "has_more": true, "page_token": "same" } });
    scripted.feishu.say("im/v1/chats", 200, page);
    assert_eq!(sync(&scripted, "feishu").await.status, 200);
    assert_eq!(scripted.feishu.calls("im/").len(), 2);
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_for_and_a_long_one_is_the_callers() {
    let scripted = scripted().await;
    let (ada, _) = scripted.person_with_bot("ada@example.com").await;
    scripted.discord_knows("1234567890");
    connect_discord(&ada, json!({ "botToken": DISCORD_TOKEN, "appId": "1234567890" })).await;
    let limited = json!({ "message": "You are being rate limited.", "retry_after": 0.01, "global": false });
    scripted.discord.say_with("users/@me/guilds", 429, &[("retry-after", "0.01")], &limited);
    let silent = "Discord did not answer for every bot; try again";
    assert_refused(&sync(&scripted, "discord").await, 502, silent);
    assert_eq!(scripted.discord.calls("users/@me/guilds").len(), 2, "it was asked once more");
    scripted.discord.say_with("users/@me/guilds", 429, &[("retry-after", "60")], &limited);
    assert_refused(&sync(&scripted, "discord").await, 502, silent);
    assert_eq!(scripted.discord.calls("users/@me/guilds").len(), 3, "nobody waits for a minute");
    for (status, body) in [(500, "{}"), (200, "<html>"), (200, "{}")] {
        scripted.discord.say("users/@me/guilds", status, body);
        assert_refused(&sync(&scripted, "discord").await, 502, silent);
    }
}

#[tokio::test]
async fn a_credential_that_ended_marks_its_channel_and_fails_no_other() {
    let scripted = scripted().await;
    let (ada, _) = scripted.person_with_bot("ada@example.com").await;
    scripted.discord_knows("1234567890");
    scripted.feishu_knows();
    let discord = connect_discord(&ada, json!({ "botToken": DISCORD_TOKEN, "appId": "1234567890" })).await.json();
    let feishu = connect_feishu(&ada, json!({ "appId": "cli_one", "appSecret": FEISHU_SECRET })).await.json();
    scripted.discord.say("users/@me/guilds", 401, json!({ "message": "401: Unauthorized", "code": 0 }));
    scripted.feishu.say("auth/", 200, json!({ "code": 10014, "msg": "app secret invalid" }));
    assert_eq!(sync(&scripted, "discord").await.json(), json!({ "synced": 0 }));
    assert_eq!(sync(&scripted, "feishu").await.json(), json!({ "synced": 0 }));
    for channel in [discord, feishu] {
        let path = format!("/channels/{}/status", channel["id"].as_str().unwrap());
        assert_eq!(ada.v1(Method::GET, &path, Value::Null).await.json()["status"], "error");
    }
    let config = send(scripted.system.internal(Method::GET, "/api/internal/pools/pool-1/config")).await;
    assert_eq!(config.json()["channels"], json!({}), "a broken channel is in no configuration");
}

#[tokio::test]
async fn a_permission_that_an_app_lacks_harms_nothing() {
    let scripted = scripted().await;
    let (ada, _) = scripted.person_with_bot("ada@example.com").await;
    scripted.feishu_knows();
    let feishu = connect_feishu(&ada, json!({ "appId": "cli_one", "appSecret": FEISHU_SECRET })).await.json();
    scripted.feishu.say("im/v1/chats", 400, json!({ "code": 99_991_672, "msg": "Access denied" }));
    assert_eq!(sync(&scripted, "feishu").await.json(), json!({ "synced": 0 }));
    let path = format!("/channels/{}/status", feishu["id"].as_str().unwrap());
    assert_eq!(ada.v1(Method::GET, &path, Value::Null).await.json()["status"], "connected");
}
