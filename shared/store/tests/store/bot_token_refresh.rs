//! Refresh of bot tokens: the claim, and a replacement that comes too late.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis_auth::{Clock, PoolId};
use portcullis_store::{BotReach, BotToken, BotUpdate, Change, DueToken, PoolReach, REFRESH_CLAIM, Table};
use secrecy::ExposeSecret;

use crate::support::{World, bot, channel, hours, new_channel, pool, report, revisions};

const LIFE: Duration = Duration::from_hours(12);

fn issued(world: &World, text: &str) -> BotToken {
    BotToken::issued(text.into(), Some((LIFE, format!("refresh {text}").into())), world.clock.now())
}

async fn connect(world: &World, token: &str) {
    let mut new = new_channel("channel-1", "T1");
    new.bot_token = Some(issued(world, token));
    world.store.connect_channel(BotReach::Any, new).await.unwrap();
}

async fn due(world: &World) -> Vec<DueToken> {
    let read = world.store.pool_configuration(&pool(), PoolReach::Any).await.unwrap();
    world.store.due_tokens(&read.pool).await.unwrap()
}

/// A pool with a token that is due.
async fn with_due_token() -> (World, DueToken) {
    let world = World::with_bot().await;
    connect(&world, "one").await;
    assert!(due(&world).await.is_empty());
    world.clock.advance(hours(10));
    let [found] = due(&world).await.try_into().unwrap();
    assert_eq!(found.refresh_token.expose_secret(), "refresh one");
    (world, found)
}

#[tokio::test]
async fn a_due_token_is_replaced_by_one_of_any_number_that_find_it() {
    let (world, found) = with_due_token().await;
    let claims = join_all((0..8).map(|_| world.store.claim_token(&found))).await;
    let won: Vec<_> = claims.into_iter().filter_map(Result::unwrap).collect();
    let [claimed] = won.try_into().unwrap();
    assert!(due(&world).await.is_empty(), "nobody else finds it due meanwhile");
    let before =
        (revisions(&world).await, world.store.pool_configuration(&pool(), PoolReach::Any).await.unwrap().pool.revision);
    assert!(world.store.keep_refreshed(&claimed, &issued(&world, "two")).await.unwrap());
    let after =
        (revisions(&world).await, world.store.pool_configuration(&pool(), PoolReach::Any).await.unwrap().pool.revision);
    assert_eq!((after.0[2] - before.0[2], after.1 - before.1), (1, 1));
    // Idempotent: a repetition, as after a lost answer, changes nothing.
    assert!(!world.store.keep_refreshed(&claimed, &issued(&world, "three")).await.unwrap());
    assert_eq!(revisions(&world).await, after.0);
    world.clock.advance(hours(10));
    assert_eq!(due(&world).await[0].refresh_token.expose_secret(), "refresh two");
}

#[tokio::test]
async fn a_claim_that_nothing_came_of_ends() {
    let (world, found) = with_due_token().await;
    let late = world.store.claim_token(&found).await.unwrap().unwrap();
    world.clock.advance(jiff::Span::new().seconds(REFRESH_CLAIM.as_secs()));
    let [again] = due(&world).await.try_into().unwrap();
    let claimed = world.store.claim_token(&again).await.unwrap().unwrap();
    assert!(!world.store.keep_refreshed(&late, &issued(&world, "late")).await.unwrap(), "another has taken it on");
    assert!(world.store.keep_refreshed(&claimed, &issued(&world, "two")).await.unwrap());
}

#[tokio::test]
async fn a_replacement_that_comes_after_a_new_connection_or_an_end_is_dropped() {
    let (world, found) = with_due_token().await;
    let claimed = world.store.claim_token(&found).await.unwrap().unwrap();
    connect(&world, "anew").await;
    for late in [issued(&world, "two"), "one that does not end".into()] {
        assert!(!world.store.keep_refreshed(&claimed, &late).await.unwrap());
    }
    world.clock.advance(hours(12));
    let [found] = due(&world).await.try_into().unwrap();
    assert_eq!(found.refresh_token.expose_secret(), "refresh anew");
    let claimed = world.store.claim_token(&found).await.unwrap().unwrap();
    world.store.delete_channel(BotReach::Any, &channel()).await.unwrap();
    assert!(!world.store.keep_refreshed(&claimed, &issued(&world, "two")).await.unwrap());
    assert_eq!(world.count(Table::ChannelCredentials).await, 0, "nothing is left of it");
}

#[tokio::test]
async fn a_token_of_a_bot_that_moved_is_replaced_for_the_pool_that_it_is_in() {
    let (world, found) = with_due_token().await;
    let other: PoolId = "pool-2".parse().unwrap();
    world.store.register(&other, report(), PoolReach::Any).await.unwrap();
    let moved = BotUpdate { pool: Change::Set(other.clone()), ..BotUpdate::default() };
    world.store.update_bot(BotReach::Any, &bot(), &moved).await.unwrap();
    assert!(due(&world).await.is_empty(), "it is not the old pool's any more");
    let claimed = world.store.claim_token(&found).await.unwrap().unwrap();
    let revision = async || world.store.pool_configuration(&other, PoolReach::Any).await.unwrap().pool.revision;
    let before = revision().await;
    assert!(world.store.keep_refreshed(&claimed, &issued(&world, "two")).await.unwrap());
    assert_eq!(revision().await, before + 1);
}
