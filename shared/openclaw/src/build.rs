//! From records to a configuration.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_auth::{BotId, ChannelId};
use serde_json::{Map, Value, json};

use crate::{
    GATEWAY_PORT,
    escape::escaped,
    reference::{CredentialKind, Reference},
    stored::{Configuration, Texts},
};

/// What a pool's configuration is built from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRecords {
    /// Its active bots.
    pub bots: Vec<BotRecord>,
    /// The models that all of them speak through; where absent, each model's id names its own provider.
    pub lite_llm: Option<LiteLlm>,
}

/// An active bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotRecord {
    /// Its id.
    pub id: BotId,
    /// Its name, as people read it.
    pub name: String,
    /// The model that it speaks with.
    pub model: String,
    /// What its owner tells the model.
    pub system_prompt: Option<String>,
    /// Its connected channels.
    pub channels: Vec<ChannelRecord>,
}

/// A connected channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Its id.
    pub id: ChannelId,
    /// The account under which the pool knows it; no two channels of a pool share one.
    pub account: String,
    /// Where it is.
    pub platform: Platform,
    /// The credentials that it has, with their revisions.
    pub credentials: BTreeMap<CredentialKind, u64>,
}

/// Where a channel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Slack, whose events come to the pool over HTTP, signed with the delivery secret.
    Slack,
    /// Discord, which the pool connects to.
    Discord {
        /// The application's id.
        application_id: String,
    },
    /// Feishu, which the pool connects to.
    Feishu {
        /// The app's id.
        app_id: String,
    },
}

impl Platform {
    /// What `OpenClaw` calls it.
    fn name(&self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord { .. } => "discord",
            Self::Feishu { .. } => "feishu",
        }
    }
}

/// Models by way of `LiteLLM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteLlm {
    /// Where it listens.
    pub base_url: String,
    /// Tells one key from another, and nothing of either.
    pub key_revision: u64,
}

/// What `OpenClaw` calls the provider of [`LiteLlm`]'s models.
const LITE_LLM: &str = "litellm";

/// Builds a pool's configuration. The order of bots and channels makes no difference to it.
#[must_use]
pub fn build(records: &PoolRecords) -> Configuration {
    let mut bots: Vec<_> = records.bots.iter().collect();
    bots.sort_by(|one, other| one.id.cmp(&other.id));
    let ids: Vec<_> = bots.iter().map(|bot| bot.id.agent_id()).collect();
    let agents: Vec<_> = ids.into_iter().zip(bots).collect();
    let mut texts = Texts::default();
    let mut config = json!({
        "gateway": gateway(),
        "agents": { "entries": entries(&agents, records.lite_llm.is_some()) },
        "session": { "dmScope": "per-channel-peer" },
        // What changes the machine or its configuration is not for whoever writes to a bot.
        "commands": {
            "native": "auto", "text": true, "bash": false, "config": false, "mcp": false, "plugins": false,
            "debug": false, "restart": false,
        },
        "skills": { "load": { "watch": true }, "install": { "allowUploadedArchives": false } },
        "bindings": bindings(&agents),
        "channels": channels(&agents, &mut texts),
    });
    if let Some(lite_llm) = &records.lite_llm {
        config["models"] = models(lite_llm, &agents);
    }
    let agents = agents.into_iter().map(|(id, bot)| (id, bot.id.clone())).collect();
    Configuration { config, texts: texts.into_inner(), agents }
}

/// It listens where the relay's deliveries reach it, so it asks for a token and has no pages.
fn gateway() -> Value {
    json!({
        "mode": "local",
        "port": GATEWAY_PORT,
        "bind": "lan",
        "auth": { "mode": "token", "token": Reference::Gateway.placed() },
        "controlUi": { "enabled": false },
    })
}

fn entries(agents: &[(String, &BotRecord)], through_lite_llm: bool) -> Value {
    let entries = agents.iter().enumerate().map(|(index, (id, bot))| {
        let model = if through_lite_llm { format!("{LITE_LLM}/{}", bot.model) } else { bot.model.clone() };
        let mut entry = json!({
            "name": escaped(&bot.name),
            "model": escaped(&model),
            // The one expansion that is meant: an agent's id holds nothing that could be another.
            "workspace": format!("${{OPENCLAW_STATE_DIR}}/workspaces/{id}"),
        });
        if index == 0 {
            entry["default"] = json!(true);
        }
        (id.clone(), entry)
    });
    Value::Object(entries.collect())
}

fn models(lite_llm: &LiteLlm, agents: &[(String, &BotRecord)]) -> Value {
    let ids: BTreeSet<_> = agents.iter().map(|(_, bot)| escaped(&bot.model)).collect();
    let models: Vec<_> = ids.iter().map(|id| json!({ "id": id, "name": id })).collect();
    let key = Reference::LiteLlm { revision: lite_llm.key_revision };
    json!({
        "mode": "replace",
        "providers": {
            LITE_LLM: {
                "baseUrl": escaped(&lite_llm.base_url),
                "apiKey": key.placed(),
                "api": "openai-completions",
                "models": models,
            },
        },
    })
}

/// The channels with their agents, in the order of their accounts.
fn accounts<'a>(
    agents: &'a [(String, &'a BotRecord)],
) -> impl Iterator<Item = (&'a str, &'a BotRecord, &'a ChannelRecord)> {
    let all = agents.iter().flat_map(|(id, bot)| bot.channels.iter().map(|channel| (id.as_str(), *bot, channel)));
    let mut all: Vec<_> = all.collect();
    all.sort_by(|one, other| (&one.2.account, &one.2.id).cmp(&(&other.2.account, &other.2.id)));
    all.into_iter()
}

fn bindings(agents: &[(String, &BotRecord)]) -> Value {
    let bindings = accounts(agents).map(|(agent, _, channel)| {
        let account = escaped(&channel.account);
        json!({ "agentId": agent, "match": { "channel": channel.platform.name(), "accountId": account } })
    });
    Value::Array(bindings.collect())
}

fn channels(agents: &[(String, &BotRecord)], texts: &mut Texts) -> Value {
    let mut prompts: BTreeMap<&str, Value> = BTreeMap::new();
    for (agent, bot) in agents {
        if let Some(prompt) = &bot.system_prompt {
            prompts.insert(agent, texts.place(prompt));
        }
    }
    let mut channels: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (agent, bot, channel) in accounts(agents) {
        let accounts = channels.entry(channel.platform.name()).or_default();
        accounts.insert(escaped(&channel.account), account(bot, channel, prompts.get(agent)));
    }
    let mut value = json!({});
    for (name, accounts) in channels {
        value[name] = match name {
            // What the schema asks of the platform as a whole; each account says the same of itself.
            "slack" => json!({
                "enabled": true, "mode": "http", "webhookPath": "/slack/events", "postAs": "bot",
                "userTokenReadOnly": true, "dmPolicy": "open", "allowFrom": ["*"], "groupPolicy": "open",
                "accounts": accounts,
            }),
            "discord" => json!({
                "enabled": true, "dmPolicy": "open", "allowFrom": ["*"], "groupPolicy": "open", "accounts": accounts,
            }),
            _ => json!({ "enabled": true, "accounts": accounts }),
        };
    }
    value
}

/// Whoever is in a workspace may write to its bot; in a channel it answers where it is mentioned.
fn account(bot: &BotRecord, channel: &ChannelRecord, prompt: Option<&Value>) -> Value {
    let credential = |kind| {
        let revision = *channel.credentials.get(&kind)?;
        Some(Reference::Channel { channel: channel.id.clone(), kind, revision }.placed())
    };
    let mut account = json!({
        "enabled": true, "name": escaped(&bot.name), "dmPolicy": "open", "allowFrom": ["*"], "groupPolicy": "open",
    });
    let with_prompt = |mut value: Value| {
        if let Some(prompt) = prompt {
            value["systemPrompt"] = prompt.clone();
        }
        value
    };
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            account[name] = value;
        }
    };
    let anywhere = with_prompt(json!({ "requireMention": true }));
    match &channel.platform {
        Platform::Slack => {
            set("mode", Some(json!("http")));
            set("webhookPath", Some(json!(format!("/slack/events/{}", escaped(&channel.account)))));
            set("botToken", credential(CredentialKind::BotToken));
            set("signingSecret", credential(CredentialKind::DeliverySecret));
            set("channels", Some(json!({ "*": anywhere })));
        }
        Platform::Discord { application_id } => {
            set("applicationId", Some(json!(escaped(application_id))));
            set("token", credential(CredentialKind::BotToken));
            set("guilds", Some(json!({ "*": { "requireMention": true, "channels": { "*": anywhere } } })));
        }
        Platform::Feishu { app_id } => {
            set("appId", Some(json!(escaped(app_id))));
            set("appSecret", credential(CredentialKind::BotToken));
            set("verificationToken", credential(CredentialKind::VerificationToken));
            set("connectionMode", Some(json!("websocket")));
            set("groups", Some(json!({ "*": anywhere })));
            set("dms", prompt.map(|_| json!({ "*": with_prompt(json!({})) })));
        }
    }
    account
}
