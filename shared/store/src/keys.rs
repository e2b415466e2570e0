//! Where the keys come from, and opening what they sealed.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use aws_sdk_dynamodb::types::AttributeValue;
use portcullis_crypto::{Cell, Domain, Keyring, OpenError};
use secrecy::{ExposeSecret, SecretString};

use crate::{StoreError, attribute::bytes, store::Store};

/// The future of [`KeySource::look_again`].
pub type KeyringFuture<'a> = Pin<Box<dyn Future<Output = Option<Arc<Keyring>>> + Send + 'a>>;

/// Where the keys come from: they change while the process lives, when one is rotated. `None` is a domain whose keys are not
/// held here.
pub trait KeySource: Send + Sync {
    /// A domain's keyring as it is known now.
    fn keyring(&self, domain: Domain) -> Option<Arc<Keyring>>;

    /// A domain's keyring after a look at its source. The store asks once a call when a value names a key that it does not
    /// hold: another instance may have learnt of a rotation first.
    fn look_again(&self, domain: Domain) -> KeyringFuture<'_>;
}

/// Keyrings that never change, of every domain.
#[derive(Debug, Default)]
pub struct FixedKeys(BTreeMap<Domain, Arc<Keyring>>);

impl FixedKeys {
    /// The keyrings that are derived from this one.
    #[must_use]
    pub fn derived_from(keyring: &Keyring) -> Self {
        Self(Domain::ALL.map(|domain| (domain, Arc::new(keyring.for_domain(domain)))).into())
    }
}

impl KeySource for FixedKeys {
    fn keyring(&self, domain: Domain) -> Option<Arc<Keyring>> {
        self.0.get(&domain).cloned()
    }

    fn look_again(&self, domain: Domain) -> KeyringFuture<'_> {
        Box::pin(std::future::ready(self.keyring(domain)))
    }
}

impl Store {
    /// Seals a text for one cell, as a binary attribute.
    pub(crate) fn seal(
        &self,
        domain: Domain,
        cell: &Cell<'_>,
        plaintext: &SecretString,
    ) -> Result<AttributeValue, StoreError> {
        let keyring = self.keys().keyring(domain).ok_or(StoreError::NoKeys { domain })?;
        Ok(bytes(keyring.seal(self.randomness(), cell, plaintext.expose_secret().as_bytes())))
    }

    /// What opens the values of one call.
    pub(crate) fn opener(&self) -> Opener<'_> {
        Opener { keys: self.keys(), looked: BTreeMap::new() }
    }
}

/// Opens the sealed values of one call; looks for new keys of a domain at most once.
pub(crate) struct Opener<'a> {
    keys: &'a dyn KeySource,
    /// What the looks of this call found.
    looked: BTreeMap<Domain, Option<Arc<Keyring>>>,
}

impl Opener<'_> {
    /// Opens a sealed text.
    pub(crate) async fn open(
        &mut self,
        domain: Domain,
        table: &'static str,
        cell: &Cell<'_>,
        sealed: &[u8],
    ) -> Result<SecretString, StoreError> {
        let mut opened = self.keyring(domain)?.open(cell, sealed);
        if matches!(opened, Err(OpenError::UnknownKey(_))) && !self.looked.contains_key(&domain) {
            let found = self.keys.look_again(domain).await;
            self.looked.insert(domain, found);
            opened = self.keyring(domain)?.open(cell, sealed);
        }
        let plaintext = opened.map_err(|reason| StoreError::Unopened { table, key_id: reason.key_id(), reason })?;
        std::str::from_utf8(plaintext.expose_secret())
            .map(SecretString::from)
            .map_err(|_| StoreError::Malformed { table, attribute: "value" })
    }

    fn keyring(&self, domain: Domain) -> Result<Arc<Keyring>, StoreError> {
        let looked = self.looked.get(&domain).cloned();
        looked.unwrap_or_else(|| self.keys.keyring(domain)).ok_or(StoreError::NoKeys { domain })
    }
}
