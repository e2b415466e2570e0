//! Parses keys from an operator's configuration.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretBox};
use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::{KeyId, Keyring};
use crate::constant_time_eq;

const KEY_HEX_DIGITS: usize = 64;

/// Why a keyring could not be read. No variant holds anything of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// A key is not 64 hex digits.
    #[error("a key must be exactly 64 hex digits (32 bytes)")]
    MalformedKey,
    /// A key's id is not 8 hex digits.
    #[error("a key's id must be exactly 8 hex digits")]
    MalformedId,
    /// Two keys have the same id.
    #[error("key id {0} is there twice")]
    DuplicateId(KeyId),
    /// Two ids have the same key: a rotation between them would not change the key.
    #[error("the keys {0} and {1} are the same key")]
    DuplicateKey(KeyId, KeyId),
    /// The JSON does not have the documented form.
    #[error(r#"a keyring must be JSON of the form {{"current":"<id>","keys":{{"<id>":"<64 hex digits>"}}}}"#)]
    MalformedJson,
    /// The current key is not among the keys.
    #[error("the current key {0} is not among the keys")]
    CurrentMissing(KeyId),
}

impl Keyring {
    /// Creates a keyring of one key, given as 64 hex digits (`ENCRYPTION_KEY`). Its id is the first 4 bytes of its
    /// SHA-256.
    ///
    /// # Errors
    /// [`KeyringError::MalformedKey`].
    pub fn from_single_key(hex_digits: &str) -> Result<Self, KeyringError> {
        let material = parse_key(hex_digits)?;
        let id = KeyId::of_key(material.expose_secret());
        Self::new(id, [(id, material)])
    }

    /// Creates a keyring of several keys (`ENCRYPTION_KEYS`): JSON `{"current":"<id>","keys":{"<id>":"<64 hex
    /// digits>"}}`.
    ///
    /// # Errors
    /// [`KeyringError`], the first that is found.
    pub fn from_json(json: &str) -> Result<Self, KeyringError> {
        let file: KeyringFile = serde_json::from_str(json).map_err(|_| KeyringError::MalformedJson)?;
        let mut keys: BTreeMap<KeyId, SecretBox<[u8; 32]>> = BTreeMap::new();
        for (id, digits) in file.keys.0 {
            let (id, key) = (parse_id(&id)?, parse_key(&digits)?);
            if keys.contains_key(&id) {
                return Err(KeyringError::DuplicateId(id));
            }
            let is_twin = |other: &SecretBox<[u8; 32]>| constant_time_eq(other.expose_secret(), key.expose_secret());
            if let Some((twin, _)) = keys.iter().find(|(_, other)| is_twin(other)) {
                return Err(KeyringError::DuplicateKey(*twin, id));
            }
            keys.insert(id, key);
        }
        Self::new(parse_id(&file.current)?, keys)
    }
}

fn parse_key(digits: &str) -> Result<SecretBox<[u8; 32]>, KeyringError> {
    if digits.len() != KEY_HEX_DIGITS {
        return Err(KeyringError::MalformedKey);
    }
    // Decoded in place, so that no copy is left on the stack.
    let mut decoded = Ok(());
    let key = SecretBox::init_with_mut(|key: &mut [u8; 32]| decoded = hex::decode_to_slice(digits, key));
    decoded.map(|()| key).map_err(|_| KeyringError::MalformedKey)
}

fn parse_id(digits: &str) -> Result<KeyId, KeyringError> {
    let mut id = [0; 4];
    hex::decode_to_slice(digits, &mut id).map_err(|_| KeyringError::MalformedId)?;
    Ok(KeyId(id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyringFile {
    current: String,
    keys: KeyEntries,
}

/// Entries in order, with duplicates: a map would silently drop one of two keys with the same id.
struct KeyEntries(Vec<(String, Zeroizing<String>)>);

impl<'de> Deserialize<'de> for KeyEntries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = KeyEntries;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object of keys by id")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<KeyEntries, A::Error> {
                let mut entries = Vec::new();
                while let Some((id, key)) = map.next_entry::<String, String>()? {
                    entries.push((id, Zeroizing::new(key)));
                }
                Ok(KeyEntries(entries))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}
