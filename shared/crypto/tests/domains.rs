//! Tests of the separation of domains' keys.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use portcullis_crypto::{Cell, Domain, Keyring, OpenError, Randomness};
use secrecy::ExposeSecret;

struct Counting;

impl Randomness for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().zip(1..).for_each(|(byte, number)| *byte = number);
    }
}

const CELL: Cell<'static> = Cell { table: "t", partition_key: "p", sort_key: None, attribute: "a" };

fn root() -> Keyring {
    Keyring::from_single_key(&"0b".repeat(32)).unwrap()
}

#[test]
fn a_value_of_one_domain_is_opened_by_no_other_and_not_by_the_root() {
    let root = root();
    for domain in Domain::ALL {
        let sealed = root.for_domain(domain).seal(&Counting, &CELL, b"secret");
        for other in Domain::ALL {
            let opened = root.for_domain(other).open(&CELL, &sealed);
            assert_eq!(opened.is_ok(), domain == other, "{domain} {other}");
        }
        assert_eq!(root.open(&CELL, &sealed).unwrap_err(), OpenError::NotAuthentic(root.current()));
        let nested = root.for_domain(domain).for_domain(domain);
        assert!(nested.open(&CELL, &sealed).is_err(), "a domain's key is not its own domain's");
    }
}

#[test]
fn a_domains_keys_keep_their_ids_and_what_is_current() {
    let (old, new) = ("0a".repeat(32), "0b".repeat(32));
    let rotated = format!(r#"{{"current":"0000000b","keys":{{"0000000a":"{old}","0000000b":"{new}"}}}}"#);
    let rotated = Keyring::from_json(&rotated).unwrap();
    let before = Keyring::from_json(&format!(r#"{{"current":"0000000a","keys":{{"0000000a":"{old}"}}}}"#)).unwrap();
    let sealed = before.for_domain(Domain::PoolSecrets).seal(&Counting, &CELL, b"secret");
    let of_domain = rotated.for_domain(Domain::PoolSecrets);
    assert_eq!((of_domain.current(), of_domain.contains(before.current())), (rotated.current(), true));
    assert_eq!(of_domain.open(&CELL, &sealed).unwrap().expose_secret(), b"secret");
    assert_ne!(of_domain.seal(&Counting, &CELL, b"secret"), sealed);
}

#[test]
fn no_two_domains_sign_alike_for_one_purpose() {
    let root = root();
    let signed = Domain::ALL.map(|domain| root.for_domain(domain).derive_current("purpose").1.sign(b"text"));
    for (index, one) in signed.iter().enumerate() {
        assert!(!signed[..index].contains(one));
    }
    assert!(!signed.contains(&root.derive_current("purpose").1.sign(b"text")));
}

/// HKDF-SHA256 with 32 bytes of 0x0b as key, no salt, and the label as info, computed by another implementation
/// (Python's hmac and hashlib): this is the key that seals.
#[test]
fn a_domains_key_is_hkdf_sha256_of_the_key_and_the_domains_label() {
    let expected = Keyring::from_single_key(EXPECTED).unwrap();
    let derived = root().for_domain(Domain::RuntimeTokens);
    assert_eq!(derived.derive_current("p").1.sign(b"text"), expected.derive_current("p").1.sign(b"text"));
}

const EXPECTED: &str = "b2ecad6124c5fcd177a3e671253544260cb32b143e125b78ca34ae646addb990";
