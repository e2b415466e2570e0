//! Reading keys as an operator writes them.

use std::collections::{BTreeMap, btree_map::Entry};

use secrecy::{SecretBox, zeroize::Zeroizing};
use serde::{Deserialize, Deserializer, de};

use super::{KeyId, Keyring};

const KEY_HEX_DIGITS: usize = 64;

/// Why a keyring could not be read. No variant holds anything of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// A key is not what it should be.
    #[error("a key must be exactly 64 hex digits (32 bytes)")]
    MalformedKey,
    /// A key's id is not what it should be.
    #[error("a key's id must be exactly 8 hex digits")]
    MalformedId,
    /// Two keys have the same id.
    #[error("key id {0} is there twice")]
    DuplicateId(KeyId),
    /// Not the JSON that it should be.
    #[error(r#"a keyring must be JSON of the form {{"current":"<id>","keys":{{"<id>":"<64 hex digits>"}}}}"#)]
    MalformedJson,
    /// The current key is not among the keys.
    #[error("the current key {0} is not among the keys")]
    CurrentMissing(KeyId),
}

impl Keyring {
    /// A keyring of one key, given as 64 hex digits (`ENCRYPTION_KEY`). Its id is the first 4 bytes of its SHA-256.
    ///
    /// # Errors
    /// [`KeyringError::MalformedKey`].
    pub fn from_single_key(hex_digits: &str) -> Result<Self, KeyringError> {
        let material = parse_key(hex_digits)?;
        let id = KeyId::of_key(secrecy::ExposeSecret::expose_secret(&material));
        Self::new(id, [(id, material)])
    }

    /// A keyring of several keys (`ENCRYPTION_KEYS`): JSON `{"current":"<id>","keys":{"<id>":"<64 hex digits>"}}`.
    ///
    /// # Errors
    /// [`KeyringError`], whichever is found first.
    pub fn from_json(json: &str) -> Result<Self, KeyringError> {
        let file: KeyringFile = serde_json::from_str(json).map_err(|_| KeyringError::MalformedJson)?;
        let mut keys = BTreeMap::new();
        for (id, key) in file.keys.0 {
            match keys.entry(parse_id(&id)?) {
                Entry::Vacant(vacant) => vacant.insert(parse_key(&key)?),
                Entry::Occupied(occupied) => return Err(KeyringError::DuplicateId(*occupied.key())),
            };
        }
        Self::new(parse_id(&file.current)?, keys)
    }
}

fn parse_key(digits: &str) -> Result<SecretBox<[u8; 32]>, KeyringError> {
    if digits.len() != KEY_HEX_DIGITS {
        return Err(KeyringError::MalformedKey);
    }
    SecretBox::try_init_with(|| {
        let mut key = [0; 32];
        hex::decode_to_slice(digits, &mut key).map_err(|_| KeyringError::MalformedKey)?;
        Ok(key)
    })
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

/// The entries in order, twins included: a map would drop one of two keys with the same id in silence.
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
