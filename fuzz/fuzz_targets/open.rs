//! Fuzzes the opening of stored values: nothing panics, and only a value sealed for this very cell opens.
//!
//! Input: 2 bytes of options, 8 bytes with 4 edits of 2 bytes each, then the length of the partition key and the
//! partition key. The rest is the plaintext or, if the first bit is set, the sealed value itself.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_crypto::{Cell, Keyring, OpenError, Randomness, SEALED_OVERHEAD};
use secrecy::ExposeSecret;

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    let json = format!(r#"{{"current":"01010101","keys":{{"01010101":"{}"}}}}"#, "11".repeat(32));
    Keyring::from_json(&json).expect("a keyring")
});

/// A source of chosen nonces, harmless here because no sealed value is stored.
struct Chosen<'a>(&'a [u8]);

impl Randomness for Chosen<'_> {
    fn fill(&self, destination: &mut [u8]) {
        destination.copy_from_slice(self.0);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&[steer, nonce], rest)) = input.split_first_chunk::<2>() else { return };
    let Some((edits, rest)) = rest.split_first_chunk::<8>() else { return };
    let Some((&key_length, rest)) = rest.split_first() else { return };
    let Some((partition_key, body)) = rest.split_at_checked(key_length.into()) else { return };
    let Ok(partition_key) = std::str::from_utf8(partition_key) else { return };
    let cell = Cell { table: "pool_secrets", partition_key, sort_key: Some("pool#NAME"), attribute: "value" };

    if steer & 1 == 1 {
        match KEYRING.open(&cell, body) {
            // libFuzzer sees both sides of each comparison, so it does find valid tags. The value must then be the only
            // sealed value of this nonce, plaintext and cell.
            Ok(plaintext) => assert_eq!(KEYRING.seal(&Chosen(&body[5..17]), &cell, plaintext.expose_secret()), body),
            Err(refusal) => assert_eq!(refusal == OpenError::TooShort, body.len() < SEALED_OVERHEAD),
        }
        return;
    }

    let sealed = KEYRING.seal(&Chosen(&[nonce; 12]), &cell, body);
    assert_eq!(sealed.len(), body.len() + SEALED_OVERHEAD);
    let mut edited = sealed.clone();
    for &[at, change] in edits.as_chunks::<2>().0 {
        // Half of the edits change the header and the nonce, half the end, where the tag is.
        let at = usize::from(at >> 1) % edited.len();
        let at = if change & 1 == 1 { edited.len() - 1 - at } else { at };
        edited[at] ^= change >> 1;
    }
    edited.truncate(edited.len() - usize::from(steer >> 4));
    let moved = Cell { attribute: if steer & 2 == 2 { "other" } else { "value" }, ..cell };
    match KEYRING.open(&moved, &edited) {
        Ok(plaintext) => {
            assert!(edited == sealed && moved == cell, "a changed or moved value opened");
            assert_eq!(plaintext.expose_secret(), body);
        }
        Err(refusal) => assert!(edited != sealed || moved != cell, "an untouched value did not open: {refusal}"),
    }
});
