//! What makes a configuration of records, beside the records.

use portcullis_crypto::{Digest, Keyring};
use portcullis_openclaw::{Configuration, Dialect, GENERATOR_VERSION, LiteLlm, PoolRecords, StateDir, build};
use portcullis_runtime::secrets::LiteLlmAccess;
use secrecy::ExposeSecret;

/// What the fingerprint of a key is derived under.
const PURPOSE: &str = "portcullis litellm key fingerprint";

/// Everything besides a pool's records that decides what its configuration is.
pub struct Generator {
    lite_llm: Option<(LiteLlm, secrecy::SecretString)>,
    state_dir: StateDir,
}

impl Generator {
    /// The generator of now. A key's fingerprint is keyed, so that it tells nothing of the key to who reads the tables.
    pub fn new(access: &LiteLlmAccess, keyring: &Keyring, state_dir: StateDir) -> Self {
        let lite_llm = access.0.as_ref().map(|access| {
            let mac = keyring.derive_current(PURPOSE).1.sign(access.key.expose_secret().as_bytes());
            let fingerprint = mac.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
            (LiteLlm { base_url: access.base_url.clone(), key_revision: fingerprint }, access.key.clone())
        });
        Self { lite_llm, state_dir }
    }

    /// Name of the generator for pools of this dialect. A snapshot of another name is built anew: another builder's version,
    /// dialect, state folder or models may make something else of the same records.
    pub fn name(&self, dialect: Dialect) -> String {
        let mut name = format!("{GENERATOR_VERSION}-{}", dialect.name());
        let mut settings: Vec<&[u8]> = Vec::new();
        if dialect == Dialect::List {
            settings.push(self.state_dir.as_str().as_bytes());
        }
        let key_revision;
        if let Some((models, _)) = &self.lite_llm {
            key_revision = models.key_revision.to_be_bytes();
            settings.extend([models.base_url.as_bytes(), key_revision.as_slice()]);
        }
        if !settings.is_empty() {
            name.push('-');
            name.push_str(&Digest::of_parts(&settings).to_hex()[..16]);
        }
        name
    }

    /// Builds a configuration of these records.
    pub fn build(&self, records: &PoolRecords, dialect: Dialect) -> Configuration {
        build(records, dialect, &self.state_dir)
    }

    /// The models that are set.
    pub fn lite_llm(&self) -> Option<LiteLlm> {
        self.lite_llm.as_ref().map(|(models, _)| models.clone())
    }

    /// The models' key, where its fingerprint is this.
    pub fn key_of(&self, revision: u64) -> Option<&str> {
        let (_, key) = self.lite_llm.as_ref().filter(|(models, _)| models.key_revision == revision)?;
        Some(key.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_runtime::secrets::LiteLlmKey;

    use super::*;

    fn generator(base_url: &str, key: &str, state_dir: &str) -> Generator {
        let access = LiteLlmAccess(Some(LiteLlmKey { base_url: base_url.to_owned(), key: key.into() }));
        Generator::new(&access, &Keyring::from_single_key(&"01".repeat(32)).unwrap(), state_dir.parse().unwrap())
    }

    #[test]
    fn another_address_or_key_is_another_generator() {
        let none = Generator::new(
            &LiteLlmAccess(None),
            &Keyring::from_single_key(&"01".repeat(32)).unwrap(),
            StateDir::default(),
        );
        assert_eq!(none.lite_llm(), None);
        for dialect in Dialect::ALL {
            let name = |base_url, key| generator(base_url, key, "/data").name(dialect);
            assert_eq!(name("https://a", "key"), name("https://a", "key"));
            assert_ne!(name("https://a", "key"), name("https://b", "key"));
            assert_ne!(name("https://a", "key"), name("https://a", "another"));
            assert_ne!(name("https://a", "key"), none.name(dialect));
        }
    }

    #[test]
    fn a_dialect_has_a_generator_of_its_own_and_the_state_folder_counts_where_it_is_written() {
        let (one, other) = (generator("https://a", "key", "/data"), generator("https://a", "key", "/other"));
        assert_ne!(one.name(Dialect::List), one.name(Dialect::Entries));
        assert_ne!(one.name(Dialect::List), other.name(Dialect::List));
        assert_eq!(one.name(Dialect::Entries), other.name(Dialect::Entries));
    }

    #[test]
    fn a_key_is_given_for_its_own_fingerprint_alone() {
        let generator = generator("https://a", "key", "/data");
        let revision = generator.lite_llm().unwrap().key_revision;
        assert_eq!(generator.key_of(revision), Some("key"));
        assert_eq!(generator.key_of(revision + 1), None);
    }
}
