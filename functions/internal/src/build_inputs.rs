//! Inputs of a pool's configuration besides the pool's own records.

use portcullis_crypto::{Digest, Keyring};
use portcullis_openclaw::{Configuration, Dialect, GENERATOR_VERSION, LiteLlm, PoolRecords, StateDir, build};
use portcullis_runtime::secrets::{LiteLlmAccess, LiteLlmKey};
use portcullis_store::ModelsKey;
use secrecy::{ExposeSecret, SecretString};

/// Derivation label of the key that fingerprints a shared `LiteLLM` key.
const PURPOSE: &str = "portcullis litellm key fingerprint";

/// Inputs of a configuration besides the pool's records: the models and the state folder.
pub struct BuildInputs {
    models: Models,
    state_dir: StateDir,
}

/// Source of the models and the kind of key that a configuration names.
enum Models {
    None,
    /// One key that all pools share.
    Shared(LiteLlm, SecretString),
    /// A key for each pool, made with the master key.
    OfEachPool {
        base_url: String,
    },
}

impl BuildInputs {
    /// Reads the inputs from the settings. A shared key's fingerprint is a keyed MAC, so that it reveals nothing about
    /// the key to a reader of the tables.
    pub fn new(access: &LiteLlmAccess, keyring: &Keyring, state_dir: StateDir) -> Self {
        let models = access.0.as_ref().map_or(Models::None, |models| {
            let base_url = models.base_url.clone();
            match &models.key {
                LiteLlmKey::Master(_) => Models::OfEachPool { base_url },
                LiteLlmKey::Shared(key) => {
                    let mac = keyring.derive_current(PURPOSE).1.sign(key.expose_secret().as_bytes());
                    let fingerprint = mac.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
                    Models::Shared(LiteLlm { base_url, key_revision: fingerprint }, key.clone())
                }
            }
        });
        Self { models, state_dir }
    }

    /// Returns the generator's name for pools of this dialect. It identifies everything that affects a build besides
    /// the records: the builder's version, the dialect, the state folder and the models. A snapshot with another
    /// generator name is rebuilt.
    pub fn generator_name(&self, dialect: Dialect) -> String {
        let mut name = format!("{GENERATOR_VERSION}-{}", dialect.name());
        let mut settings: Vec<&[u8]> = Vec::new();
        if dialect == Dialect::List {
            settings.push(self.state_dir.as_str().as_bytes());
        }
        let key_revision;
        match &self.models {
            Models::None => {}
            Models::Shared(models, _) => {
                key_revision = models.key_revision.to_be_bytes();
                settings.extend([models.base_url.as_bytes(), key_revision.as_slice()]);
            }
            // Without any key: the master key is not in a configuration, and a new key of the pool changes its
            // configuration anyway.
            Models::OfEachPool { base_url } => settings.extend([base_url.as_bytes(), b"a key of each pool"]),
        }
        if !settings.is_empty() {
            name.push('-');
            name.extend(Digest::of_parts(&settings).to_hex().chars().take(16));
        }
        name
    }

    /// Builds a configuration from these records.
    pub fn build(&self, records: &PoolRecords, dialect: Dialect) -> Configuration {
        build(records, dialect, &self.state_dir)
    }

    /// Returns the models' address if each pool has a key of its own.
    pub fn models_of_each_pool(&self) -> Option<&str> {
        match &self.models {
            Models::OfEachPool { base_url } => Some(base_url),
            Models::None | Models::Shared(..) => None,
        }
    }

    /// Returns the models that a configuration names, with the pool's own key where each pool has one.
    pub fn lite_llm(&self, own_key: Option<&ModelsKey>) -> Option<LiteLlm> {
        match &self.models {
            Models::None => None,
            Models::Shared(models, _) => Some(models.clone()),
            Models::OfEachPool { base_url } => {
                own_key.map(|key| LiteLlm { base_url: base_url.clone(), key_revision: revision_of(key) })
            }
        }
    }

    /// Returns the shared key if `revision` is its fingerprint.
    pub fn shared_key(&self, revision: u64) -> Option<&str> {
        match &self.models {
            Models::Shared(models, key) if models.key_revision == revision => Some(key.expose_secret()),
            _ => None,
        }
    }
}

/// Returns the number that identifies this key in a snapshot. The alias is random, so a new key changes the
/// configuration.
pub fn revision_of(key: &ModelsKey) -> u64 {
    let digest = Digest::of(key.alias.as_bytes());
    digest.as_bytes().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use portcullis_runtime::secrets::LiteLlmModels;

    use super::*;

    fn inputs(base_url: &str, key: &str, state_dir: &str) -> BuildInputs {
        inputs_with(base_url, LiteLlmKey::Shared(key.into()), state_dir)
    }

    fn inputs_with(base_url: &str, key: LiteLlmKey, state_dir: &str) -> BuildInputs {
        let access = LiteLlmAccess(Some(LiteLlmModels { base_url: base_url.to_owned(), key }));
        BuildInputs::new(&access, &Keyring::from_single_key(&"01".repeat(32)).unwrap(), state_dir.parse().unwrap())
    }

    #[test]
    fn another_address_or_key_is_another_generator() {
        let none = BuildInputs::new(
            &LiteLlmAccess(None),
            &Keyring::from_single_key(&"01".repeat(32)).unwrap(),
            StateDir::default(),
        );
        assert_eq!(none.lite_llm(None), None);
        for dialect in Dialect::ALL {
            let name = |base_url, key| inputs(base_url, key, "/data").generator_name(dialect);
            assert_eq!(name("https://a", "key"), name("https://a", "key"));
            assert_ne!(name("https://a", "key"), name("https://b", "key"));
            assert_ne!(name("https://a", "key"), name("https://a", "another"));
            assert_ne!(name("https://a", "key"), none.generator_name(dialect));
            let master = |base_url, key: &str| {
                inputs_with(base_url, LiteLlmKey::Master(key.into()), "/data").generator_name(dialect)
            };
            assert_eq!(master("https://a", "key"), master("https://a", "another"));
            assert_ne!(master("https://a", "key"), master("https://b", "key"));
            assert_ne!(master("https://a", "key"), name("https://a", "key"));
        }
    }

    #[test]
    fn a_dialect_has_a_generator_of_its_own_and_the_state_folder_counts_where_it_is_written() {
        let (one, other) = (inputs("https://a", "key", "/data"), inputs("https://a", "key", "/other"));
        assert_ne!(one.generator_name(Dialect::List), one.generator_name(Dialect::Entries));
        assert_ne!(one.generator_name(Dialect::List), other.generator_name(Dialect::List));
        assert_eq!(one.generator_name(Dialect::Entries), other.generator_name(Dialect::Entries));
    }

    #[test]
    fn a_key_is_given_for_its_own_fingerprint_alone() {
        let inputs = inputs("https://a", "key", "/data");
        let revision = inputs.lite_llm(None).unwrap().key_revision;
        assert_eq!(inputs.shared_key(revision), Some("key"));
        assert_eq!(inputs.shared_key(revision + 1), None);
    }

    #[test]
    fn a_master_key_is_named_and_given_to_no_pool() {
        let inputs = inputs_with("https://a", LiteLlmKey::Master("master".into()), "/data");
        assert_eq!(inputs.lite_llm(None), None);
        let own =
            |alias: &str| ModelsKey { alias: alias.to_owned(), base_url: "https://a".to_owned(), key: "k".into() };
        let revision = |alias| inputs.lite_llm(Some(&own(alias))).unwrap().key_revision;
        assert_eq!(revision("one"), revision("one"));
        assert_ne!(revision("one"), revision("other"));
        assert_eq!(inputs.shared_key(revision("one")), None);
    }
}
