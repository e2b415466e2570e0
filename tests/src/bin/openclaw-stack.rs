//! The stack of `cargo local` as a process that `tests/openclaw/run` controls by JSON commands, one per line. They
//! create bots and channels and read rows, which the HTTP API does not offer.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is spoken to through")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    sync::Arc,
};

use aws_sdk_dynamodb::types::AttributeValue;
use portcullis_auth::FeishuSecrets;
use portcullis_local::{Options, Stack, stack::TABLE_PREFIX};
use portcullis_runtime::{
    Environment,
    logging::{self, Format, LineSink},
    settings::SettingsReader,
};
use portcullis_store::{
    BotReach, BotStatus, NewBot, NewDiscordChannel, NewFeishuChannel, NewSlackChannel, SigningSource, Store, Table,
};
use portcullis_tests::child::{Orders, Ready};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

/// A command. Each gets a reply of one line.
#[derive(Deserialize)]
#[serde(tag = "order", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Order {
    /// Creates a bot.
    Bot { bot: String, pool: String, model: String },
    /// Removes a bot from its pool's configuration.
    PauseBot { bot: String },
    /// Connects a Slack channel to a bot, or reconnects it with new credentials.
    Channel {
        channel: String,
        bot: String,
        team: String,
        app: String,
        bot_user: String,
        bot_token: SecretString,
        signing_secret: SecretString,
        delivery_secret: SecretString,
    },
    /// Connects a Discord application to a bot.
    Discord { channel: String, bot: String, app: String, bot_user: String, token: SecretString },
    /// Connects a Feishu app to a bot, by webhook.
    Feishu {
        channel: String,
        bot: String,
        app: String,
        bot_user: String,
        app_secret: SecretString,
        verification_token: SecretString,
    },
    /// Lists the keys of all sessions.
    Sessions,
    /// Returns the status that a pool reports.
    Pool { pool: String },
}

struct StandardError;

impl LineSink for StandardError {
    fn write_line(&self, line: &str) {
        eprintln!("{line}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let orders = lines.next_line().await?.ok_or("there are no orders on standard input")?;
    let orders: Orders = serde_json::from_str(&orders)?;
    logging::start(Format::Json, Arc::new(StandardError), None);
    let environment: BTreeMap<_, _> =
        orders.environment.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect();
    let mut options = Options::new(environment);
    options.data = orders.data;
    options.patience = orders.patience;
    options.delivery_patience = orders.patience;
    let stack = Stack::start(options).await?;
    println!("{}", serde_json::to_string(&Ready { base_url: stack.base_url() })?);
    let store = store(stack.environment()).await?;
    // The parent holds the other end of standard input, which also closes if the parent dies.
    while let Some(line) = lines.next_line().await? {
        let answer = match obey(&stack, &store, &line).await {
            Ok(answer) => answer,
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{answer}");
    }
    stack.shutdown().await;
    Ok(())
}

async fn store(environment: &Environment) -> Result<Store, Box<dyn Error>> {
    let settings = SettingsReader::new(environment);
    let store = settings.store_with_all_keys().await;
    Ok(settings.finish(|| store)?)
}

async fn obey(stack: &Stack, store: &Store, line: &str) -> Result<Value, Box<dyn Error>> {
    match serde_json::from_str(line)? {
        Order::Bot { bot, pool, model } => {
            let bot = NewBot {
                id: bot.parse()?,
                user: "user-1".parse().ok(),
                name: format!("Bot {bot}"),
                slug: bot,
                pool: Some(pool.parse()?),
                model_id: model,
                system_prompt: None,
                paused: false,
            };
            store.create_bot(bot).await?;
            Ok(json!({}))
        }
        Order::PauseBot { bot } => {
            store.set_bot_status(&bot.parse()?, BotStatus::Paused).await?;
            Ok(json!({}))
        }
        Order::Channel { channel, bot, team, app, bot_user, bot_token, signing_secret, delivery_secret } => {
            let channel = NewSlackChannel {
                id: channel.parse()?,
                bot: bot.parse()?,
                team_id: team.parse()?,
                app_id: app.parse()?,
                team_name: None,
                bot_user_id: Some(bot_user),
                bot_token: Some(bot_token.into()),
                signing: SigningSource::Own(signing_secret),
                delivery_secret: Some(delivery_secret),
            };
            let channel = store.connect_channel(BotReach::Any, channel).await?;
            Ok(json!({ "account": channel.account_id }))
        }
        Order::Discord { channel, bot, app, bot_user, token } => {
            let channel = NewDiscordChannel {
                id: channel.parse()?,
                bot: bot.parse()?,
                app_id: app.parse()?,
                guild_id: None,
                guild_name: None,
                bot_user_id: bot_user,
                bot_token: token,
            };
            let channel = store.connect_channel(BotReach::Any, channel).await?;
            Ok(json!({ "account": channel.account_id }))
        }
        Order::Feishu { channel, bot, app, bot_user, app_secret, verification_token } => {
            let channel = NewFeishuChannel {
                id: channel.parse()?,
                bot: bot.parse()?,
                app_id: app.parse()?,
                app_name: None,
                bot_user_id: Some(bot_user),
                app_secret,
                webhook: Some(FeishuSecrets::new(verification_token, None)),
            };
            let channel = store.connect_channel(BotReach::Any, channel).await?;
            Ok(json!({ "account": channel.account_id }))
        }
        Order::Sessions => Ok(json!({ "keys": session_keys(stack).await? })),
        Order::Pool { pool } => {
            let pool = store.get_pool(&pool.parse()?).await?.ok_or("there is no such pool")?;
            Ok(json!({
                "status": pool.status.as_str(),
                "openclawVersion": pool.openclaw_version,
                "configVersion": pool.config_version,
                "lastSeenVersion": pool.last_seen_version,
            }))
        }
    }
}

/// Session keys, by a scan of the whole table: a suite creates only a few.
async fn session_keys(stack: &Stack) -> Result<Vec<String>, Box<dyn Error>> {
    let client = aws_sdk_dynamodb::Client::new(&stack.environment().aws);
    let table = format!("{TABLE_PREFIX}{}", Table::ChatSessions.name());
    let rows = client.scan().table_name(table).consistent_read(true).send().await?;
    let key = |row: &HashMap<String, AttributeValue>| row.get("sessionKey")?.as_s().ok().cloned();
    // Only rows with a key are sessions; the others are lookup rows.
    Ok(rows.items().iter().filter_map(key).collect())
}
