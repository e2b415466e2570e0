//! Sources of the sealing keys, and opening sealed values.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use aws_sdk_dynamodb::types::AttributeValue;
use portcullis_crypto::{Cell, Domain, Keyring, OpenError};
use secrecy::{ExposeSecret, SecretString};

use crate::{StoreError, attribute::bytes, store::Store};

/// Future of [`KeySource::refreshed`].
pub type KeyringFuture<'a> = Pin<Box<dyn Future<Output = Option<Arc<Keyring>>> + Send + 'a>>;

/// Source of the sealing keys, which change at run time when a key is rotated. `None` means that the domain's keys are
/// not held here.
pub trait KeySource: Send + Sync {
    /// Returns a domain's keyring as it is known now.
    fn keyring(&self, domain: Domain) -> Option<Arc<Keyring>>;

    /// Reads a domain's keyring from its source again. The store asks once a call when a value names a key that it does
    /// not hold: another instance may have seen a rotation first.
    fn refreshed(&self, domain: Domain) -> KeyringFuture<'_>;
}

/// Fixed keyrings of every domain.
#[derive(Debug, Default)]
pub struct FixedKeys(BTreeMap<Domain, Arc<Keyring>>);

impl FixedKeys {
    /// Derives every domain's keyring from this one.
    #[must_use]
    pub fn derived_from(keyring: &Keyring) -> Self {
        Self(Domain::ALL.map(|domain| (domain, Arc::new(keyring.for_domain(domain)))).into())
    }
}

impl KeySource for FixedKeys {
    fn keyring(&self, domain: Domain) -> Option<Arc<Keyring>> {
        self.0.get(&domain).cloned()
    }

    fn refreshed(&self, domain: Domain) -> KeyringFuture<'_> {
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

    /// Makes an opener for the values of one call.
    pub(crate) fn opener(&self) -> Opener<'_> {
        Opener { keys: self.keys(), looked: BTreeMap::new() }
    }
}

/// Opens the sealed values of one call; asks the source for new keys of a domain at most once.
pub(crate) struct Opener<'a> {
    keys: &'a dyn KeySource,
    /// Keyrings that this call has read again.
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
            let found = self.keys.refreshed(domain).await;
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
