//! Rows that the database holds before the measurement.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use portcullis_auth::{BotId, ChannelId, PoolId};
use portcullis_crypto::Keyring;
use portcullis_runtime::{SystemClock, SystemRandomness};
use portcullis_store::{
    BotReach, FixedKeys, NewBot, NewSlackChannel, PoolReach, PoolReport, PoolStatus, Scope, SecretChange,
    SigningSource, Store,
};
use portcullis_tests::system::random_hex;
use secrecy::SecretString;

use crate::{
    Failure,
    stack::{DatabaseAddress, TABLE_PREFIX},
};

pub const POOL: &str = "pool-1";
pub const SKILL: &str = "maps";
pub const TEAM: &str = "T0FIGURES";
pub const APP: &str = "A0FIGURES";

/// Number of secrets that a skill reads; half of them are the whole pool's.
pub const SECRETS: usize = 10;

/// A store on a database that was started with these settings.
fn store(settings: &BTreeMap<String, String>, database: &DatabaseAddress) -> Result<Store, Failure> {
    let key = settings.get("ENCRYPTION_KEY").ok_or("ENCRYPTION_KEY is not set")?;
    let keys = Arc::new(FixedKeys::derived_from(&Keyring::from_single_key(key)?));
    let client = portcullis_store::client(&database.sdk_config());
    Ok(Store::new(client, TABLE_PREFIX, keys, Arc::new(SystemClock), Arc::new(SystemRandomness)))
}

/// Creates a pool at `address` with a bot, a connected Slack channel and a skill's secrets. Returns Slack's signing
/// secret.
pub async fn fill(
    settings: &BTreeMap<String, String>,
    database: &DatabaseAddress,
    address: SocketAddr,
) -> Result<String, Failure> {
    let store = store(settings, database)?;
    let (pool, bot): (PoolId, BotId) = (POOL.parse()?, "bot-1".parse()?);
    let report = PoolReport { status: PoolStatus::Active, address: Some(address.to_string().parse()?), openclaw: None };
    store.register(&pool, report, PoolReach::Any).await?;
    let change = |number: usize| {
        let scope = if number < SECRETS / 2 { Scope::Pool } else { Scope::Skill(SKILL.parse()?) };
        let value = Some(SecretString::from(random_hex(20)));
        Ok::<_, Failure>(SecretChange { scope, name: format!("SECRET_{number}").parse()?, value })
    };
    let changes = (0..SECRETS).map(change).collect::<Result<Vec<_>, _>>()?;
    store.put_secrets(&pool, &changes).await?;
    let new_bot = NewBot {
        id: bot.clone(),
        user: "user-1".parse().ok(),
        name: "Bot".to_owned(),
        slug: "bot-1".to_owned(),
        pool: Some(pool),
        model_id: "a-model".to_owned(),
        system_prompt: None,
        paused: false,
    };
    store.create_bot(new_bot).await?;
    let signing_secret = random_hex(16);
    let channel = NewSlackChannel {
        id: "channel-1".parse::<ChannelId>()?,
        bot,
        team_id: TEAM.parse()?,
        app_id: APP.parse()?,
        team_name: None,
        bot_user_id: None,
        bot_token: None,
        signing: SigningSource::Own(SecretString::from(signing_secret.as_str())),
        delivery_secret: Some(SecretString::from(random_hex(32))),
    };
    store.connect_channel(BotReach::Any, channel).await?;
    Ok(signing_secret)
}

/// Creates a pool with this many bots, each with a connected Slack channel, and returns its id.
pub async fn pool_of(
    settings: &BTreeMap<String, String>,
    database: &DatabaseAddress,
    bots: usize,
) -> Result<PoolId, Failure> {
    let store = store(settings, database)?;
    let pool: PoolId = format!("pool-of-{bots}").parse()?;
    store
        .register(&pool, PoolReport { status: PoolStatus::Active, address: None, openclaw: None }, PoolReach::Any)
        .await?;
    for number in 0..bots {
        let bot: BotId = format!("bot-{number}-of-{bots}").parse()?;
        let new_bot = NewBot {
            id: bot.clone(),
            // A separate owner per pool: an owner has at most 50 bots.
            user: format!("owner-of-{bots}").parse().ok(),
            name: format!("Bot {number}"),
            slug: bot.to_string(),
            pool: Some(pool.clone()),
            model_id: "a-model".to_owned(),
            system_prompt: Some("You help people with what they ask for, and say so where you cannot.".to_owned()),
            paused: false,
        };
        store.create_bot(new_bot).await?;
        let secret = || SecretString::from(random_hex(32));
        let channel = NewSlackChannel {
            id: format!("channel-{number}-of-{bots}").parse::<ChannelId>()?,
            bot,
            team_id: format!("T{bots}X{number}").parse()?,
            app_id: APP.parse()?,
            team_name: None,
            bot_user_id: None,
            bot_token: Some(secret().into()),
            signing: SigningSource::Own(secret()),
            delivery_secret: Some(secret()),
        };
        store.connect_channel(BotReach::Any, channel).await?;
    }
    Ok(pool)
}
