//! Where the keyring comes from, and opening what it sealed.

use std::{future::Future, pin::Pin, sync::Arc};

use portcullis_crypto::{Cell, Keyring, OpenError};
use secrecy::{ExposeSecret, SecretString};

use crate::{StoreError, attribute::bytes, store::Store};

/// The future of [`KeySource::look_again`].
pub type KeyringFuture<'a> = Pin<Box<dyn Future<Output = Arc<Keyring>> + Send + 'a>>;

/// Where the keyring comes from: it changes while the process lives, when a key is rotated.
pub trait KeySource: Send + Sync {
    /// The keyring as it is known now.
    fn keyring(&self) -> Arc<Keyring>;

    /// The keyring after a look at its source. The store asks once a call when a value names a key that it does not
    /// hold: another instance may have learnt of a rotation first.
    fn look_again(&self) -> KeyringFuture<'_>;
}

/// A keyring that never changes.
#[derive(Debug)]
pub struct FixedKeyring(Arc<Keyring>);

impl FixedKeyring {
    /// A source of this keyring alone.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>) -> Self {
        Self(keyring)
    }
}

impl KeySource for FixedKeyring {
    fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.0)
    }

    fn look_again(&self) -> KeyringFuture<'_> {
        Box::pin(std::future::ready(self.keyring()))
    }
}

impl Store {
    /// Seals a text for one cell, as a binary attribute.
    pub(crate) fn seal(&self, cell: &Cell<'_>, plaintext: &SecretString) -> aws_sdk_dynamodb::types::AttributeValue {
        let keyring = self.keys().keyring();
        bytes(keyring.seal(self.randomness(), cell, plaintext.expose_secret().as_bytes()))
    }

    /// What opens the values of one call.
    pub(crate) fn opener(&self) -> Opener<'_> {
        Opener { keyring: self.keys().keyring(), keys: Some(self.keys()) }
    }
}

/// Opens the sealed values of one call; looks for new keys at most once.
pub(crate) struct Opener<'a> {
    keyring: Arc<Keyring>,
    keys: Option<&'a dyn KeySource>,
}

impl Opener<'_> {
    /// Opens a sealed text.
    pub(crate) async fn open(
        &mut self,
        table: &'static str,
        cell: &Cell<'_>,
        sealed: &[u8],
    ) -> Result<SecretString, StoreError> {
        let mut opened = self.keyring.open(cell, sealed);
        if matches!(opened, Err(OpenError::UnknownKey(_)))
            && let Some(keys) = self.keys.take()
        {
            self.keyring = keys.look_again().await;
            opened = self.keyring.open(cell, sealed);
        }
        let plaintext = opened.map_err(|reason| StoreError::Unopened { table, key_id: reason.key_id(), reason })?;
        std::str::from_utf8(plaintext.expose_secret())
            .map(SecretString::from)
            .map_err(|_| StoreError::Malformed { table, attribute: "value" })
    }
}
