//! Builds a configuration from records.

#![expect(clippy::indexing_slicing, reason = "the values are JSON objects that are built here")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::{
    Dialect, GATEWAY_PORT, StateDir,
    escape::escaped,
    records::{BotRecord, ChannelRecord, LiteLlm, PlatformApp, PoolRecords},
    reference::{CredentialKind, Reference},
    stored::{Configuration, Texts},
};

/// Name of [`LiteLlm`]'s provider in `OpenClaw`'s configuration.
const LITE_LLM: &str = "litellm";

/// Builds a pool's configuration in the dialect that its `OpenClaw` reads. The order of bots and channels makes no
/// difference. A channel that lacks a required credential is left out, because one such account makes `OpenClaw` reject
/// the whole configuration.
#[must_use]
pub fn build(records: &PoolRecords, dialect: Dialect, state_dir: &StateDir) -> Configuration {
    let mut bots: Vec<_> = records.bots.iter().collect();
    bots.sort_by(|one, other| one.id.cmp(&other.id));
    let all = || records.bot_ids.iter().chain(records.bots.iter().map(|bot| &bot.id));
    let agents: Vec<_> = bots.into_iter().map(|bot| (bot.id.agent_id(all()), bot)).collect();
    let mut texts = Texts::default();
    let mut config = json!({
        "gateway": gateway(),
        "agents": match dialect {
            Dialect::List => list(&agents, records, state_dir),
            Dialect::Entries => entries(&agents, records),
        },
        "session": { "dmScope": "per-channel-peer" },
        // Commands that change the machine or its configuration stay off: everybody who writes to a bot could use them.
        "commands": {
            "native": "auto", "text": true, "bash": false, "config": false, "debug": false, "restart": false,
        },
        "skills": { "load": { "watch": true } },
        "bindings": bindings(&agents),
        "channels": channels(&agents, dialect, &mut texts),
        "plugins": { "entries": plugins(&agents) },
        // The operator decides which version runs.
        "update": { "checkOnStart": false },
    });
    if let Some(lite_llm) = &records.lite_llm {
        config["models"] = models(lite_llm, &agents);
    }
    if dialect == Dialect::Entries {
        add_later_keys(&mut config, records);
    }
    let agents = agents.into_iter().map(|(id, bot)| (id, bot.id.clone())).collect();
    Configuration { config, texts: texts.into_inner(), agents }
}

/// Adds the keys that [`Dialect::List`] does not know, except those of agents and accounts.
fn add_later_keys(config: &mut Value, records: &PoolRecords) {
    config["commands"]["mcp"] = json!(false);
    config["commands"]["plugins"] = json!(false);
    config["skills"]["install"] = json!({ "allowUploadedArchives": false });
    // The control plane lists the models: without this, a hosted catalogue is fetched at each start.
    config["models"]["catalogRefresh"] = json!({ "enabled": false });
    // Keyword search only: no embedding provider is configured, and recall fails if the default one has no key.
    config["memory"] = json!({ "search": { "provider": "none" } });
    if records.lite_llm.is_some() && !records.bots.is_empty() {
        config["plugins"]["entries"][LITE_LLM] = json!({ "enabled": true });
    }
}

/// Gateway section. The gateway listens where the relay's deliveries reach it, so it requires a token and has no pages.
/// An address that is not loopback needs explicit origins, even if a runtime drops `enabled` on the way to the file.
fn gateway() -> Value {
    let origins = ["localhost", "127.0.0.1"].map(|host| format!("http://{host}:{GATEWAY_PORT}"));
    json!({
        "mode": "local",
        "port": GATEWAY_PORT,
        "bind": "lan",
        "auth": { "mode": "token", "token": Reference::Gateway.placed() },
        "controlUi": { "enabled": false, "allowedOrigins": origins },
    })
}

/// Agents in [`Dialect::List`]. Workspaces are absolute, since runtimes of that age take them literally.
fn list(agents: &[(String, &BotRecord)], records: &PoolRecords, state_dir: &StateDir) -> Value {
    let list = agents.iter().enumerate().map(|(index, (id, bot))| {
        let mut agent = json!({
            "id": id,
            "name": escaped(&bot.name),
            "model": model(bot, records),
            "workspace": format!("{}/workspaces/{id}", escaped(state_dir.as_str())),
        });
        if index == 0 {
            agent["default"] = json!(true);
        }
        agent
    });
    json!({ "list": list.collect::<Vec<_>>() })
}

/// Agents in [`Dialect::Entries`]. The first of several agents owns everything without a binding; a lone one owns it
/// implicitly.
fn entries(agents: &[(String, &BotRecord)], records: &PoolRecords) -> Value {
    let entries = agents.iter().map(|(id, bot)| {
        let entry = json!({
            "name": escaped(&bot.name),
            "model": model(bot, records),
            // The only intended expansion: an agent's id cannot contain another one.
            "workspace": format!("${{OPENCLAW_STATE_DIR}}/workspaces/{id}"),
        });
        (id.clone(), entry)
    });
    let mut value = json!({ "entries": entries.collect::<Map<_, _>>() });
    if let Some((first, bot)) = agents.first() {
        value["defaults"] = json!({ "model": { "primary": model(bot, records) } });
        if agents.len() > 1 {
            value["ownership"] = json!("explicit");
            value["defaults"]["heartbeat"] = json!({ "agentId": first });
            value["defaults"]["systemAgent"] = json!({ "agentId": first });
        }
    }
    value
}

/// Plugins of the platforms. `OpenClaw` does not load an installed plugin that is not named here.
fn plugins(agents: &[(String, &BotRecord)]) -> Value {
    let entries =
        accounts(agents).map(|(_, _, channel)| (channel.platform.name().to_owned(), json!({ "enabled": true })));
    Value::Object(entries.collect())
}

fn model(bot: &BotRecord, records: &PoolRecords) -> String {
    match records.lite_llm {
        Some(_) => escaped(&format!("{LITE_LLM}/{}", bot.model)),
        None => escaped(&bot.model),
    }
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

/// Whether the account has all credentials that `OpenClaw` requires.
fn is_complete(channel: &ChannelRecord) -> bool {
    let required: &[CredentialKind] = match channel.platform {
        PlatformApp::Slack | PlatformApp::Feishu { webhook_port: Some(_), .. } => {
            &[CredentialKind::BotToken, CredentialKind::DeliverySecret]
        }
        PlatformApp::Discord { .. } | PlatformApp::Feishu { webhook_port: None, .. } => &[CredentialKind::BotToken],
    };
    required.iter().all(|kind| channel.credentials.contains_key(kind))
}

/// Complete channels with their agents, ordered by account.
fn accounts<'a>(
    agents: &'a [(String, &'a BotRecord)],
) -> impl Iterator<Item = (&'a str, &'a BotRecord, &'a ChannelRecord)> {
    let all = agents.iter().flat_map(|(id, bot)| bot.channels.iter().map(|channel| (id.as_str(), *bot, channel)));
    let mut all: Vec<_> = all.filter(|(_, _, channel)| is_complete(channel)).collect();
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

fn channels(agents: &[(String, &BotRecord)], dialect: Dialect, texts: &mut Texts) -> Value {
    let mut prompts: BTreeMap<&str, Value> = BTreeMap::new();
    for (agent, bot) in agents {
        if let Some(prompt) = &bot.system_prompt {
            prompts.insert(agent, texts.place(prompt));
        }
    }
    let mut channels: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (agent, bot, channel) in accounts(agents) {
        let accounts = channels.entry(channel.platform.name()).or_default();
        accounts.insert(channel.account.clone(), account(bot, channel, dialect, prompts.get(agent)));
    }
    let platforms = channels.into_iter().map(|(name, accounts)| {
        let mut platform = json!({ "enabled": true });
        if accounts.len() > 1 {
            // Explicit default for requests that name no account: the one that `OpenClaw` would fall back to.
            platform["defaultAccount"] = json!(accounts.keys().next().map(|account| escaped(account)));
        }
        platform["accounts"] = Value::Object(accounts);
        (name.to_owned(), platform)
    });
    Value::Object(platforms.collect())
}

/// Everybody in a workspace may write to its bot; in a channel the bot answers when it is mentioned.
fn account(bot: &BotRecord, channel: &ChannelRecord, dialect: Dialect, prompt: Option<&Value>) -> Value {
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
        PlatformApp::Slack => {
            set("mode", Some(json!("http")));
            set("webhookPath", Some(json!(format!("/slack/events/{}", escaped(&channel.account)))));
            set("botToken", credential(CredentialKind::BotToken));
            set("signingSecret", credential(CredentialKind::DeliverySecret));
            // Group direct messages are refused otherwise.
            set("dm", Some(json!({ "groupEnabled": true })));
            set("channels", Some(json!({ "*": anywhere })));
        }
        PlatformApp::Discord { application_id } => {
            set("applicationId", (dialect != Dialect::List).then(|| json!(escaped(application_id))));
            set("token", credential(CredentialKind::BotToken));
            set("guilds", Some(json!({ "*": { "requireMention": true, "channels": { "*": anywhere } } })));
        }
        PlatformApp::Feishu { app_id, webhook_port } => {
            set("appId", Some(json!(escaped(app_id))));
            set("appSecret", credential(CredentialKind::BotToken));
            match webhook_port {
                None => set("connectionMode", Some(json!("websocket"))),
                Some(port) => {
                    set("connectionMode", Some(json!("webhook")));
                    // Listens on all addresses, since the relay is on another machine.
                    set("webhookHost", Some(json!("0.0.0.0")));
                    set("webhookPort", Some(json!(port)));
                    set("webhookPath", Some(json!(format!("/feishu/events/{}", escaped(&channel.account)))));
                    set("encryptKey", credential(CredentialKind::DeliverySecret));
                    // Required, but ignored when an encrypt key is set: so Feishu's own token is not given to the pool.
                    set("verificationToken", credential(CredentialKind::DeliverySecret));
                }
            }
            set("groups", Some(json!({ "*": anywhere })));
            set("dms", prompt.map(|_| json!({ "*": with_prompt(json!({})) })));
        }
    }
    account
}
