//! Encryption of secrets at rest: a value that does not open is reported and never skipped.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_dynamodb::{Client, primitives::Blob, types::AttributeValue};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis_local::{
    database::create_tables,
    template::{TEMPLATE, Template},
};
use portcullis_runtime::metrics::Metric;
use portcullis_tests::{
    System, TestClock, seed,
    system::{Settings, random_hex, send},
};
use reqwest::Method;
use serde_json::json;

use super::{assert_put, put, read, system};

const PREFIX: &str = "portcullis-local-";
const POOL_SECRETS: &str = "portcullis-local-pool_secrets";

type Item = HashMap<String, AttributeValue>;

fn client(system: &System) -> Client {
    portcullis_store::client(&system.stack.environment().aws)
}

async fn rows(client: &Client, table: &str) -> Vec<Item> {
    let output = client.scan().table_name(table).consistent_read(true).send().await.unwrap();
    assert!(output.last_evaluated_key.is_none(), "a test's table fits into one page");
    output.items.unwrap_or_default()
}

/// Row of a secret of `pool-1`.
async fn row(client: &Client, scope_name: &str) -> Item {
    let key = |text: &str| AttributeValue::S(text.to_owned());
    let get = client.get_item().table_name(POOL_SECRETS).key("pool", key("pool-1")).key("scopeName", key(scope_name));
    get.send().await.unwrap().item.unwrap()
}

fn sealed(item: &Item) -> Vec<u8> {
    item["value"].as_b().unwrap().as_ref().to_vec()
}

async fn replace_value(client: &Client, mut item: Item, value: Vec<u8>) {
    item.insert("value".to_owned(), AttributeValue::B(Blob::new(value)));
    client.put_item().table_name(POOL_SECRETS).set_item(Some(item)).send().await.unwrap();
}

/// Appends every readable byte of an attribute: its texts, numbers and binaries.
fn flatten(value: &AttributeValue, into: &mut Vec<u8>) {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => into.extend(text.as_bytes()),
        AttributeValue::B(bytes) => into.extend(bytes.as_ref()),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => into.extend(texts.concat().as_bytes()),
        AttributeValue::Bs(all) => into.extend(all.iter().flat_map(AsRef::as_ref)),
        AttributeValue::L(list) => {
            for value in list {
                flatten(value, into);
            }
        }
        AttributeValue::M(map) => {
            for (name, value) in map {
                into.extend(name.as_bytes());
                flatten(value, into);
            }
        }
        AttributeValue::Bool(_) | AttributeValue::Null(_) => {}
        other => panic!("an attribute that is not searched: {other:?}"),
    }
    into.push(b'\n');
}

#[tokio::test]
async fn no_row_of_any_table_holds_a_secret_in_the_clear() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let value = random_hex(16);
    assert_put(&system, json!({ "KEY": value, "MAPS_KEY": { "value": value, "scope": "skill:maps" } }), 2).await;
    let secrets = [
        ("a pool's secret", value),
        ("the signing secret", connected.signing_secret),
        ("the delivery secret", connected.delivery_secret),
        ("the bot token", connected.bot_token),
    ];
    let client = client(&system);
    let mut searched = 0;
    let mut all = Vec::new();
    for table in Template::parse(TEMPLATE).unwrap().tables {
        for item in rows(&client, &format!("{PREFIX}{}", table.name)).await {
            flatten(&AttributeValue::M(item), &mut all);
            searched += 1;
        }
    }
    assert!(searched >= 9, "only {searched} rows");
    let holds = |needle: &[u8]| all.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"MAPS_KEY") && holds(b"channel-1"), "what is not secret is found");
    for (name, secret) in &secrets {
        assert!(!holds(secret.as_bytes()), "{name}");
        assert!(!holds(hex::encode(secret).as_bytes()), "{name} as hex");
        for offset in 0..3 {
            let encoded = STANDARD.encode([&vec![0; offset], secret.as_bytes()].concat());
            assert!(!holds(&encoded.as_bytes()[4..encoded.len() - 4]), "{name} as base64");
        }
        // Secrets that are hex might be stored as the bytes that they encode.
        if let Ok(bytes) = hex::decode(secret) {
            assert!(!holds(&bytes), "{name} as its bytes");
        }
    }
}

#[tokio::test]
async fn a_value_that_does_not_open_is_a_500_logged_and_counted_and_no_other_is_returned() {
    let system = system().await;
    let secrets = json!({
        "KEY": "the pool's", "OTHER": "the pool's other",
        "MAPS_KEY": { "value": "maps'", "scope": "skill:maps" },
        "MAIL_KEY": { "value": "mail's", "scope": "skill:mail" },
    });
    assert_put(&system, secrets, 4).await;
    let client = client(&system);
    let (own, others) = (row(&client, "skill:maps#MAPS_KEY").await, row(&client, "pool#KEY").await);
    let (good, moved) = (sealed(&own), sealed(&others));
    let unknown_key = [&good[..1], &[0xDE, 0xAD, 0xBE, 0xEF], &good[5..]].concat();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let key_id = hex::encode(&good[1..5]);
    let cases = [
        ("unknown key", unknown_key, Some("deadbeef".to_owned())),
        ("cut by one", good[..good.len() - 1].to_vec(), Some(key_id.clone())),
        ("cut to its header", good[..17].to_vec(), None),
        ("cut to one byte", good[..1].to_vec(), None),
        ("nothing", Vec::new(), None),
        ("moved from another row", moved, Some(key_id.clone())),
        ("one bit changed", flipped, Some(key_id)),
    ];
    for (number, (what, value, key_id)) in cases.into_iter().enumerate() {
        replace_value(&client, own.clone(), value).await;
        let before = system.counted(Metric::SealedValueUnopened);
        let id = format!("unopened-{number}");
        let request = system.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1").header("x-request-id", &id);
        let answer = send(request).await;
        let code = answer.json()["code"].clone();
        assert_eq!((answer.status.as_u16(), code), (500, json!("sealed_value_unopened")), "{what}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        for hidden in ["pool's", "maps'", "KEY", "pool_secrets", "deadbeef"] {
            assert!(!text.contains(hidden), "{what}: {text}");
        }
        assert_eq!(system.counted(Metric::SealedValueUnopened), before + 1, "{what}");
        let lines = system.logs.of_request(&id);
        let detail = lines.iter().find_map(|line| line["detail"].as_str()).unwrap();
        assert!(detail.contains("pool_secrets"), "{what}: {detail}");
        assert!(key_id.is_none_or(|key_id| detail.contains(&key_id)), "{what}: {detail}");
        // Other skills are not affected.
        assert_eq!(read(&system, "mail").await["MAIL_KEY"], "mail's");
    }
    replace_value(&client, own, good).await;
    assert_eq!(read(&system, "maps").await["MAPS_KEY"], "maps'");
}

#[tokio::test]
async fn two_values_that_change_places_both_stay_shut() {
    let system = system().await;
    assert_put(&system, json!({ "ONE": "1", "TWO": "2" }), 2).await;
    let client = client(&system);
    let (one, two) = (row(&client, "pool#ONE").await, row(&client, "pool#TWO").await);
    replace_value(&client, one.clone(), sealed(&two)).await;
    replace_value(&client, two, sealed(&one)).await;
    let answer = send(system.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1")).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].clone()), (500, json!("sealed_value_unopened")));
    // An operator repairs them by setting them again.
    assert_put(&system, json!({ "ONE": "1", "TWO": "2" }), 2).await;
    assert_eq!(read(&system, "maps").await, json!({ "ONE": "1", "TWO": "2" }));
}

#[tokio::test]
async fn tables_restored_under_another_prefix_open_with_the_same_keys() {
    let system = system().await;
    let secrets = json!({ "KEY": "the pool's", "MAPS_KEY": { "value": "maps'", "scope": "skill:maps" } });
    assert_put(&system, secrets, 2).await;
    let client = client(&system);
    let tables = Template::parse(TEMPLATE).unwrap().tables;
    create_tables(&client, "restored-", &tables).await.unwrap();
    for table in &tables {
        for item in rows(&client, &format!("{PREFIX}{}", table.name)).await {
            let put = client.put_item().table_name(format!("restored-{}", table.name)).set_item(Some(item));
            put.send().await.unwrap();
        }
    }
    let mut settings = system.settings.clone().with("TABLE_PREFIX", "restored-");
    settings.database = Some(system.stack.environment().aws.clone());
    let restored = System::try_start(settings, Arc::new(TestClock::new())).await.unwrap();
    assert_eq!(read(&restored, "maps").await, json!({ "KEY": "the pool's", "MAPS_KEY": "maps'" }));
    // The restored tables are independent of the originals.
    assert_eq!(put(&restored, "pool-1", json!({ "KEY": "changed" })).await.status, 200);
    assert_eq!(read(&system, "maps").await["KEY"], "the pool's");
    assert_eq!(read(&restored, "maps").await["KEY"], "changed");
}

#[tokio::test]
async fn after_a_rotation_old_values_open_and_new_ones_are_sealed_under_the_new_key() {
    let (old, new) = (random_hex(32), random_hex(32));
    let keyring = |current: &str, keys: &[(&str, &String)]| {
        let keys: serde_json::Map<_, _> = keys.iter().map(|(id, key)| ((*id).to_owned(), json!(key))).collect();
        json!({ "current": current, "keys": keys }).to_string()
    };
    let only_old = keyring("0000000a", &[("0000000a", &old)]);
    let both = keyring("0000000b", &[("0000000a", &old), ("0000000b", &new)]);
    let only_new = keyring("0000000b", &[("0000000b", &new)]);

    let settings = Settings::random();
    let before = System::start_with(settings.clone().with("ENCRYPTION_KEYS", &only_old)).await;
    seed::pool(&before, "pool-1", None).await;
    assert_put(&before, json!({ "OLD": "old", "CHANGED": "old" }), 2).await;
    let start = async |keys: &str| {
        let mut settings = settings.clone().with("ENCRYPTION_KEYS", keys);
        settings.database = Some(before.stack.environment().aws.clone());
        System::try_start(settings, Arc::new(TestClock::new())).await.unwrap()
    };
    let rotated = start(&both).await;
    assert_put(&rotated, json!({ "CHANGED": "new", "NEW": "new" }), 2).await;
    assert_eq!(read(&rotated, "maps").await, json!({ "OLD": "old", "CHANGED": "new", "NEW": "new" }));
    let client = client(&before);
    for (name, key_id) in [("OLD", 0x0A), ("CHANGED", 0x0B), ("NEW", 0x0B)] {
        let value = sealed(&row(&client, &format!("pool#{name}")).await);
        assert_eq!(value[1..5], [0, 0, 0, key_id], "{name}");
    }

    // If the old key is dropped too early, the log names the missing key's id.
    let early = start(&only_new).await;
    let request = early.skill(Method::GET, "/api/internal/secrets/maps?poolId=pool-1");
    assert_eq!(send(request.header("x-request-id", "too-early")).await.status, 500);
    let lines = early.logs.of_request("too-early");
    assert!(
        lines.iter().any(|line| line["detail"].as_str().is_some_and(|detail| detail.contains("0000000a"))),
        "{lines:?}"
    );
    assert_put(&rotated, json!({ "OLD": "old" }), 1).await;
    assert_eq!(read(&early, "maps").await, json!({ "OLD": "old", "CHANGED": "new", "NEW": "new" }));
}
