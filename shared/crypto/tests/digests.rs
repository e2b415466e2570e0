//! Tests of digests' comparison and encoding, and of references to a source of randomness.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::sync::Arc;

use portcullis_crypto::{Digest, Randomness, constant_time_eq};

#[test]
fn two_digests_are_equal_where_all_their_bytes_are_and_nowhere_else() {
    let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
    assert!(one == Digest::of(b"one"));
    assert!(one != other);
    for byte in 0..32 {
        for bit in 0..8 {
            let mut bytes = *one.as_bytes();
            bytes[byte] ^= 1 << bit;
            let near = Digest::from_hex(&hex::encode(bytes)).unwrap();
            assert!(one != near, "{byte} {bit}");
            assert!(near != one, "{byte} {bit}");
        }
    }
    assert!(constant_time_eq(b"same", b"same") && constant_time_eq(b"", b""));
    assert!(!constant_time_eq(b"same", b"sane") && !constant_time_eq(b"same", b"sam") && !constant_time_eq(b"", b"s"));
}

#[test]
fn a_digest_is_written_and_read_as_64_hex_digits_and_nothing_else_is_one() {
    // Example of FIPS 180-4.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let digest = Digest::of(b"abc");
    assert_eq!(digest.to_hex(), ABC);
    assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"{ABC}\""));
    assert!(serde_json::from_str::<Digest>(&format!("\"{ABC}\"")).unwrap() == digest);
    assert!(Digest::from_hex(&ABC.to_uppercase()).unwrap() == digest);
    for wrong in ["", &ABC[1..], &format!("{ABC}0"), &ABC.replace('b', "g"), &format!(" {}", &ABC[1..])] {
        assert!(Digest::from_hex(wrong).is_none(), "{wrong}");
        let error = serde_json::from_str::<Digest>(&format!("\"{wrong}\"")).unwrap_err().to_string();
        assert!(error.starts_with("must be 64 hex digits"), "{error}");
    }
    assert_eq!(format!("{digest:?}"), "Digest(..)");
}

#[test]
fn parts_that_join_to_the_same_bytes_have_different_digests() {
    let lists: [&[&[u8]]; 6] = [&[b"ab"], &[b"a", b"b"], &[b"", b"ab"], &[b"ab", b""], &[b"b", b"a"], &[]];
    for (index, one) in lists.iter().enumerate() {
        assert!(Digest::of_parts(one) == Digest::of_parts(one));
        assert!(lists[..index].iter().all(|other| Digest::of_parts(other) != Digest::of_parts(one)), "{one:?}");
    }
}

struct Ones;

impl Randomness for Ones {
    fn fill(&self, destination: &mut [u8]) {
        destination.fill(1);
    }
}

#[test]
fn randomness_that_is_lent_or_shared_fills_as_its_own() {
    fn filled(randomness: impl Randomness) -> [u8; 4] {
        let mut bytes = [0; 4];
        randomness.fill(&mut bytes);
        bytes
    }
    assert_eq!((filled(Ones), filled(&Ones), filled(Arc::new(Ones))), ([1; 4], [1; 4], [1; 4]));
}
