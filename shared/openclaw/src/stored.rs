//! Configurations in their stored and hashed form, and filled with credentials for a pool.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

use flate2::{
    Compression,
    read::{DeflateDecoder, DeflateEncoder},
};
use portcullis_auth::BotId;
use portcullis_crypto::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{escape::escaped, reference::Reference};

/// The only key of the object that refers to a shared text: all of a bot's channels use its prompt, which is stored
/// once.
const TEXT: &str = "$text";

/// Maximum size of an unpacked configuration in bytes: a row that unpacks to more was not written by us.
const MAXIMUM_BYTES: u64 = 16 * 1024 * 1024;

/// A configuration with references in place of credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    pub(crate) config: Value,
    pub(crate) texts: Vec<String>,
    pub(crate) agents: BTreeMap<String, BotId>,
}

/// Error of bytes that are not a stored configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored configuration cannot be read")]
pub struct InvalidConfiguration;

/// Error of a missing credential that a configuration refers to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a credential that the configuration refers to is not there")]
pub struct MissingCredential(pub Reference);

/// Table of shared texts.
#[derive(Default)]
pub(crate) struct Texts(Vec<String>);

impl Texts {
    /// Adds a text, and returns the object that refers to it.
    pub(crate) fn place(&mut self, text: &str) -> Value {
        self.0.push(escaped(text));
        json!({ TEXT: self.0.len() - 1 })
    }

    pub(crate) fn into_inner(self) -> Vec<String> {
        self.0
    }
}

impl Configuration {
    /// SHA-256 of the stored form: reveals nothing of a credential, and changes with each one's revision.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(&self.to_json())
    }

    /// Serializes the configuration for storage, deflated (RFC 1951).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let json = self.to_json();
        let mut bytes = Vec::new();
        // Reading from memory does not fail.
        let read = DeflateEncoder::new(json.as_slice(), Compression::best()).read_to_end(&mut bytes);
        debug_assert!(read.is_ok());
        bytes
    }

    /// Parses a stored configuration.
    ///
    /// # Errors
    /// [`InvalidConfiguration`] if it is truncated, changed, or larger than 16 MiB unpacked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidConfiguration> {
        let mut json = Vec::new();
        let mut decoder = DeflateDecoder::new(bytes).take(MAXIMUM_BYTES + 1);
        let read = decoder.read_to_end(&mut json).map_err(|_| InvalidConfiguration)?;
        if read as u64 > MAXIMUM_BYTES {
            return Err(InvalidConfiguration);
        }
        serde_json::from_slice(&json).map_err(|_| InvalidConfiguration)
    }

    /// Bots by agent id.
    #[must_use]
    pub fn agents(&self) -> &BTreeMap<String, BotId> {
        &self.agents
    }

    /// All credentials that the configuration refers to.
    #[must_use]
    pub fn references(&self) -> BTreeSet<Reference> {
        fn collect(value: &Value, found: &mut BTreeSet<Reference>) {
            match value {
                Value::Object(object) => match Reference::at(value) {
                    Some(reference) => {
                        found.insert(reference);
                    }
                    None => object.values().for_each(|value| collect(value, found)),
                },
                Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        collect(&self.config, &mut found);
        found
    }

    /// Fills in the credentials. Returns the `openclaw.json` that a pool reads.
    ///
    /// # Errors
    /// [`MissingCredential`] if `credential` returns `None`.
    pub fn fill<'a>(&self, credential: &dyn Fn(&Reference) -> Option<&'a str>) -> Result<Value, MissingCredential> {
        self.filled(&self.config, credential)
    }

    fn filled<'a>(
        &self,
        value: &Value,
        credential: &dyn Fn(&Reference) -> Option<&'a str>,
    ) -> Result<Value, MissingCredential> {
        match value {
            Value::Object(object) => {
                if let Some(reference) = Reference::at(value) {
                    let value = credential(&reference).map(escaped);
                    return value.map(Value::String).ok_or(MissingCredential(reference));
                }
                if let Some(text) = self.text_at(object) {
                    return Ok(Value::String(text.to_owned()));
                }
                let fields = object.iter().map(|(key, value)| Ok((key.clone(), self.filled(value, credential)?)));
                fields.collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
            Value::Array(values) => {
                values.iter().map(|value| self.filled(value, credential)).collect::<Result<_, _>>().map(Value::Array)
            }
            _ => Ok(value.clone()),
        }
    }

    fn text_at(&self, object: &Map<String, Value>) -> Option<&str> {
        let index = object.get(TEXT).filter(|_| object.len() == 1)?.as_u64()?;
        self.texts.get(usize::try_from(index).ok()?).map(String::as_str)
    }

    /// Objects' keys are ordered, so that equal configurations are equal bytes.
    fn to_json(&self) -> Vec<u8> {
        let value = json!({ "config": self.config, "texts": self.texts, "agents": self.agents });
        value.to_string().into_bytes()
    }
}
