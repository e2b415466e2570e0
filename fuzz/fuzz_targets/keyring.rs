//! Fuzzes the parser of an operator's keys: nothing panics, no key material is printed, and every key is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_crypto::Keyring;
use serde_json::Value;

fuzz_target!(|input: &str| {
    if let Ok(keyring) = Keyring::from_single_key(input) {
        assert!(input.len() == 64 && input.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(keyring.contains(keyring.current()));
        assert!(!format!("{keyring:?}").contains(input));
    }
    match Keyring::from_json(input) {
        Ok(keyring) => {
            assert!(keyring.contains(keyring.current()));
            let file: Value = serde_json::from_str(input).expect("a keyring is JSON");
            let keys = file["keys"].as_object().expect("with keys");
            let printed = format!("{keyring:?}");
            for (id, key) in keys {
                let key = key.as_str().expect("that are text");
                assert_eq!((id.len(), key.len()), (8, 64));
                assert!(!printed.contains(key));
                assert!(printed.contains(&id.to_lowercase()));
            }
            // The current key and as many others as were parsed: no key was dropped.
            assert_eq!(printed.matches("KeyId(").count(), keys.len() + 1);
        }
        Err(refusal) => drop(refusal.to_string()),
    }
});
