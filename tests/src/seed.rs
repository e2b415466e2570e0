//! Rows that tests put into a system before they begin.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use portcullis_auth::{BotId, ChannelId, PoolId};
use portcullis_store::{BotReach, NewBot, NewSlackChannel, PlatformId, SigningSource, Table};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;

use crate::{
    StandInPool, System,
    system::{random_hex, send},
};

/// A connected Slack channel of a bot in a pool.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The pool's id.
    pub pool: PoolId,
    /// The bot's id.
    pub bot: BotId,
    /// The channel's id.
    pub channel: ChannelId,
    /// Slack's id of the workspace.
    pub team: String,
    /// Slack's id of the app.
    pub app: String,
    /// Secret that Slack signs events with.
    pub signing_secret: String,
    /// Secret that Portcullis signs deliveries with.
    pub delivery_secret: String,
    /// Token with which the bot calls Slack.
    pub bot_token: String,
}

impl Connected {
    /// Path of deliveries at the pool.
    #[must_use]
    pub fn delivery_path(&self) -> String {
        format!("/slack/events/slack-{}-{}", self.app, self.team)
    }
}

/// Registers a pool through the API. Its last heartbeat stays fresh however far a test moves the clock.
pub async fn pool(system: &System, id: &str, address: Option<&str>) -> PoolId {
    let body = json!({ "poolId": id, "podIp": address });
    let answer = send(system.internal(Method::POST, "/api/internal/pools/register").json(&body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    set(system, Table::Pools, id, "lastSeenAt", "2100-01-01T00:00:00.000Z").await;
    id.parse().expect("a test's pool has a valid id")
}

/// Sets a text attribute of the row with this id, bypassing the functions.
pub async fn set(system: &System, table: Table, id: &str, attribute: &str, value: &str) {
    set_attribute(system, table, id, attribute, AttributeValue::S(value.to_owned())).await;
}

/// Sets a string-set attribute of the row with this id, bypassing the functions.
pub async fn set_texts(system: &System, table: Table, id: &str, attribute: &str, values: &[String]) {
    set_attribute(system, table, id, attribute, AttributeValue::Ss(values.to_vec())).await;
}

async fn set_attribute(system: &System, table: Table, id: &str, attribute: &str, value: AttributeValue) {
    let update = Client::new(&system.stack.environment().aws).update_item();
    let update = update.table_name(format!("portcullis-local-{}", table.name()));
    let update = update
        .key("id", AttributeValue::S(id.to_owned()))
        .update_expression("SET #attribute = :value")
        .condition_expression("attribute_exists(id)")
        .expression_attribute_names("#attribute", attribute)
        .expression_attribute_values(":value", value);
    update.send().await.expect("the row is there and is written");
}

/// Deletes a pool's row, bypassing the functions.
pub async fn delete_pool(system: &System, id: &str) {
    let delete = Client::new(&system.stack.environment().aws).delete_item();
    let delete = delete.table_name(format!("portcullis-local-{}", Table::Pools.name()));
    let delete = delete.key("id", AttributeValue::S(id.to_owned()));
    delete.send().await.expect("the row is deleted");
}

/// Creates a bot in a pool.
pub async fn bot(system: &System, id: &str, pool: &PoolId) -> BotId {
    let id: BotId = id.parse().expect("a test's bot has a valid id");
    let bot = NewBot {
        id: id.clone(),
        user: "user-1".parse().ok(),
        name: format!("Bot {id}"),
        slug: id.to_string(),
        pool: Some(pool.clone()),
        model_id: "a-model".to_owned(),
        system_prompt: None,
        paused: false,
    };
    system.store().create_bot(bot).await.expect("the bot is created");
    id
}

fn slack_id(text: &str) -> PlatformId {
    text.parse().expect("a test's Slack id is valid")
}

/// Creates a person's own bot `bot-ada`, in no pool, with the channel `channel-ada`.
pub async fn own_bot(system: &System, user: &str) {
    let store = system.store();
    let id: BotId = "bot-ada".parse().expect("a valid id");
    let bot = NewBot {
        id: id.clone(),
        user: user.parse().ok(),
        name: "Ada's bot".to_owned(),
        slug: "ada".to_owned(),
        pool: None,
        model_id: "a-model".to_owned(),
        system_prompt: None,
        paused: false,
    };
    store.create_bot(bot).await.expect("the bot is created");
    let channel = NewSlackChannel {
        id: "channel-ada".parse().expect("a valid id"),
        bot: id,
        team_id: slack_id("T0ADA"),
        app_id: slack_id("A0ADA"),
        team_name: Some("Ada's team".to_owned()),
        bot_user_id: None,
        bot_token: Some(format!("xoxb-{}", random_hex(12)).into()),
        signing: SigningSource::Own(SecretString::from(random_hex(16))),
        delivery_secret: None,
    };
    store.connect_channel(BotReach::Any, channel).await.expect("the channel is connected");
}

/// Connects a customer's own Slack app to a bot.
pub async fn channel(system: &System, id: &str, bot: &BotId, pool: &PoolId, team: &str, app: &str) -> Connected {
    let secret = random_hex(16);
    connect(system, id, bot, pool, team, app, secret, false).await
}

/// Connects the platform's own Slack app to a bot.
pub async fn platform_channel(system: &System, id: &str, bot: &BotId, pool: &PoolId, team: &str) -> Connected {
    let secret = system.settings.slack_signing_secret.clone();
    connect(system, id, bot, pool, team, "A0PLATFORM", secret, true).await
}

#[expect(clippy::too_many_arguments, reason = "a channel is made of these")]
async fn connect(
    system: &System,
    id: &str,
    bot: &BotId,
    pool: &PoolId,
    team: &str,
    app: &str,
    signing_secret: String,
    platform_app: bool,
) -> Connected {
    let connected = Connected {
        pool: pool.clone(),
        bot: bot.clone(),
        channel: id.parse::<ChannelId>().expect("a test's channel has a valid id"),
        team: team.to_owned(),
        app: app.to_owned(),
        signing_secret,
        delivery_secret: random_hex(32),
        bot_token: format!("not-a-real-token-{}", random_hex(8)),
    };
    let channel = NewSlackChannel {
        id: connected.channel.clone(),
        bot: bot.clone(),
        team_id: slack_id(team),
        app_id: slack_id(app),
        team_name: Some("A team".to_owned()),
        bot_user_id: Some("U0BOT".to_owned()),
        bot_token: Some(connected.bot_token.as_str().into()),
        signing: if platform_app {
            SigningSource::Platform
        } else {
            SigningSource::Own(SecretString::from(connected.signing_secret.as_str()))
        },
        delivery_secret: Some(SecretString::from(connected.delivery_secret.as_str())),
    };
    system.store().connect_channel(BotReach::Any, channel).await.expect("the channel is connected");
    connected
}

/// A pool that accepts deliveries, with a bot and a channel of a customer's own Slack app.
pub async fn connected(system: &System) -> (Connected, StandInPool) {
    let stand_in = StandInPool::start().await;
    let pool = pool(system, "pool-1", Some(&stand_in.address().to_string())).await;
    let bot = bot(system, "bot-1", &pool).await;
    let connected = channel(system, "channel-1", &bot, &pool, "T0ONE", "A0ONE").await;
    (connected, stand_in)
}
