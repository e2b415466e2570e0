//! A configuration as it is stored and hashed, and as a pool reads it.

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

/// The one key of the object that stands in the place of a text that is there more than once: a bot's prompt is wanted by
/// each of its channels, and is stored once.
const TEXT: &str = "$text";

/// The most bytes of a stored configuration once it is unpacked: a row of DynamoDB's that unpacks to more is none of ours.
const MAXIMUM_BYTES: u64 = 16 * 1024 * 1024;

/// A configuration with references in the credentials' places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    pub(crate) config: Value,
    pub(crate) texts: Vec<String>,
    pub(crate) agents: BTreeMap<String, BotId>,
}

/// Not a stored configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored configuration cannot be read")]
pub struct InvalidConfiguration;

/// A credential that a configuration refers to is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a credential that the configuration refers to is not there")]
pub struct MissingCredential(pub Reference);

/// Places texts that are wanted more than once.
#[derive(Default)]
pub(crate) struct Texts(Vec<String>);

impl Texts {
    /// What stands in the place of a text.
    pub(crate) fn place(&mut self, text: &str) -> Value {
        self.0.push(escaped(text));
        json!({ TEXT: self.0.len() - 1 })
    }

    pub(crate) fn into_inner(self) -> Vec<String> {
        self.0
    }
}

impl Configuration {
    /// SHA-256 over the configuration as it is stored: it tells nothing of a credential, and changes with each one's
    /// revision.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(&self.to_json())
    }

    /// The configuration for storing, deflated (RFC 1951).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let json = self.to_json();
        let mut bytes = Vec::new();
        // Reading from memory does not fail.
        let read = DeflateEncoder::new(json.as_slice(), Compression::best()).read_to_end(&mut bytes);
        debug_assert!(read.is_ok());
        bytes
    }

    /// A stored configuration.
    ///
    /// # Errors
    /// [`InvalidConfiguration`] where it is cut, changed, or larger than any of ours.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidConfiguration> {
        let mut json = Vec::new();
        let mut decoder = DeflateDecoder::new(bytes).take(MAXIMUM_BYTES + 1);
        let read = decoder.read_to_end(&mut json).map_err(|_| InvalidConfiguration)?;
        if read as u64 > MAXIMUM_BYTES {
            return Err(InvalidConfiguration);
        }
        serde_json::from_slice(&json).map_err(|_| InvalidConfiguration)
    }

    /// Each agent's bot.
    #[must_use]
    pub fn agents(&self) -> &BTreeMap<String, BotId> {
        &self.agents
    }

    /// The credentials that it refers to.
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

    /// What a pool reads: `openclaw.json` with the credentials in their places.
    ///
    /// # Errors
    /// [`MissingCredential`] where `credential` has none.
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

    /// Objects' keys are in order, so that equal configurations are equal bytes.
    fn to_json(&self) -> Vec<u8> {
        let value = json!({ "config": self.config, "texts": self.texts, "agents": self.agents });
        value.to_string().into_bytes()
    }
}
