//! Tests of parsing an operator's keys: a valid keyring is read in full, an invalid one is rejected with its reason,
//! and nothing panics.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use portcullis_crypto::{KeyId, Keyring, KeyringError};
use proptest::prelude::*;

fn hex_of(byte: u8, times: usize) -> String {
    hex::encode(vec![byte; times])
}

fn parse(current: &str, keys: &[(&str, &str)]) -> Result<Keyring, KeyringError> {
    let keys: Vec<_> = keys.iter().map(|(id, key)| format!("{id:?}:{key:?}")).collect();
    Keyring::from_json(&format!(r#"{{"current":{current:?},"keys":{{{}}}}}"#, keys.join(",")))
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,200}") {
        let _ = (Keyring::from_single_key(&text), Keyring::from_json(&text));
    }

    #[test]
    fn no_text_in_a_keyrings_places_makes_the_parser_panic(id in "\\PC{0,12}", key in "\\PC{0,70}") {
        prop_assert!(parse(&id, &[(&id, &key)]).is_err());
    }

    #[test]
    fn a_key_of_32_bytes_is_read_in_either_case(key: [u8; 32]) {
        let (lower, upper) = (hex::encode(key), hex::encode_upper(key));
        let current = Keyring::from_single_key(&lower).unwrap().current();
        prop_assert_eq!(Keyring::from_single_key(&upper).unwrap().current(), current);
    }

    #[test]
    fn a_key_of_any_other_length_is_refused(digits in "[0-9a-f]{0,140}") {
        prop_assume!(digits.len() != 64);
        prop_assert_eq!(Keyring::from_single_key(&digits).unwrap_err(), KeyringError::MalformedKey);
        prop_assert_eq!(parse("01010101", &[("01010101", &digits)]).unwrap_err(), KeyringError::MalformedKey);
    }

    #[test]
    fn an_id_of_any_other_length_is_refused(id in "[0-9a-f]{0,20}") {
        prop_assume!(id.len() != 8);
        let key = hex_of(1, 32);
        prop_assert_eq!(parse(&id, &[("01010101", &key)]).unwrap_err(), KeyringError::MalformedId);
        prop_assert_eq!(parse("01010101", &[(&id, &key)]).unwrap_err(), KeyringError::MalformedId);
    }
}

#[test]
fn a_key_that_is_not_hex_is_refused() {
    let key = hex_of(1, 31);
    for end in ["0g", "0 ", "\n0", "+1", "é", "0\0"] {
        let digits = format!("{key}{end}");
        assert_eq!(digits.len(), 64, "only the digits are wrong");
        assert_eq!(Keyring::from_single_key(&digits).unwrap_err(), KeyringError::MalformedKey, "{end:?}");
    }
    for around in [format!(" {}", hex_of(1, 32)), format!("{}\n", hex_of(1, 32)), format!("0x{key}")] {
        assert_eq!(Keyring::from_single_key(&around).unwrap_err(), KeyringError::MalformedKey);
    }
}

#[test]
fn a_keyring_holds_each_key_that_it_names_and_no_other() {
    let keyring = parse("02020202", &[("01010101", &hex_of(1, 32)), ("02020202", &hex_of(2, 32))]).unwrap();
    assert_eq!(keyring.current(), KeyId::from_bytes([2; 4]));
    assert!(keyring.contains(KeyId::from_bytes([1; 4])));
    assert!(!keyring.contains(KeyId::from_bytes([3; 4])));
    assert_eq!(keyring.current().to_string(), "02020202");
    assert_eq!(keyring.current().to_bytes(), [2; 4]);
}

#[test]
fn the_current_key_must_be_there() {
    let missing = KeyringError::CurrentMissing(KeyId::from_bytes([2; 4]));
    assert_eq!(parse("02020202", &[("01010101", &hex_of(1, 32))]).unwrap_err(), missing);
    assert_eq!(parse("02020202", &[]).unwrap_err(), missing);
}

#[test]
fn two_keys_with_one_id_are_refused_and_not_one_of_them_dropped() {
    let (one, two) = (hex_of(1, 32), hex_of(2, 32));
    let twins = KeyringError::DuplicateId(KeyId::from_bytes([0xaa; 4]));
    assert_eq!(parse("aaaaaaaa", &[("aaaaaaaa", &one), ("aaaaaaaa", &two)]).unwrap_err(), twins);
    assert_eq!(parse("aaaaaaaa", &[("aaaaaaaa", &one), ("AAAAAAAA", &two)]).unwrap_err(), twins);
    assert_eq!(
        parse("aaaaaaaa", &[("aaaaaaaa", &one), ("\\u0061aaaaaaa", &two)]).unwrap_err(),
        KeyringError::MalformedId
    );
    let escaped = format!(r#"{{"current":"aaaaaaaa","keys":{{"aaaaaaaa":"{one}","\u0061aaaaaaa":"{two}"}}}}"#);
    assert_eq!(Keyring::from_json(&escaped).unwrap_err(), twins);
}

#[test]
fn one_key_under_two_ids_is_refused() {
    let (lower, upper) = ("ab".repeat(32), "AB".repeat(32));
    let twins = KeyringError::DuplicateKey(KeyId::from_bytes([1; 4]), KeyId::from_bytes([2; 4]));
    assert_eq!(parse("02020202", &[("01010101", &lower), ("02020202", &upper)]).unwrap_err(), twins);
}

#[test]
fn json_that_is_not_a_keyring_is_refused() {
    let key = hex_of(1, 32);
    let entry = format!(r#""01010101":"{key}""#);
    for text in [
        String::new(),
        "null".into(),
        "[]".into(),
        format!("{key:?}"),
        r#"{"current":"01010101"}"#.into(),
        format!(r#"{{"keys":{{{entry}}}}}"#),
        format!(r#"{{"current":1010101,"keys":{{{entry}}}}}"#),
        r#"{"current":"01010101","keys":[]}"#.into(),
        r#"{"current":"01010101","keys":{"01010101":1}}"#.into(),
        format!(r#"{{"current":"01010101","current":"01010101","keys":{{{entry}}}}}"#),
        format!(r#"{{"current":"01010101","keys":{{}},"keys":{{{entry}}}}}"#),
        format!(r#"{{"current":"01010101","keys":{{{entry}}},"previous":"02020202"}}"#),
        format!(r#"{{"current":"01010101","keys":{{{entry}}}}} more"#),
        format!("{}{}", r#"{"keys":"#.repeat(10_000), "}".repeat(10_000)),
    ] {
        assert_eq!(Keyring::from_json(&text).unwrap_err(), KeyringError::MalformedJson, "{text:.80}");
    }
}
