//! The keyring, which seals and opens the store's secret columns.

mod parse;
mod sealing_key;

use std::{collections::HashMap, fmt};

use secrecy::{SecretBox, SecretSlice};

use crate::{Cell, Digest, Domain, MacKey, Randomness};
pub use parse::KeyringError;
use sealing_key::{NONCE_LENGTH, NotAuthentic, SealingKey, TAG_LENGTH};

/// Version of the only format: `version(1) ‖ key id(4) ‖ nonce(12) ‖ ciphertext ‖ tag(16)`.
const VERSION: u8 = 1;
const KEY_ID_LENGTH: usize = 4;
const HEADER_LENGTH: usize = 1 + KEY_ID_LENGTH;

/// Bytes that a sealed value is longer than its plaintext.
pub const SEALED_OVERHEAD: usize = HEADER_LENGTH + NONCE_LENGTH + TAG_LENGTH;

/// Id of a key in a keyring; printed as 8 lower-case hex digits. It reveals no more of the key than a SHA-256 does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_ID_LENGTH]);

impl KeyId {
    /// Key id of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_ID_LENGTH]) -> Self {
        Self(bytes)
    }

    /// Bytes of the key id.
    #[must_use]
    pub fn to_bytes(self) -> [u8; KEY_ID_LENGTH] {
        self.0
    }

    /// Id of a key that was configured without one: the first bytes of its SHA-256.
    fn of_key(key: &[u8; 32]) -> Self {
        let [a, b, c, d, ..] = *Digest::of(key).as_bytes();
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

/// Why a sealed value did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The value is too short to be sealed.
    #[error("sealed value is too short")]
    TooShort,
    /// The value's format has a version that this code does not know.
    #[error("sealed value has unknown version {0}")]
    UnknownVersion(u8),
    /// The value was sealed under a key that the keyring does not hold.
    #[error("sealed under unknown key {0}")]
    UnknownKey(KeyId),
    /// The value was changed, truncated, moved from another cell, or sealed under another key with the same id.
    #[error("sealed value does not authenticate under key {0}")]
    NotAuthentic(KeyId),
}

impl OpenError {
    /// Id of the key in the value's header, if the header was readable.
    #[must_use]
    pub fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::TooShort | Self::UnknownVersion(_) => None,
            Self::UnknownKey(id) | Self::NotAuthentic(id) => Some(*id),
        }
    }
}

/// The encryption keys by id, one of them current: new values are sealed under it, old ones open under the key that
/// their header names.
///
/// AES-256-GCM with random 96-bit nonces: a key may seal 2³² values before a nonce is likely enough to repeat
/// (NIST SP 800-38D §8.3), so it is rotated before that.
pub struct Keyring {
    keys: HashMap<KeyId, SealingKey>,
    current: KeyId,
}

impl Keyring {
    fn new(current: KeyId, keys: impl IntoIterator<Item = (KeyId, SecretBox<[u8; 32]>)>) -> Result<Self, KeyringError> {
        let keys: HashMap<_, _> = keys.into_iter().map(|(id, material)| (id, SealingKey::new(material))).collect();
        if keys.contains_key(&current) {
            Ok(Self { keys, current })
        } else {
            Err(KeyringError::CurrentMissing(current))
        }
    }

    /// Keyring of one domain: HKDF-SHA256 (RFC 5869) derives a subkey from each key, with the domain's name in the
    /// label. A subkey keeps its key's id, and reveals nothing of that key or of another domain's.
    #[must_use]
    pub fn for_domain(&self, domain: Domain) -> Self {
        let label = format!("portcullis/keys/{domain}/v1");
        let keys = self.keys.iter().map(|(id, key)| (*id, key.subkey(&label))).collect();
        Self { keys, current: self.current }
    }

    /// Id of the key that [`Keyring::seal`] uses.
    #[must_use]
    pub fn current(&self) -> KeyId {
        self.current
    }

    /// Whether the keyring holds this key.
    #[must_use]
    pub fn contains(&self, id: KeyId) -> bool {
        self.keys.contains_key(&id)
    }

    /// Seals `plaintext` for one cell under the current key. The result is [`SEALED_OVERHEAD`] bytes longer.
    #[must_use]
    pub fn seal(&self, randomness: &dyn Randomness, cell: &Cell<'_>, plaintext: &[u8]) -> Vec<u8> {
        let key = self.keys.get(&self.current).unwrap_or_else(|| unreachable!("`new` requires the current key"));
        let mut sealed = Vec::with_capacity(plaintext.len() + SEALED_OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.current.0);
        let additional_data = cell.additional_data(&sealed);
        let mut nonce = [0; NONCE_LENGTH];
        randomness.fill(&mut nonce);
        sealed.extend_from_slice(&nonce);
        let start = sealed.len();
        sealed.extend_from_slice(plaintext);
        let (_, body) = sealed.split_at_mut(start);
        let tag = key.encrypt(nonce, &additional_data, body);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens a value that was sealed for this cell.
    ///
    /// # Errors
    /// [`OpenError`] if the value was truncated, changed, moved or sealed under a key that is not in the keyring.
    /// Nothing of an unauthentic value is returned.
    pub fn open(&self, cell: &Cell<'_>, sealed: &[u8]) -> Result<SecretSlice<u8>, OpenError> {
        let (header, rest) = sealed.split_first_chunk::<HEADER_LENGTH>().ok_or(OpenError::TooShort)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(OpenError::TooShort)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LENGTH>().ok_or(OpenError::TooShort)?;
        let [version, id @ ..] = *header;
        if version != VERSION {
            return Err(OpenError::UnknownVersion(version));
        }
        let id = KeyId(id);
        let key = self.keys.get(&id).ok_or(OpenError::UnknownKey(id))?;
        let mut plaintext = ciphertext.to_vec().into_boxed_slice();
        key.decrypt(*nonce, &cell.additional_data(header), &mut plaintext, *tag)
            .map_err(|NotAuthentic| OpenError::NotAuthentic(id))?;
        Ok(SecretBox::new(plaintext))
    }

    /// Derives the current key's subkey for one purpose. Returns it with the id to put beside what it signs.
    #[must_use]
    pub fn derive_current(&self, purpose: &str) -> (KeyId, MacKey) {
        let key = self.derive(self.current, purpose).unwrap_or_else(|| unreachable!("`new` requires the current key"));
        (self.current, key)
    }

    /// Derives the subkey of key `id` for one purpose: HKDF-SHA256 (RFC 5869) with the purpose as `info`. `None` if the
    /// keyring does not hold the key.
    #[must_use]
    pub fn derive(&self, id: KeyId, purpose: &str) -> Option<MacKey> {
        Some(self.keys.get(&id)?.derive(purpose))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids: Vec<_> = self.keys.keys().collect();
        ids.sort();
        formatter.debug_struct("Keyring").field("current", &self.current).field("ids", &ids).finish_non_exhaustive()
    }
}
