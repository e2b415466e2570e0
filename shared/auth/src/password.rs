//! Password rules and password hashes.
//!
//! A hash deliberately costs tens of milliseconds of CPU and 19 MiB; callers compute it outside of the request's thread
//! and bound the number of concurrent computations.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{PasswordVerifier, phc},
};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use portcullis_crypto::{Randomness, constant_time_eq};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use unicode_normalization::UnicodeNormalization;

/// Minimum length of a new password in characters. Source: better-auth's `minPasswordLength`, NIST SP 800-63B §5.1.1.2.
pub const MINIMUM_LENGTH: usize = 8;
/// Maximum length of a password in characters. Source: better-auth's `maxPasswordLength`.
pub const MAXIMUM_LENGTH: usize = 128;

/// Memory of one Argon2id computation in KiB. Source: OWASP, "Password Storage Cheat Sheet", Argon2id m=19456, t=2,
/// p=1.
pub const ARGON2_MEMORY_KIB: u32 = 19_456;
/// Passes of one Argon2id computation over its memory. Source: OWASP, see [`ARGON2_MEMORY_KIB`].
pub const ARGON2_PASSES: u32 = 2;
/// Lanes of one Argon2id computation. Source: OWASP, see [`ARGON2_MEMORY_KIB`].
pub const ARGON2_LANES: u32 = 1;
/// Length of a hash in bytes. Source: RFC 9106 §3.1.
const HASH_LENGTH: usize = 32;
/// Length of a random salt in bytes. Source: RFC 9106 §3.1.
const SALT_LENGTH: usize = 16;

/// The most common passwords of at least [`MINIMUM_LENGTH`] characters, in lower case, sorted by bytes.
///
/// Source: the list of 20,000 that Royce Williams compiled from leaked passwords and that Django ships, without those
/// of fewer than 8 characters and those that were decoded wrongly.
const COMMON_PASSWORDS: &str = include_str!("common_passwords.txt");

/// Why a text is rejected as a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password has fewer than [`MINIMUM_LENGTH`] characters.
    #[error("the password has fewer than {MINIMUM_LENGTH} characters")]
    TooShort,
    /// The password has more than [`MAXIMUM_LENGTH`] characters.
    #[error("the password has more than {MAXIMUM_LENGTH} characters")]
    TooLong,
    /// The password is in the list of the most common ones, which attackers try first.
    #[error("the password is one of the most common ones")]
    Common,
}

/// A password in Unicode normalization form KC, so that it matches however a keyboard composes it.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// Validates a new password.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn chosen(text: &str) -> Result<Self, PasswordError> {
        let password = Self::presented(text)?;
        if text.chars().count() < MINIMUM_LENGTH {
            return Err(PasswordError::TooShort);
        }
        if password.is_common() { Err(PasswordError::Common) } else { Ok(password) }
    }

    /// Validates a password for comparison with a stored hash. An older password may break the rules for new ones.
    ///
    /// # Errors
    /// [`PasswordError::TooLong`].
    pub fn presented(text: &str) -> Result<Self, PasswordError> {
        if text.chars().nth(MAXIMUM_LENGTH).is_some() {
            return Err(PasswordError::TooLong);
        }
        Ok(Self(text.nfkc().collect::<String>().into()))
    }

    fn is_common(&self) -> bool {
        let lower = Zeroizing::new(self.0.expose_secret().to_lowercase());
        contains_line(COMMON_PASSWORDS, &lower)
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(..)")
    }
}

/// Binary search in lines that are sorted by bytes, without copying them.
fn contains_line(sorted: &str, wanted: &str) -> bool {
    let mut rest = sorted;
    loop {
        let middle = rest.len() / 2;
        let bytes = rest.as_bytes();
        let start = bytes.iter().take(middle).rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let end = bytes.iter().skip(start).position(|byte| *byte == b'\n').map_or(rest.len(), |length| start + length);
        let Some(line) = rest.get(start..end).filter(|line| !line.is_empty()) else { return false };
        rest = match wanted.cmp(line) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => rest.get(..start).unwrap_or_default(),
            std::cmp::Ordering::Greater => rest.get(end + 1..).unwrap_or_default(),
        };
    }
}

/// A stored password hash: a PHC string of Argon2id, or better-auth's form of scrypt.
#[derive(Clone)]
pub struct PasswordHash(SecretString);

/// Error of parsing a stored password hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is neither a PHC string of Argon2id nor salt:key of scrypt in hex digits")]
pub struct InvalidPasswordHash;

/// Outcome of comparing a password with a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password does not match.
    Wrong,
    /// The password matches.
    Right,
    /// The password matches, but the hash is of another kind or has weaker parameters than new ones: replace it.
    Outdated,
}

/// Memory of one computation at a time, reused: with a new allocation for each computation, the allocator would keep
/// several times as much.
#[derive(Default)]
pub struct HashMemory(Vec<Block>);

impl HashMemory {
    /// Computes Argon2id with the parameters of new hashes.
    fn argon2id(&mut self, password: &Password, salt: &[u8]) -> Result<[u8; HASH_LENGTH], HashFailed> {
        let argon2 = argon2()?;
        let count = argon2.params().block_count();
        if self.0.is_empty() {
            self.0.try_reserve_exact(count).map_err(|_| HashFailed)?;
            self.0.resize(count, Block::new());
        }
        let mut hash = [0; HASH_LENGTH];
        let computed = argon2.hash_password_into_with_memory(password.as_bytes(), salt, &mut hash, &mut self.0);
        // Wipes the intermediate state, which would allow guessing the password.
        self.0.fill(Block::new());
        computed.map(|()| hash).map_err(|_| HashFailed)
    }
}

impl fmt::Debug for HashMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HashMemory(..)")
    }
}

impl PasswordHash {
    /// Hashes a password with Argon2id and a random salt.
    ///
    /// # Errors
    /// [`HashFailed`] if the memory cannot be allocated.
    pub fn of(password: &Password, randomness: &dyn Randomness, memory: &mut HashMemory) -> Result<Self, HashFailed> {
        let mut salt = [0; SALT_LENGTH];
        randomness.fill(&mut salt);
        let hash = memory.argon2id(password, &salt)?;
        let [salt, hash] = [&salt[..], &hash].map(|bytes| BASE64_STANDARD_NO_PAD.encode(bytes));
        let parameters = format!("m={ARGON2_MEMORY_KIB},t={ARGON2_PASSES},p={ARGON2_LANES}");
        Ok(Self(format!("$argon2id$v=19${parameters}${salt}${hash}").into()))
    }

    /// Parses a stored hash.
    ///
    /// # Errors
    /// [`InvalidPasswordHash`].
    pub fn parse(text: &str) -> Result<Self, InvalidPasswordHash> {
        let is_argon2id = phc::PasswordHash::new(text).is_ok_and(|hash| hash.algorithm.as_str() == "argon2id");
        let is_hash = is_argon2id || scrypt_parts(text).is_some();
        if is_hash { Ok(Self(text.into())) } else { Err(InvalidPasswordHash) }
    }

    /// Compares a password with the hash.
    ///
    /// # Errors
    /// [`HashFailed`].
    pub fn verify(&self, password: &Password, memory: &mut HashMemory) -> Result<Verdict, HashFailed> {
        let stored = self.0.expose_secret();
        if let Some((salt, key)) = scrypt_parts(stored) {
            let derived = better_auth_scrypt(password, salt)?;
            return Ok(if constant_time_eq(&*derived, &key) { Verdict::Outdated } else { Verdict::Wrong });
        }
        let hash = phc::PasswordHash::new(stored).map_err(|_| HashFailed)?;
        if let (true, Some(salt), Some(kept)) = (has_current_parameters(&hash), &hash.salt, &hash.hash) {
            let computed = memory.argon2id(password, salt)?;
            return Ok(if constant_time_eq(&computed, kept.as_bytes()) { Verdict::Right } else { Verdict::Wrong });
        }
        match argon2()?.verify_password(password.as_bytes(), &hash) {
            Ok(()) => Ok(Verdict::Outdated),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verdict::Wrong),
            Err(_) => Err(HashFailed),
        }
    }

    /// The hash as it is stored.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash(..)")
    }
}

/// The hash could not be computed: memory allocation failed, or the stored hash has invalid parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password's hash could not be computed")]
pub struct HashFailed;

fn argon2() -> Result<Argon2<'static>, HashFailed> {
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, None).map_err(|_| HashFailed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn has_current_parameters(hash: &phc::PasswordHash) -> bool {
    let is = |name: &str, value: u32| hash.params.get_decimal(name) == Some(value);
    let is_whole = hash.hash.is_some_and(|hash| hash.len() == HASH_LENGTH);
    hash.version == Some(Version::V0x13.into())
        && is_whole
        && is("m", ARGON2_MEMORY_KIB)
        && is("t", ARGON2_PASSES)
        && is("p", ARGON2_LANES)
}

const SCRYPT_KEY_LENGTH: usize = 64;

/// Splits a hash of better-auth, `salt:key` in hex digits. The digits themselves are the salt, not the bytes they
/// encode.
fn scrypt_parts(text: &str) -> Option<(&str, [u8; SCRYPT_KEY_LENGTH])> {
    let (salt, key) = text.split_once(':')?;
    let is_salt = (16..=128).contains(&salt.len()) && salt.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut bytes = [0; SCRYPT_KEY_LENGTH];
    hex::decode_to_slice(key, &mut bytes).ok().filter(|()| is_salt).map(|()| (salt, bytes))
}

/// Derives better-auth's key. Source: npm `@better-auth/utils`, `password`: scrypt with N=16384, r=16, p=1, 64 bytes.
fn better_auth_scrypt(password: &Password, salt: &str) -> Result<Zeroizing<[u8; SCRYPT_KEY_LENGTH]>, HashFailed> {
    let params = scrypt::Params::new(14, 16, 1).map_err(|_| HashFailed)?;
    let mut key = Zeroizing::new([0; SCRYPT_KEY_LENGTH]);
    scrypt::scrypt(password.as_bytes(), salt.as_bytes(), &params, &mut *key).map_err(|_| HashFailed)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordHasher;

    use super::*;

    struct Zeros;

    impl Randomness for Zeros {
        fn fill(&self, destination: &mut [u8]) {
            destination.fill(0);
        }
    }

    #[test]
    fn a_password_has_8_to_128_characters_of_any_script() {
        assert_eq!(Password::chosen("1a!4567").unwrap_err(), PasswordError::TooShort);
        assert!(Password::chosen("1a!45678").is_ok());
        assert!(Password::chosen(&"密".repeat(128)).is_ok());
        assert_eq!(Password::chosen(&"密".repeat(129)).unwrap_err(), PasswordError::TooLong);
        assert_eq!(Password::presented(&"x".repeat(129)).unwrap_err(), PasswordError::TooLong);
        assert!(Password::presented("").is_ok(), "one that is compared may be from before a rule");
    }

    #[test]
    fn a_common_password_is_refused_in_any_case_and_composition() {
        for common in ["password", "PassWord", "12345678", "qwertyuiop", "ｐａｓｓｗｏｒｄ", "iloveyou"] {
            assert_eq!(Password::chosen(common).unwrap_err(), PasswordError::Common, "{common}");
        }
        assert!(Password::chosen("correct horse battery staple").is_ok());
    }

    #[test]
    fn the_search_finds_each_line_and_nothing_else() {
        let lines: Vec<_> = COMMON_PASSWORDS.lines().collect();
        assert!(lines.len() > 8_000 && lines.is_sorted());
        for line in &lines {
            assert!(contains_line(COMMON_PASSWORDS, line), "{line}");
        }
        for absent in ["", "a", "~~~~~~~~~~~", "password\npassword1", "\u{10ffff}"] {
            assert!(!contains_line(COMMON_PASSWORDS, absent), "{absent}");
        }
        assert!(!contains_line("", "a") && contains_line("a", "a") && contains_line("a\nb", "b"));
    }

    #[test]
    fn a_hash_is_of_its_password_alone_however_that_is_composed() {
        let hash =
            PasswordHash::of(&Password::chosen("caf\u{e9} au lait").unwrap(), &Zeros, &mut HashMemory::default())
                .unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
        let verify = |text: &str| hash.verify(&Password::presented(text).unwrap(), &mut HashMemory::default()).unwrap();
        assert_eq!(verify("caf\u{e9} au lait"), Verdict::Right);
        assert_eq!(verify("cafe\u{301} au lait"), Verdict::Right);
        assert_eq!(verify("cafe au lait"), Verdict::Wrong);
        assert_eq!(PasswordHash::parse(hash.expose()).unwrap().expose(), hash.expose());
    }

    #[test]
    fn a_hash_is_the_librarys_own_and_memory_that_was_used_before_changes_nothing() {
        let password = Password::chosen("correct horse battery").unwrap();
        let librarys = argon2().unwrap().hash_password_with_salt(password.as_bytes(), &[0; SALT_LENGTH]).unwrap();
        let mut memory = HashMemory::default();
        for _ in 0..2 {
            let hash = PasswordHash::of(&password, &Zeros, &mut memory).unwrap();
            assert_eq!(hash.expose(), librarys.to_string());
            assert!(memory.0.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)), "it is wiped");
            assert_eq!(hash.verify(&password, &mut memory), Ok(Verdict::Right));
            let other = Password::presented("correct horse batterz").unwrap();
            assert_eq!(hash.verify(&other, &mut memory), Ok(Verdict::Wrong));
        }
    }

    #[test]
    fn a_hash_with_weaker_parameters_counts_and_is_outdated() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        let weak = weak.hash_password_with_salt(b"a long password", &[7; 16]).unwrap().to_string();
        let weak = PasswordHash::parse(&weak).unwrap();
        assert_eq!(
            weak.verify(&Password::presented("a long password").unwrap(), &mut HashMemory::default()),
            Ok(Verdict::Outdated)
        );
        assert_eq!(
            weak.verify(&Password::presented("another password").unwrap(), &mut HashMemory::default()),
            Ok(Verdict::Wrong)
        );
    }

    #[test]
    fn a_hash_is_current_only_with_each_of_todays_parameters() {
        let verdict = |version, (memory, passes, lanes), length| {
            let params = Params::new(memory, passes, lanes, Some(length)).unwrap();
            let hash = Argon2::new(Algorithm::Argon2id, version, params);
            let hash = hash.hash_password_with_salt(b"a long password", &[7; SALT_LENGTH]).unwrap().to_string();
            let presented = Password::presented("a long password").unwrap();
            PasswordHash::parse(&hash).unwrap().verify(&presented, &mut HashMemory::default()).unwrap()
        };
        let (version, params) = (Version::V0x13, (ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES));
        assert_eq!(verdict(version, params, HASH_LENGTH), Verdict::Right);
        assert_eq!(verdict(Version::V0x10, params, HASH_LENGTH), Verdict::Outdated);
        assert_eq!(verdict(version, params, HASH_LENGTH / 2), Verdict::Outdated);
        for other in [
            (ARGON2_MEMORY_KIB / 2, ARGON2_PASSES, ARGON2_LANES),
            (ARGON2_MEMORY_KIB, ARGON2_PASSES - 1, ARGON2_LANES),
            (ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES + 1),
        ] {
            assert_eq!(verdict(version, other, HASH_LENGTH), Verdict::Outdated, "{other:?}");
        }
    }

    /// Made by npm `@better-auth/utils` 0.5.1, `hashPassword("pässword ﬁne")`.
    const SCRYPT: &str = "ef327b35ff081b3b977b76e39a3479f0:8bd328e0509cddff923d6ed76f76e0d01458c9900beb3990a44eaf2a66f81993d9f841bfd86cbc7828fce0d02e9340f6f088d443e349c279ca4efd8aedc81af2";

    #[test]
    fn a_hash_that_better_auth_made_counts_and_is_outdated() {
        let hash = PasswordHash::parse(SCRYPT).unwrap();
        assert_eq!(
            hash.verify(&Password::presented("pässword ﬁne").unwrap(), &mut HashMemory::default()),
            Ok(Verdict::Outdated)
        );
        assert_eq!(
            hash.verify(&Password::presented("pässword fine").unwrap(), &mut HashMemory::default()),
            Ok(Verdict::Outdated)
        );
        assert_eq!(
            hash.verify(&Password::presented("password fine").unwrap(), &mut HashMemory::default()),
            Ok(Verdict::Wrong)
        );
    }

    #[test]
    fn text_that_is_not_a_hash_is_refused() {
        let key = "ab".repeat(64);
        let with_salt = |salt: &str| format!("{salt}:{key}");
        for wrong in ["", ":", "$argon2i$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAA", &key, "a:b"]
            .map(str::to_owned)
            .into_iter()
            .chain(["xyz", &"a".repeat(15), &"a".repeat(129), &"z".repeat(16)].map(with_salt))
        {
            assert_eq!(PasswordHash::parse(&wrong).unwrap_err(), InvalidPasswordHash, "{wrong}");
        }
        assert!(PasswordHash::parse(&with_salt(&"a".repeat(16))).is_ok());
        assert!(PasswordHash::parse(&with_salt(&"a".repeat(128))).is_ok());
    }

    #[test]
    fn neither_a_password_nor_its_hash_is_printed() {
        let password = Password::chosen("918273 and more").unwrap();
        let hash = PasswordHash::of(&password, &Zeros, &mut HashMemory::default()).unwrap();
        let printed = format!("{password:?} {hash:?} {:?}", HashMemory::default());
        assert_eq!(printed, "Password(..) PasswordHash(..) HashMemory(..)");
    }
}
