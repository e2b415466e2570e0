//! What makes a configuration of records, beside the records.

use portcullis_crypto::{Digest, Keyring};
use portcullis_openclaw::{GENERATOR_VERSION, LiteLlm};
use portcullis_runtime::secrets::LiteLlmAccess;
use secrecy::ExposeSecret;

/// What the fingerprint of a key is derived under.
const PURPOSE: &str = "portcullis litellm key fingerprint";

/// The builder's version and the models that are set: another generator may make something else of the same records.
pub struct Generator {
    name: String,
    lite_llm: Option<(LiteLlm, secrecy::SecretString)>,
}

impl Generator {
    /// The generator of now. A key's fingerprint is keyed, so that it tells nothing of the key to who reads the tables.
    pub fn new(access: &LiteLlmAccess, keyring: &Keyring) -> Self {
        let lite_llm = access.0.as_ref().map(|access| {
            let mac = keyring.derive_current(PURPOSE).1.sign(access.key.expose_secret().as_bytes());
            let fingerprint = mac.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
            (LiteLlm { base_url: access.base_url.clone(), key_revision: fingerprint }, access.key.clone())
        });
        let name = match &lite_llm {
            None => GENERATOR_VERSION.to_string(),
            Some((models, _)) => {
                let digest = Digest::of_parts(&[models.base_url.as_bytes(), &models.key_revision.to_be_bytes()]);
                format!("{GENERATOR_VERSION}-{}", &digest.to_hex()[..16])
            }
        };
        Self { name, lite_llm }
    }

    /// Tells this generator from others.
    pub fn name(&self) -> &str {
        &self.name
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

    fn generator(base_url: &str, key: &str) -> Generator {
        let access = LiteLlmAccess(Some(LiteLlmKey { base_url: base_url.to_owned(), key: key.into() }));
        Generator::new(&access, &Keyring::from_single_key(&"01".repeat(32)).unwrap())
    }

    #[test]
    fn another_address_or_key_is_another_generator() {
        let one = generator("https://a", "key");
        assert_eq!(one.name(), generator("https://a", "key").name());
        assert_ne!(one.name(), generator("https://b", "key").name());
        assert_ne!(one.name(), generator("https://a", "another").name());
        let none = Generator::new(&LiteLlmAccess(None), &Keyring::from_single_key(&"01".repeat(32)).unwrap());
        assert_eq!((none.name(), none.lite_llm()), ("1", None));
    }

    #[test]
    fn a_key_is_given_for_its_own_fingerprint_alone() {
        let generator = generator("https://a", "key");
        let revision = generator.lite_llm().unwrap().key_revision;
        assert_eq!(generator.key_of(revision), Some("key"));
        assert_eq!(generator.key_of(revision + 1), None);
    }
}
