//! Tests of the builder's output against `OpenClaw`'s own schema.
//!
//! `openclaw-2026.9.6.schema.json` is the output of `openclaw config schema` of the npm package `openclaw` 2026.9.6
//! (MIT), trimmed to the channels that are built here.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::collections::BTreeMap;

use portcullis_crypto::Digest;
use portcullis_openclaw::{
    BotRecord, ChannelRecord, Configuration, CredentialKind, Dialect, InvalidConfiguration, LiteLlm, MissingCredential,
    PlatformApp, PoolRecords, Reference, StateDir,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("openclaw-2026.9.6.schema.json");

/// Maximum bytes of a configuration in a row.
const ROW: usize = 380_000;

fn schema() -> jsonschema::Validator {
    let mut schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    // The plugins' schemas have references that do not resolve here: `tests/openclaw/validate` checks those.
    assert!(schema["properties"]["plugins"].is_object());
    schema["properties"]["plugins"] = json!({ "type": "object" });
    forget_required_defaults(&mut schema);
    jsonschema::validator_for(&schema).expect("the schema is one")
}

/// Makes properties with defaults optional: the schema is for a configuration with its defaults filled in.
fn forget_required_defaults(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        let properties = object.get("properties").cloned().unwrap_or_default();
        if let Some(required) = object.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| properties[name.as_str().unwrap_or_default()].get("default").is_none());
        }
        object.values_mut().for_each(forget_required_defaults);
    } else if let Some(values) = schema.as_array_mut() {
        values.iter_mut().for_each(forget_required_defaults);
    }
}

fn assert_valid(schema: &jsonschema::Validator, config: &Value) {
    let errors: Vec<_> =
        schema.iter_errors(config).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:.2000?}");
}

fn channel(id: &str, account: &str, platform: PlatformApp) -> ChannelRecord {
    let kinds = match platform {
        PlatformApp::Slack | PlatformApp::Feishu { webhook_port: Some(_), .. } => {
            vec![CredentialKind::BotToken, CredentialKind::DeliverySecret]
        }
        PlatformApp::Discord { .. } | PlatformApp::Feishu { webhook_port: None, .. } => vec![CredentialKind::BotToken],
    };
    let credentials = kinds.into_iter().map(|kind| (kind, 1)).collect();
    ChannelRecord { id: id.parse().expect("an id"), account: account.to_owned(), platform, credentials }
}

fn bot(id: &str, channels: Vec<ChannelRecord>) -> BotRecord {
    BotRecord {
        id: id.parse().expect("an id"),
        name: format!("Bot {id}"),
        model: "a-model".to_owned(),
        system_prompt: Some("You help.".to_owned()),
        channels,
    }
}

/// One bot on each platform.
fn small() -> PoolRecords {
    let discord = PlatformApp::Discord { application_id: "1234567890".to_owned() };
    let feishu = PlatformApp::Feishu { app_id: "cli_a1b2".to_owned(), webhook_port: None };
    let by_webhook = PlatformApp::Feishu { app_id: "cli_a1b3".to_owned(), webhook_port: Some(20_001) };
    PoolRecords {
        bots: vec![
            bot(
                "bot-2",
                vec![
                    channel("c-3", "discord-1", discord),
                    channel("c-4", "feishu-1", feishu),
                    channel("c-5", "feishu-2", by_webhook),
                ],
            ),
            bot(
                "Bot-1",
                vec![
                    channel("c-2", "slack-A2-T2", PlatformApp::Slack),
                    channel("c-1", "slack-A1-T1", PlatformApp::Slack),
                ],
            ),
        ],
        bot_ids: Vec::new(),
        lite_llm: None,
    }
}

/// Incompressible text: digits of a digest.
fn noise(seed: &str, length: usize) -> String {
    let mut text = String::new();
    for block in 0.. {
        if text.len() >= length {
            break;
        }
        text.push_str(&Digest::of(format!("{seed} {block}").as_bytes()).to_hex());
    }
    text.truncate(length);
    text
}

/// 50 bots with 20 channels each, and prompts of 4 KB.
fn large() -> PoolRecords {
    let bots = (0..50).map(|number| {
        let name = format!("{number}");
        let channels = (0..20).map(|channel_number| {
            let seed = format!("{number} {channel_number}");
            let account = format!("slack-A{}-T{}", noise(&seed, 10).to_uppercase(), noise(&name, 10).to_uppercase());
            channel(&noise(&seed, 32), &account, PlatformApp::Slack)
        });
        let prompt = Some(noise(&format!("prompt {number}"), 4096));
        BotRecord { system_prompt: prompt, ..bot(&noise(&name, 32), channels.collect()) }
    });
    PoolRecords { bots: bots.collect(), ..PoolRecords::default() }
}

fn build_in(dialect: Dialect, records: &PoolRecords) -> Configuration {
    portcullis_openclaw::build(records, dialect, &StateDir::default())
}

fn build(records: &PoolRecords) -> Configuration {
    build_in(Dialect::Entries, records)
}

fn filled(configuration: &Configuration) -> Value {
    configuration.fill(&|_| Some("a credential")).expect("each has one")
}

#[test]
fn a_built_configuration_is_valid_for_openclaw() {
    let schema = schema();
    let lite_llm = Some(LiteLlm { base_url: "https://models.example.com/v1".to_owned(), key_revision: 7 });
    for records in [PoolRecords::default(), small(), large()] {
        for lite_llm in [None, lite_llm.clone()] {
            let configuration = build(&PoolRecords { lite_llm, ..records.clone() });
            assert_valid(&schema, &filled(&configuration));
        }
    }
    // The schema does reject something.
    let mut config = filled(&build(&small()));
    config["commands"]["ownerDisplay"] = json!("raw");
    assert!(!schema.is_valid(&config));
}

#[test]
fn a_small_pools_configuration_is_this() {
    let config = filled(&build(&small()));
    assert_eq!(
        config["gateway"],
        json!({
            "mode": "local", "port": 18789, "bind": "lan", "auth": { "mode": "token", "token": "a credential" },
            "controlUi": {
                "enabled": false, "allowedOrigins": ["http://localhost:18789", "http://127.0.0.1:18789"],
            },
        })
    );
    assert_eq!(config["session"]["dmScope"], "per-channel-peer");
    assert_eq!(
        config["agents"],
        json!({
            "ownership": "explicit",
            "defaults": {
                "model": { "primary": "a-model" },
                "heartbeat": { "agentId": "bot-1" },
                "systemAgent": { "agentId": "bot-1" },
            },
            "entries": {
                "bot-1": {
                    "name": "Bot Bot-1", "model": "a-model", "workspace": "${OPENCLAW_STATE_DIR}/workspaces/bot-1",
                },
                "bot-2": {
                    "name": "Bot bot-2", "model": "a-model", "workspace": "${OPENCLAW_STATE_DIR}/workspaces/bot-2",
                },
            },
        })
    );
    assert_eq!(
        config["channels"]["slack"]["accounts"]["slack-A1-T1"],
        json!({
            "enabled": true, "name": "Bot Bot-1", "dmPolicy": "open", "allowFrom": ["*"], "groupPolicy": "open",
            "mode": "http", "webhookPath": "/slack/events/slack-A1-T1", "botToken": "a credential",
            "signingSecret": "a credential", "dm": { "groupEnabled": true },
            "channels": { "*": { "requireMention": true, "systemPrompt": "You help." } },
        })
    );
    let bound = |agent: &str, channel: &str, account: &str| json!({ "agentId": agent, "match": { "channel": channel, "accountId": account } });
    assert_eq!(
        config["bindings"],
        json!([
            bound("bot-2", "discord", "discord-1"),
            bound("bot-2", "feishu", "feishu-1"),
            bound("bot-2", "feishu", "feishu-2"),
            bound("bot-1", "slack", "slack-A1-T1"),
            bound("bot-1", "slack", "slack-A2-T2"),
        ])
    );
    let enabled = json!({ "enabled": true });
    assert_eq!(config["plugins"], json!({ "entries": { "slack": enabled, "discord": enabled, "feishu": enabled } }));
    assert!(!config.to_string().contains("dangerously"));
}

#[test]
fn an_older_openclaw_gets_a_list_with_absolute_workspaces() {
    let config = filled(&build_in(Dialect::List, &small()));
    let agent = |id: &str, name: &str| json!({ "id": id, "name": name, "model": "a-model", "workspace": format!("/data/openclaw/workspaces/{id}") });
    let mut first = agent("bot-1", "Bot Bot-1");
    first["default"] = json!(true);
    assert_eq!(config["agents"], json!({ "list": [first, agent("bot-2", "Bot bot-2")] }));
    let later = ["memory", "models"];
    assert!(later.iter().all(|key| config.get(key).is_none()), "{config}");
    assert_eq!((config["commands"].get("mcp"), config["skills"].get("install")), (None, None));
    let mut newer = filled(&build(&small()));
    newer["channels"]["discord"]["accounts"]["discord-1"].as_object_mut().unwrap().remove("applicationId");
    for same in ["gateway", "session", "bindings", "channels", "plugins"] {
        assert_eq!(config[same], newer[same], "{same}");
    }
}

#[test]
fn a_lone_bot_needs_no_owner_and_no_bot_no_model() {
    let mut records = small();
    records.bots.truncate(1);
    let agents = &filled(&build(&records))["agents"];
    assert_eq!(agents["defaults"], json!({ "model": { "primary": "a-model" } }));
    assert_eq!(agents.get("ownership"), None);
    assert!(!agents.to_string().contains("default\""), "{agents}");
    assert_eq!(filled(&build(&PoolRecords::default()))["agents"], json!({ "entries": {} }));
}

#[test]
fn a_platform_holds_its_accounts_alone() {
    for dialect in Dialect::ALL {
        let config = filled(&build_in(dialect, &small()));
        for (name, platform) in config["channels"].as_object().unwrap() {
            let keys: Vec<_> = platform.as_object().unwrap().keys().map(String::as_str).collect();
            let several = platform["accounts"].as_object().unwrap().len() > 1;
            let expected: &[_] =
                if several { &["accounts", "defaultAccount", "enabled"] } else { &["accounts", "enabled"] };
            assert_eq!(keys, expected, "{name}");
            let first = if name == "feishu" { "feishu-1" } else { "slack-A1-T1" };
            assert!(!several || platform["defaultAccount"] == first, "{name}");
        }
    }
}

#[test]
fn a_channel_without_a_required_credential_is_left_out() {
    for dialect in Dialect::ALL {
        for (bot, channel, kind, platform, account) in [
            (1, 1, CredentialKind::BotToken, "slack", "slack-A1-T1"),
            (1, 1, CredentialKind::DeliverySecret, "slack", "slack-A1-T1"),
            (0, 0, CredentialKind::BotToken, "discord", "discord-1"),
            (0, 1, CredentialKind::BotToken, "feishu", "feishu-1"),
            (0, 2, CredentialKind::BotToken, "feishu", "feishu-2"),
            (0, 2, CredentialKind::DeliverySecret, "feishu", "feishu-2"),
        ] {
            let mut records = small();
            records.bots[bot].channels[channel].credentials.remove(&kind);
            let config = filled(&build_in(dialect, &records));
            assert!(!config.to_string().contains(account), "{kind:?} of {account}: {config}");
            let bindings = config["bindings"].as_array().unwrap();
            assert_eq!(bindings.len(), 4);
            // A platform without complete channels is left out.
            for place in ["/channels", "/plugins/entries"] {
                let is_there = config.pointer(place).unwrap().get(platform).is_some();
                assert_eq!(is_there, platform != "discord", "{place}/{platform}");
            }
        }
    }
}

#[test]
fn feishu_events_are_taken_at_a_port_of_their_own_under_the_delivery_secret_alone() {
    for dialect in Dialect::ALL {
        let config = build_in(dialect, &small()).fill(&|reference: &Reference| match reference {
            Reference::Channel { kind: CredentialKind::DeliverySecret, .. } => Some("the-delivery-secret"),
            _ => Some("another"),
        });
        let accounts = &config.unwrap()["channels"]["feishu"]["accounts"];
        let by_webhook = &accounts["feishu-2"];
        for (key, value) in [
            ("connectionMode", json!("webhook")),
            ("webhookHost", json!("0.0.0.0")),
            ("webhookPort", json!(20_001)),
            ("webhookPath", json!("/feishu/events/feishu-2")),
            ("encryptKey", json!("the-delivery-secret")),
            ("verificationToken", json!("the-delivery-secret")),
            ("appSecret", json!("another")),
        ] {
            assert_eq!(by_webhook[key], value, "{key}");
        }
        assert_eq!(accounts["feishu-1"]["connectionMode"], "websocket");
        for key in ["webhookPort", "encryptKey", "verificationToken"] {
            assert!(accounts["feishu-1"].get(key).is_none(), "{key}");
        }
    }
}

#[test]
fn a_hosted_catalogue_is_never_asked_for() {
    for records in [small(), PoolRecords::default()] {
        let config = filled(&build(&records));
        assert_eq!(config["models"]["catalogRefresh"], json!({ "enabled": false }));
        assert_eq!(config["update"], json!({ "checkOnStart": false }));
    }
}

#[test]
fn the_workspaces_of_an_older_openclaw_lie_below_the_state_folder() {
    let config = portcullis_openclaw::build(&small(), Dialect::List, &"/srv/${HOME}".parse().unwrap());
    let workspace = &filled(&config)["agents"]["list"][0]["workspace"];
    assert_eq!(workspace, "/srv/$${HOME}/workspaces/bot-1");
}

#[test]
fn a_pool_at_its_limits_fits_a_row() {
    let bytes = build(&large()).to_bytes();
    println!("50 bots with 20 channels each: {} bytes", bytes.len());
    assert!(bytes.len() < ROW, "{}", bytes.len());
    assert_eq!(Configuration::from_bytes(&bytes), Ok(build(&large())));
}

#[test]
fn a_stored_configuration_names_credentials_by_revision_alone() {
    let configuration = build(&PoolRecords {
        lite_llm: Some(LiteLlm { base_url: "https://models.example.com".to_owned(), key_revision: 7 }),
        ..small()
    });
    let references = configuration.references();
    assert_eq!(references.len(), 2 + 2 * 2 + 1 + 1 + 2, "{references:?}");
    assert!(references.contains(&Reference::Gateway) && references.contains(&Reference::LiteLlm { revision: 7 }));
    let missing = Reference::Channel { channel: "c-3".parse().unwrap(), kind: CredentialKind::BotToken, revision: 1 };
    let filled = configuration.fill(&|reference| (*reference != missing).then_some("x"));
    assert_eq!(filled, Err(MissingCredential(missing)));
}

#[test]
fn the_order_of_records_makes_no_difference() {
    let mut turned = small();
    turned.bots.reverse();
    turned.bots.iter_mut().for_each(|bot| bot.channels.reverse());
    assert_eq!(build(&turned), build(&small()));
    assert_eq!(build(&turned).hash(), build(&small()).hash());
}

#[test]
fn each_change_of_a_record_is_another_configuration() {
    type Change = fn(&mut PoolRecords);
    let changes: [Change; 8] = [
        |records| records.bots[0].name.push('x'),
        |records| records.bots[0].model.push('x'),
        |records| records.bots[0].system_prompt = None,
        |records| records.bots[0].id = "bot-3".parse().unwrap(),
        |records| drop(records.bots[0].channels.pop()),
        |records| records.bots[1].channels[0].account.push('x'),
        |records| *records.bots[1].channels[0].credentials.get_mut(&CredentialKind::DeliverySecret).unwrap() += 1,
        |records| records.lite_llm = Some(LiteLlm { base_url: "http://x".to_owned(), key_revision: 1 }),
    ];
    let mut hashes = vec![build(&small()).hash().to_hex()];
    for change in changes {
        let mut records = small();
        change(&mut records);
        hashes.push(build(&records).hash().to_hex());
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), changes.len() + 1);
}

#[test]
fn bytes_that_are_no_configuration_are_refused() {
    let bytes = build(&small()).to_bytes();
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert_eq!(Configuration::from_bytes(&bytes[..cut]), Err(InvalidConfiguration), "{cut}");
    }
    assert_eq!(Configuration::from_bytes(b"{}"), Err(InvalidConfiguration));
    // A decompression bomb: 32 MiB of blanks in a few KB.
    let mut bomb = Vec::new();
    let blanks = std::io::Read::chain(std::io::Read::take(std::io::repeat(b' '), 32 << 20), b"{}".as_slice());
    std::io::Read::read_to_end(&mut flate2::read::DeflateEncoder::new(blanks, flate2::Compression::best()), &mut bomb)
        .unwrap();
    assert!(bomb.len() < 100_000);
    assert_eq!(Configuration::from_bytes(&bomb), Err(InvalidConfiguration));
}

/// Collects all text values of a configuration. `OpenClaw` does not expand keys.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(object) => object.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// Whether `OpenClaw` would expand something in this text.
fn expands(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    let is_name = |name: &str| {
        name.starts_with(is_letter) && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
    };
    text.match_indices("${").any(|(start, _)| {
        let name = text[start + "${".len()..].split_once('}').map(|(name, _)| name);
        name.is_some_and(is_name) && !text[..start].ends_with('$')
    })
}

fn hostile(text: &str) -> PoolRecords {
    let mut records = small();
    for bot in &mut records.bots {
        text.clone_into(&mut bot.name);
        text.clone_into(&mut bot.model);
        bot.system_prompt = Some(text.to_owned());
        for (number, channel) in bot.channels.iter_mut().enumerate() {
            channel.account = format!("{number} {} {text}", channel.id);
            if let PlatformApp::Discord { application_id: id } | PlatformApp::Feishu { app_id: id, .. } =
                &mut channel.platform
            {
                text.clone_into(id);
            }
        }
    }
    records.lite_llm = Some(LiteLlm { base_url: text.to_owned(), key_revision: 1 });
    records
}

fn assert_nothing_expands(text: &str) {
    for dialect in Dialect::ALL {
        assert_nothing_expands_in(dialect, text);
    }
}

fn assert_nothing_expands_in(dialect: Dialect, text: &str) {
    let configuration = build_in(dialect, &hostile(text));
    let stored = Configuration::from_bytes(&configuration.to_bytes()).expect("reads");
    let config = stored.fill(&|_| Some("x${SKILL_API_TOKEN}")).expect("each has one");
    let mut all = Vec::new();
    texts(&config, &mut all);
    for found in all {
        let is_workspace = found.starts_with("${OPENCLAW_STATE_DIR}/workspaces/");
        let rest = found.strip_prefix("${OPENCLAW_STATE_DIR}/workspaces/").unwrap_or(&found);
        assert!(!expands(rest) && (!is_workspace || rest.len() <= 64), "{found}");
    }
}

#[test]
fn no_text_of_a_record_is_expanded_or_taken_for_a_reference() {
    let schema = schema();
    for text in [
        "${SKILL_API_TOKEN}",
        "$${SKILL_API_TOKEN}",
        "$${{",
        "a ${A} \"quoted\"\nline ${B",
        r#"{"$credential":{"of":"gateway"}}"#,
        r#"{"$text":0}"#,
        "$credential",
        "\u{0}",
    ] {
        assert_nothing_expands(text);
        let configuration = build(&hostile(text));
        assert_eq!(configuration.references().len(), 10, "{text}");
        let config = configuration.fill(&|_| Some("x")).unwrap();
        assert_valid(&schema, &config);
        assert_eq!(
            config["agents"]["entries"]["bot-1"]["name"],
            text.replace("${SKILL", "$${SKILL").replace("${A}", "$${A}")
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_expands_whatever_a_record_says(text in "[$\\{\\}A-C\"\\\\\n]{0,24}") {
        assert_nothing_expands(&text);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(Configuration::from_bytes(&bytes), Err(InvalidConfiguration));
    }
}

#[test]
fn an_agent_names_its_bot() {
    let expected = BTreeMap::from([("bot-1", "Bot-1"), ("bot-2", "bot-2")]);
    let configuration = build(&small());
    let agents: BTreeMap<_, _> =
        configuration.agents().iter().map(|(agent, bot)| (agent.as_str(), bot.as_str())).collect();
    assert_eq!(agents, expected);
}
