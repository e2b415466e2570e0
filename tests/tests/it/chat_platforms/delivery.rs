//! An accepted Feishu event reaches its bot's pool once, encrypted and signed anew, at the channel's own port.

use std::time::Duration;

use portcullis_auth::Clock;
use portcullis_openclaw::webhook_port;
use portcullis_runtime::metrics::Metric;
use portcullis_store::session_id;
use portcullis_tests::{
    Behaviour, StandInPool, System,
    feishu::{self, FeishuApp},
    pool::Delivery,
    seed,
    system::{eventually, random_hex, send},
};
use reqwest::Method;
use serde_json::{Value, json};

/// A system with a pool on this machine that receives the events of one Feishu app.
struct Connected {
    system: System,
    app: FeishuApp,
    pool: StandInPool,
    /// The pool's secret of the channel, as in its configuration.
    secret: String,
    bot: String,
}

async fn connected(encrypt_key: Option<String>) -> Connected {
    let system = System::start().await;
    // Random ids give concurrent suites different ports; retry if another program has the port.
    let (pool, bot, app) = loop {
        let (bot, channel) = (format!("bot-{}", random_hex(4)), format!("channel-{}", random_hex(4)));
        let (bot_id, channel_id) = (bot.parse().unwrap(), channel.parse().unwrap());
        let port = webhook_port([&bot_id], &bot_id, [&channel_id], &channel_id);
        if tokio::net::TcpListener::bind(("127.0.0.1", port)).await.is_err() {
            continue;
        }
        let pool = seed::pool(&system, "pool-1", Some("127.0.0.1:1025")).await;
        let id = seed::bot(&system, &bot, &pool).await;
        let app = feishu::channel(&system, &channel, &id, "cli_one", encrypt_key).await;
        break (StandInPool::start_at(([127, 0, 0, 1], port).into()).await, bot, app);
    };
    let config = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config")).await.json();
    let account = &config["channels"]["feishu"]["accounts"]["feishu-cli_one"];
    assert_eq!(account["webhookPort"], pool.address().port(), "{config}");
    let secret = account["encryptKey"].as_str().unwrap().to_owned();
    Connected { system, app, pool, secret, bot }
}

impl Connected {
    async fn accept(&self, path: &str, body: &Value) {
        let answer = send(self.app.request(&self.system, path, body, self.system.clock.now())).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    }

    /// Verifies a delivery to the pool and decrypts its event.
    fn opened(&self, delivery: &Delivery) -> Value {
        let header = |name: &str| delivery.headers[name].to_str().unwrap();
        let (timestamp, nonce) = (header("x-lark-request-timestamp"), header("x-lark-request-nonce"));
        assert_eq!(delivery.path, "/feishu/events/feishu-cli_one");
        assert_eq!(timestamp, self.system.clock.now().as_second().to_string());
        let signature = feishu::signature(&self.secret, timestamp, nonce, &delivery.body);
        assert_eq!(header("x-lark-signature"), signature);
        assert_eq!(header("content-type"), "application/json");
        feishu::decrypted(&self.secret, &delivery.body)
    }
}

#[tokio::test]
async fn a_message_reaches_its_pool_once_encrypted_and_signed_anew_without_feishus_token() {
    for key in [None, Some(random_hex(16))] {
        let connected = connected(key).await;
        let message = connected.app.message("oc_One", 1);
        for _ in 0..3 {
            connected.accept(&connected.app.events_path(), &message).await;
        }
        let deliveries = connected.pool.wait_for(1).await;
        let mut expected = message.clone();
        expected["header"]["token"] = json!("");
        assert_eq!(connected.opened(&deliveries[0]), expected);
        eventually("it is counted", async || connected.system.counted(Metric::EventDelivered) == 1).await;
        // The conversation has a session under OpenClaw's name of it.
        let id = session_id(&connected.bot.parse().unwrap(), &format!("agent:{}:feishu:group:oc_one", connected.bot));
        let session = connected
            .system
            .store()
            .session_of(&"user-1".parse().unwrap(), &id)
            .await
            .unwrap()
            .expect("there is a session");
        assert_eq!((session.title.as_str(), session.message_count), ("Feishu oc_One", 1));
        assert_eq!((session.channel_type.as_deref(), session.channel_id.as_deref()), (Some("feishu"), Some("oc_One")));
        // The queue's deduplication window has passed, and the event log still detects the duplicate.
        connected.system.clock.advance(Duration::from_mins(6));
        connected.accept(&connected.app.events_path(), &message).await;
        eventually("it is known", async || connected.system.counted(Metric::EventDuplicate) == 1).await;
        assert_eq!(connected.pool.seen().len(), 1);
    }
}

#[tokio::test]
async fn events_of_a_chat_are_delivered_in_order_and_hold_up_no_other_chat() {
    let connected = connected(None).await;
    connected.pool.behave(Behaviour::Answer(503));
    connected.accept(&connected.app.events_path(), &connected.app.message("oc_one", 1)).await;
    connected.pool.wait_for(1).await;
    connected.accept(&connected.app.events_path(), &connected.app.message("oc_one", 2)).await;
    connected.accept(&connected.app.cards_path(), &connected.app.click("oc_one", 3)).await;
    connected.pool.behave(Behaviour::Answer(200));
    connected.accept(&connected.app.events_path(), &connected.app.message("oc_two", 4)).await;
    let chat = |delivery: &Delivery| {
        let event = feishu::decrypted(&connected.secret, &delivery.body);
        event["header"]["event_id"].as_str().unwrap().to_owned()
    };
    eventually("the other chat", async || connected.pool.seen().iter().map(chat).any(|id| id == "event-4")).await;
    connected.system.clock.advance(Duration::from_secs(2));
    eventually("all four", async || connected.system.counted(Metric::EventDelivered) == 4).await;
    let order: Vec<_> = connected.pool.seen().iter().map(chat).filter(|id| id != "event-4").collect();
    assert_eq!(order, ["event-1", "event-1", "event-2", "click-3"]);
}

#[tokio::test]
async fn a_click_on_a_card_comes_in_the_newer_form_and_is_tried_for_half_an_hour() {
    let connected = connected(None).await;
    let older = json!({
        "open_id": "ou_1", "user_id": "u1", "open_message_id": "om_1", "open_chat_id": "oc_1", "tenant_key": "t",
        "token": "c-update", "action": { "tag": "button", "value": { "choice": 1 } },
    });
    let at = connected.system.clock.now().as_second().to_string();
    let body = older.to_string();
    let signed = format!("{at}nonce{}{body}", connected.app.verification_token);
    let signature = hex::encode(<sha1::Sha1 as sha1::Digest>::digest(signed));
    let request = connected.system.request(Method::POST, &connected.app.cards_path());
    let request = request.header("content-type", "application/json").header("x-lark-signature", signature);
    let request = request.header("x-lark-request-timestamp", at).header("x-lark-request-nonce", "nonce").body(body);
    assert_eq!(send(request).await.status, 200);
    let event = connected.opened(&connected.pool.wait_for(1).await[0]);
    assert_eq!(event["header"]["event_type"], "card.action.trigger");
    assert_eq!((&event["event"]["token"], &event["event"]["action"]), (&older["token"], &older["action"]));
    assert_eq!(event["event"]["operator"]["open_id"], "ou_1");
    assert_eq!(event["event"]["context"], json!({ "open_message_id": "om_1", "open_chat_id": "oc_1" }));

    connected.pool.behave(Behaviour::Answer(503));
    connected.accept(&connected.app.cards_path(), &connected.app.click("oc_1", 5)).await;
    connected.pool.wait_for(2).await;
    connected.system.clock.advance(Duration::from_mins(31));
    eventually("it is given up", async || connected.system.counted(Metric::EventsDropped) == 1).await;
}

#[tokio::test]
async fn a_channel_that_was_connected_anew_by_websocket_gets_nothing_more_by_webhook() {
    let connected = connected(None).await;
    connected.pool.behave(Behaviour::Answer(503));
    connected.accept(&connected.app.events_path(), &connected.app.message("oc_one", 1)).await;
    connected.pool.wait_for(1).await;
    let new = portcullis_store::NewFeishuChannel {
        id: connected.app.channel.clone(),
        bot: connected.bot.parse().unwrap(),
        app_id: "cli_one".parse().unwrap(),
        app_name: None,
        bot_user_id: None,
        app_secret: "not-a-real-secret".into(),
        webhook: None,
    };
    connected.system.store().connect_channel(portcullis_store::BotReach::Any, new).await.unwrap();
    connected.system.clock.advance(Duration::from_secs(2));
    eventually("it is dropped", async || connected.system.counted(Metric::EventsDropped) == 1).await;
    assert_eq!(connected.pool.seen().len(), 1);
}
