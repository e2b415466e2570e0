//! Promises of sealed values: one opens in its own cell, unchanged, under its key; and nowhere else.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_crypto::{Cell, Digest, KeyId, Keyring, OpenError, Randomness, SEALED_OVERHEAD};
use proptest::prelude::*;
use secrecy::ExposeSecret;

const KIB_64: usize = 64 * 1024;

/// A source of unique bytes, the same ones in each run.
#[derive(Default)]
struct Counted(AtomicU64);

impl Randomness for Counted {
    fn fill(&self, destination: &mut [u8]) {
        for chunk in destination.chunks_mut(32) {
            let block = Digest::of(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            chunk.copy_from_slice(&block.as_bytes()[..chunk.len()]);
        }
    }
}

const CELL: Cell<'_> =
    Cell { table: "pool_secrets", partition_key: "pool-1", sort_key: Some("skill:maps#MAPS_KEY"), attribute: "value" };

/// Keyring whose key `n` is the byte `n` 32 times, under the id that is `n` 4 times.
fn keyring_of(current: u8, keys: &[u8]) -> Keyring {
    let keys: Vec<_> = keys.iter().map(|n| format!(r#""{}":"{}""#, hex_of(*n, 4), hex_of(*n, 32))).collect();
    Keyring::from_json(&format!(r#"{{"current":"{}","keys":{{{}}}}}"#, hex_of(current, 4), keys.join(","))).unwrap()
}

fn hex_of(byte: u8, times: usize) -> String {
    hex::encode(vec![byte; times])
}

/// A cell with owned parts, which a property can generate.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    table: String,
    partition_key: String,
    sort_key: Option<String>,
    attribute: String,
}

impl Place {
    fn cell(&self) -> Cell<'_> {
        Cell {
            table: &self.table,
            partition_key: &self.partition_key,
            sort_key: self.sort_key.as_deref(),
            attribute: &self.attribute,
        }
    }
}

/// Short parts of few letters, so that two places often differ only in a boundary.
fn place() -> impl Strategy<Value = Place> {
    let part = || prop_oneof!["[ab#é]{0,3}", "\\PC{0,20}"];
    (
        part(),
        part(),
        proptest::option::of(part().prop_filter("The store has no empty keys", |key| !key.is_empty())),
        part(),
    )
        .prop_map(|(table, partition_key, sort_key, attribute)| Place {
            table,
            partition_key,
            sort_key,
            attribute,
        })
}

/// A few arbitrary bytes, or any length up to 64 KiB.
fn plaintext() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..256),
        (0..=KIB_64, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]),
    ]
}

proptest! {
    #[test]
    fn a_sealed_value_opens(place in place(), plaintext in plaintext()) {
        let keyring = keyring_of(1, &[1]);
        let sealed = keyring.seal(&Counted::default(), &place.cell(), &plaintext);
        prop_assert_eq!(sealed.len(), plaintext.len() + SEALED_OVERHEAD);
        let opened = keyring.open(&place.cell(), &sealed).unwrap();
        prop_assert_eq!(opened.expose_secret(), plaintext.as_slice());
    }

    #[test]
    fn a_value_moved_to_another_cell_does_not_open(from in place(), to in place()) {
        prop_assume!(from != to);
        let keyring = keyring_of(1, &[1]);
        let sealed = keyring.seal(&Counted::default(), &from.cell(), b"a secret");
        let refusal = keyring.open(&to.cell(), &sealed).unwrap_err();
        prop_assert_eq!(refusal, OpenError::NotAuthentic(keyring.current()));
    }

    #[test]
    fn one_text_cut_into_parts_in_two_ways_is_two_cells(
        text in "[ab]{4,8}", one: [prop::sample::Index; 3], other: [prop::sample::Index; 3]
    ) {
        let [from, to] = [one, other].map(|cuts| {
            let mut cuts = cuts.map(|cut| cut.index(text.len() + 1));
            cuts.sort_unstable();
            let [first, second, third] = cuts;
            Cell {
                table: &text[..first],
                partition_key: &text[first..second],
                sort_key: Some(&text[second..third]),
                attribute: &text[third..],
            }
        });
        prop_assume!(from != to);
        let keyring = keyring_of(1, &[1]);
        let sealed = keyring.seal(&Counted::default(), &from, b"a secret");
        prop_assert!(keyring.open(&to, &sealed).is_err());
    }

    #[test]
    fn bytes_that_were_never_sealed_do_not_open(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let keyring = keyring_of(1, &[1]);
        let refusal = keyring.open(&CELL, &bytes).unwrap_err();
        prop_assert_eq!(refusal == OpenError::TooShort, bytes.len() < SEALED_OVERHEAD);
        let headed = [&[1, 1, 1, 1, 1], bytes.as_slice()].concat();
        prop_assert!(keyring.open(&CELL, &headed).is_err());
    }
}

#[test]
fn a_value_of_each_size_up_to_64_kib_opens() {
    let (keyring, randomness) = (keyring_of(1, &[1]), Counted::default());
    let around_a_block = (0..=65).chain([127, 128, 129, 1023, 1024, 1025, KIB_64 - 1, KIB_64]);
    for size in around_a_block {
        let plaintext: Vec<u8> = (0..=250).cycle().take(size).collect();
        let sealed = keyring.seal(&randomness, &CELL, &plaintext);
        assert_eq!(keyring.open(&CELL, &sealed).unwrap().expose_secret(), plaintext, "{size}");
    }
}

#[test]
fn a_value_with_any_one_bit_flipped_does_not_open() {
    let keyring = keyring_of(1, &[1]);
    let sealed = keyring.seal(&Counted::default(), &CELL, &[0x5a; 64]);
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let refusal = keyring.open(&CELL, &flipped).unwrap_err();
        let expected = match bit / 8 {
            0 => OpenError::UnknownVersion(flipped[0]),
            1..=4 => OpenError::UnknownKey(KeyId::from_bytes(flipped[1..5].try_into().unwrap())),
            _ => OpenError::NotAuthentic(keyring.current()),
        };
        assert_eq!(refusal, expected, "bit {bit}");
    }
}

#[test]
fn a_value_cut_anywhere_or_continued_does_not_open() {
    let keyring = keyring_of(1, &[1]);
    let sealed = keyring.seal(&Counted::default(), &CELL, &[0x5a; 64]);
    for length in 0..sealed.len() {
        let from_the_end = keyring.open(&CELL, &sealed[..length]).unwrap_err();
        assert_eq!(from_the_end == OpenError::TooShort, length < SEALED_OVERHEAD, "{length}");
        assert!(keyring.open(&CELL, &sealed[sealed.len() - length..]).is_err(), "the last {length}");
    }
    for more in [&[0][..], &sealed] {
        assert!(keyring.open(&CELL, &[&sealed, more].concat()).is_err());
    }
}

#[test]
fn a_value_does_not_open_with_any_one_part_of_its_place_changed() {
    let keyring = keyring_of(1, &[1]);
    let sealed = keyring.seal(&Counted::default(), &CELL, b"a secret");
    let others = [
        Cell { table: "channel_credentials", ..CELL },
        Cell { partition_key: "pool-2", ..CELL },
        Cell { sort_key: Some("skill:mail#MAPS_KEY"), ..CELL },
        Cell { sort_key: None, ..CELL },
        Cell { attribute: "other", ..CELL },
    ];
    for other in others {
        assert_eq!(keyring.open(&other, &sealed).unwrap_err(), OpenError::NotAuthentic(keyring.current()), "{other:?}");
    }
}

#[test]
fn parts_that_join_to_the_same_text_are_different_cells() {
    let keyring = keyring_of(1, &[1]);
    let one = Cell { table: "t", partition_key: "ab", sort_key: Some("c"), attribute: "d" };
    let sealed = keyring.seal(&Counted::default(), &one, b"a secret");
    for other in [
        Cell { partition_key: "a", sort_key: Some("bc"), ..one },
        Cell { partition_key: "abc", sort_key: None, ..one },
        Cell { table: "ta", partition_key: "b", ..one },
        Cell { sort_key: Some("cd"), attribute: "", ..one },
        Cell { partition_key: "c", sort_key: Some("ab"), ..one },
    ] {
        assert!(keyring.open(&other, &sealed).is_err(), "{other:?}");
    }
}

/// Documented by `Cell`; harmless, since the store has no empty keys.
#[test]
fn no_sort_key_and_an_empty_one_are_the_same_cell() {
    let keyring = keyring_of(1, &[1]);
    let sealed = keyring.seal(&Counted::default(), &Cell { sort_key: None, ..CELL }, b"a secret");
    assert!(keyring.open(&Cell { sort_key: Some(""), ..CELL }, &sealed).is_ok());
}

#[test]
fn a_value_that_names_another_key_of_the_keyring_does_not_open() {
    let keyring = keyring_of(1, &[1, 2]);
    let mut sealed = keyring.seal(&Counted::default(), &CELL, b"a secret");
    sealed[1..5].copy_from_slice(&[2; 4]);
    assert_eq!(keyring.open(&CELL, &sealed).unwrap_err(), OpenError::NotAuthentic(KeyId::from_bytes([2; 4])));
}

/// The header is authenticated, and not only used to find the key: the same key under another id does not open the
/// value.
#[test]
fn a_value_does_not_open_under_the_same_key_with_another_id() {
    let named = |id: &str| {
        let key = hex_of(7, 32);
        Keyring::from_json(&format!(r#"{{"current":"{id}","keys":{{"{id}":"{key}"}}}}"#)).unwrap()
    };
    let (one, other) = (named("aaaaaaaa"), named("bbbbbbbb"));
    let mut sealed = one.seal(&Counted::default(), &CELL, b"a secret");
    sealed[1..5].copy_from_slice(&other.current().to_bytes());
    assert_eq!(other.open(&CELL, &sealed).unwrap_err(), OpenError::NotAuthentic(other.current()));
}

#[test]
fn two_seals_of_one_value_share_nothing_but_the_header() {
    let (keyring, randomness) = (keyring_of(1, &[1]), Counted::default());
    let [one, two] = [(); 2].map(|()| keyring.seal(&randomness, &CELL, &[0; 64]));
    assert_eq!(one[..5], two[..5]);
    assert_ne!(one[5..17], two[5..17], "the nonce");
    assert_ne!(one[17..81], two[17..81], "the ciphertext");
    assert_ne!(one[81..], two[81..], "the tag");
}

#[test]
fn a_rotation_opens_old_values_until_the_old_key_is_dropped() {
    let randomness = Counted::default();
    let (before, during, after) = (keyring_of(1, &[1]), keyring_of(2, &[1, 2]), keyring_of(2, &[2]));
    let old = before.seal(&randomness, &CELL, b"a secret");
    let new = during.seal(&randomness, &CELL, b"a secret");

    for sealed in [&old, &new] {
        assert_eq!(during.open(&CELL, sealed).unwrap().expose_secret(), b"a secret");
    }
    assert_eq!(after.open(&CELL, &new).unwrap().expose_secret(), b"a secret");
    assert_eq!(after.open(&CELL, &old).unwrap_err(), OpenError::UnknownKey(before.current()));
    assert_eq!(before.open(&CELL, &new).unwrap_err(), OpenError::UnknownKey(during.current()));
}

#[test]
fn a_derived_key_is_one_keys_and_one_purposes_alone() {
    let keyring = keyring_of(1, &[1, 2]);
    let (id, key) = keyring.derive_current("one purpose");
    let mac = key.sign(b"a message");
    assert!(keyring.derive(id, "one purpose").unwrap().verify(b"a message", &mac));
    assert!(!keyring.derive(id, "another purpose").unwrap().verify(b"a message", &mac));
    assert!(!keyring.derive(KeyId::from_bytes([2; 4]), "one purpose").unwrap().verify(b"a message", &mac));
    assert!(keyring.derive(KeyId::from_bytes([3; 4]), "one purpose").is_none());
    for near in [&mac[..31], &[&mac[..], &[0]].concat(), &[]] {
        assert!(!key.verify(b"a message", near), "a mac of {} bytes", near.len());
    }
    assert!(!key.verify(b"a messagf", &mac));
}

#[test]
fn an_error_names_the_key_of_the_header_where_there_is_a_header() {
    let id = KeyId::from_bytes([1, 2, 3, 4]);
    for (error, named) in [
        (OpenError::TooShort, None),
        (OpenError::UnknownVersion(2), None),
        (OpenError::UnknownKey(id), Some(id)),
        (OpenError::NotAuthentic(id), Some(id)),
    ] {
        assert_eq!(error.key_id(), named, "{error}");
    }
}
