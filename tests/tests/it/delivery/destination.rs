//! The destination of an event, and whether it is delivered at all, is decided at delivery.

use std::{net::Ipv4Addr, time::Duration};

use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_store::{BotStatus, ChannelStatus, Table};
use portcullis_tests::{
    Behaviour, StandInPool, System, seed, slack,
    system::{Settings, eventually, random_hex, send},
};

use super::{accept, message, rows, texts};

#[tokio::test]
async fn a_bot_that_moved_gets_its_events_where_it_is_now_the_queued_ones_too() {
    let system = System::start().await;
    let (connected, old) = seed::connected(&system).await;
    old.behave(Behaviour::Answer(500));
    for number in 1..=2 {
        accept(&system, &connected, &message(&connected, "C0GENERAL", number)).await;
    }
    eventually("a failure", async || system.counted(Metric::DeliveryFailed) == 1).await;
    let new = StandInPool::start().await;
    seed::pool(&system, "pool-2", Some(&new.address().to_string())).await;
    seed::set(&system, Table::Bots, connected.bot.as_str(), "pool", "pool-2").await;
    system.clock.advance(Duration::from_secs(1));
    accept(&system, &connected, &message(&connected, "C0GENERAL", 3)).await;
    let seen = new.wait_for(3).await;
    assert_eq!(texts(&seen), ["message 1", "message 2", "message 3"]);
    assert!(seen.iter().all(|delivery| delivery.path == connected.delivery_path()));
    assert_eq!(old.seen().len(), 1, "nothing more where it was");
    system.shutdown().await;
}

#[tokio::test]
async fn events_for_a_channel_or_bot_that_is_gone_are_dropped_counted_and_logged() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let store = system.store();
    let gone = [
        "a paused bot",
        "a disconnected channel",
        "a channel in error",
        "a deleted bot",
        "no channel row",
        "no bot row",
    ];
    for (number, what) in (1..).zip(gone) {
        pool.behave(Behaviour::Answer(500));
        let channel = if number < 4 {
            connected.clone()
        } else {
            let bot = seed::bot(&system, &format!("bot-{number}"), &connected.pool).await;
            seed::channel(&system, &format!("channel-{number}"), &bot, &connected.pool, &format!("T{number}"), "A0MORE")
                .await
        };
        let body = message(&channel, &format!("C0{number}"), number).to_string();
        let request = slack::signed(&system, "/api/slack/events", &channel.signing_secret, body, system.clock.now());
        let id = format!("dropped-{number}-{}", random_hex(4));
        let before = system.counted(Metric::DeliveryFailed);
        assert_eq!(send(request.header("x-request-id", &id)).await.status, 200);
        // Queued and tried once before the deletion.
        eventually("a failure", async || system.counted(Metric::DeliveryFailed) == before + 1).await;
        pool.behave(Behaviour::Answer(200));
        let seen = pool.seen().len();
        match what {
            "a paused bot" => store.set_bot_status(&channel.bot, BotStatus::Paused).await.expect("it is paused"),
            "a disconnected channel" => {
                let status = ChannelStatus::Disconnected;
                store.set_channel_status(&channel.channel, status).await.expect("it is disconnected");
            }
            "a channel in error" => {
                store.set_channel_status(&channel.channel, ChannelStatus::Error).await.expect("its token was revoked");
            }
            "a deleted bot" => store.set_bot_status(&channel.bot, BotStatus::Deleted).await.expect("it is deleted"),
            "no channel row" => rows::delete(&system, Table::Channels, channel.channel.as_str()).await,
            _ => rows::delete(&system, Table::Bots, channel.bot.as_str()).await,
        }
        system.clock.advance(Duration::from_secs(1));
        eventually(what, async || system.counted(Metric::EventsDropped) == u64::from(number)).await;
        let lines = system.logs.of_request(&id);
        let line =
            lines.iter().find(|line| line["message"] == "dropped").unwrap_or_else(|| panic!("{what}: {lines:?}"));
        assert!(line["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{line}");
        assert_eq!(line["channel"], channel.channel.as_str());
        assert_eq!(pool.seen().len(), seen, "{what}");
        if number == 1 {
            store.set_bot_status(&connected.bot, BotStatus::Active).await.expect("it answers again");
        } else if number < 4 {
            store.set_channel_status(&connected.channel, ChannelStatus::Connected).await.expect("it is connected");
        }
    }
    assert_eq!(system.counted(Metric::EventDelivered), 0);
    assert!(system.stack.queue().dead_letters().expect("they are listed").is_empty());
    system.shutdown().await;
}

#[tokio::test]
async fn an_address_outside_the_pools_networks_is_not_posted_to_though_it_stands_in_the_row() {
    let system = System::start_with(Settings::random().with("POOL_CIDRS", "127.0.0.1/32")).await;
    let (connected, pool) = seed::connected(&system).await;
    let outside = StandInPool::start_at((Ipv4Addr::new(127, 0, 0, 2), 0).into()).await;
    let port = outside.address().port();
    accept(&system, &connected, &message(&connected, "C0BEFORE", 1)).await;
    pool.wait_for(1).await;
    let addresses = [
        outside.address().to_string(),
        format!("[::ffff:127.0.0.1]:{}", pool.address().port()),
        format!("[::ffff:127.0.0.2]:{port}"),
        format!("0.0.0.0:{port}"),
        "169.254.169.254:80".to_owned(),
    ];
    for (number, address) in (2..).zip(&addresses) {
        seed::set(&system, Table::Pools, "pool-1", "podIp", address).await;
        let id = format!("outside-{number}-{}", random_hex(4));
        let body = message(&connected, &format!("C0{number}"), number).to_string();
        let request = slack::signed(&system, "/api/slack/events", &connected.signing_secret, body, system.clock.now());
        assert_eq!(send(request.header("x-request-id", &id)).await.status, 200);
        let failures = u64::from(number) - 1;
        eventually(address, async || system.counted(Metric::DeliveryFailed) == failures).await;
        let lines = system.logs.of_request(&id);
        let told = lines
            .iter()
            .any(|line| line["reason"].as_str().is_some_and(|reason| reason.contains("where pools may live")));
        assert!(told, "{address}: {lines:?}");
    }
    assert!(outside.seen().is_empty());
    assert_eq!(pool.seen().len(), 1);
    // The events wait and are delivered once the pool's address is back in its network.
    seed::set(&system, Table::Pools, "pool-1", "podIp", &pool.address().to_string()).await;
    system.clock.advance(Duration::from_secs(1));
    pool.wait_for(1 + addresses.len()).await;
    assert!(outside.seen().is_empty());
    system.shutdown().await;
}
