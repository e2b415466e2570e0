//! Debug output and errors hold nothing of a key or a plaintext: not raw, not in hex, not in base64.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::fmt::Debug;

use portcullis_crypto::{Cell, Digest, KeyId, Keyring, KeyringError, OpenError, Randomness};

/// A key without a pattern that other output could contain.
const KEY: [u8; 32] = *b"\x93\xa7k~Q\xd1\x08!wZ\xe5\xbc\x1f\xc4J(\xf0;\x92mT\x0c\xee\x85\xb9-:\xd6\x11{\x9e^";

/// All printed forms of `bytes`, each covering at least 4 bytes.
fn appearances(bytes: &[u8]) -> Vec<String> {
    let mut appearances = Vec::new();
    for window in bytes.windows(4) {
        appearances.extend([
            hex::encode(window),
            hex::encode_upper(window),
            String::from_utf8_lossy(window).into_owned(),
        ]);
        appearances.push(format!("{window:?}").trim_matches(['[', ']']).to_owned());
        appearances.push(window.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(", "));
        appearances.push(window.escape_ascii().to_string());
    }
    for start in 0..3 {
        let text = base64(&bytes[start..]);
        appearances.extend(text.as_bytes().windows(6).map(|window| String::from_utf8_lossy(window).into_owned()));
    }
    appearances
}

/// RFC 4648 §4 without padding; the crate itself needs no base64.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let bits = chunk.iter().fold(0, |bits, &byte| (bits << 8) | u32::from(byte)) << (8 * (3 - chunk.len()));
            (0..=chunk.len()).map(move |place| char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]))
        })
        .collect()
}

fn assert_silent(secret: &[u8], printed: &str) {
    for appearance in appearances(secret) {
        assert!(!printed.contains(&appearance), "{appearance:?} in {printed}");
    }
}

fn printed(value: &impl Debug) -> String {
    format!("{value:?} {value:#?}")
}

#[test]
fn the_search_finds_a_key_however_it_is_printed() {
    assert_eq!(base64(b"Man"), "TWFu");
    assert_eq!(base64(b"light work."), "bGlnaHQgd29yay4");
    for leak in [hex::encode(KEY), format!("{KEY:?}"), format!("{KEY:02x?}"), base64(&KEY), base64(&KEY[5..20])] {
        assert!(appearances(&KEY).iter().any(|appearance| leak.contains(appearance)), "{leak}");
    }
}

#[test]
fn a_keyring_and_what_it_derives_print_ids_alone() {
    let json = format!(r#"{{"current":"01020304","keys":{{"01020304":"{}"}}}}"#, hex::encode(KEY));
    let keyring = Keyring::from_json(&json).unwrap();
    assert_eq!(format!("{keyring:?}"), "Keyring { current: KeyId(01020304), ids: [KeyId(01020304)], .. }");
    let (_, key) = keyring.derive_current("a purpose");
    assert_eq!(format!("{key:?}"), "MacKey(..)");
    assert_silent(&KEY, &printed(&keyring));
    // The key's schedule begins with the key, so a cipher that printed itself would be found as well.
    assert_silent(&KEY, &printed(&key));
}

struct Zeros;

impl Randomness for Zeros {
    fn fill(&self, destination: &mut [u8]) {
        destination.fill(0);
    }
}

#[test]
fn an_opened_value_does_not_print_itself() {
    let keyring = Keyring::from_single_key(&hex::encode(KEY)).unwrap();
    let cell = Cell { table: "t", partition_key: "p", sort_key: None, attribute: "a" };
    let sealed = keyring.seal(&Zeros, &cell, &KEY);
    assert_silent(&KEY, &printed(&keyring.open(&cell, &sealed)));
    assert_silent(&KEY, &printed(&sealed));
}

#[test]
fn a_digest_prints_nothing_of_itself() {
    let digest = Digest::of(&KEY);
    assert_silent(digest.as_bytes(), &printed(&digest));
    assert_eq!(printed(&digest), "Digest(..) Digest(..)");
}

#[test]
fn errors_hold_ids_and_nothing_of_what_was_read() {
    let key = hex::encode(KEY);
    let id = KeyId::from_bytes([1, 2, 3, 4]);
    let refused = [
        Keyring::from_single_key(&key[1..]),
        Keyring::from_single_key(&format!("{}x", &key[1..])),
        Keyring::from_json(&key),
        Keyring::from_json(&format!(r#"{{"current":"{key}","keys":{{}}}}"#)),
        Keyring::from_json(&format!(r#"{{"current":"01020304","keys":{{"{key}":"{key}"}}}}"#)),
        Keyring::from_json(&format!(r#"{{"current":"01020304","keys":{{"01020304":"{key}0"}}}}"#)),
        Keyring::from_json(&format!(r#"{{"current":"01020304","keys":{{"00000000":"{key}"}}}}"#)),
        Keyring::from_json(&format!(r#"{{"current":"01020304","keys":{{"01020304":"{key}","00000000":"{key}"}}}}"#)),
        Keyring::from_json(&format!(r#"{{"current":"01020304","keys":{{"01020304":"{key}","01020304":"{key}"}}}}"#)),
        Keyring::from_json(&format!(r#"{{"current":"01020304","{key}":{{"01020304":"{key}"}}}}"#)),
    ];
    let mut kinds = refused.map(|result| {
        let refusal = result.unwrap_err();
        assert_silent(&KEY, &format!("{refusal} {}", printed(&refusal)));
        std::mem::discriminant(&refusal)
    });
    kinds.sort_by_key(|kind| format!("{kind:?}"));
    let distinct = kinds.iter().zip(&kinds[1..]).filter(|(one, next)| one != next).count() + 1;
    assert_eq!(distinct, 6, "every kind of refusal was printed");
    for error in
        [OpenError::TooShort, OpenError::UnknownVersion(9), OpenError::UnknownKey(id), OpenError::NotAuthentic(id)]
    {
        assert!(error.key_id().is_none_or(|named| named == id && error.to_string().contains("01020304")));
    }
    assert_eq!(KeyringError::CurrentMissing(id).to_string(), "the current key 01020304 is not among the keys");
}
