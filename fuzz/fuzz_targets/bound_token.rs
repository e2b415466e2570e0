//! Fuzzes the check of bound tokens: nothing panics, and only the issued text is accepted.
//!
//! Input: a byte with the position at which a genuine token is cut, then the text to put there.
#![no_main]

use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use portcullis_auth::{Generation, RuntimeGrant, SkillGrant, SkillSet};
use portcullis_crypto::Keyring;
use secrecy::ExposeSecret;

static KEYRING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::from_single_key(&"11".repeat(32)).expect("a key of 64 digits"));

static TOKENS: LazyLock<[String; 2]> = LazyLock::new(|| {
    let pool = "pool".parse().expect("a pool");
    let skills = SkillSet::only(["maps".parse().expect("a skill")]).expect("one skill");
    let (generation, expires_at) = (Generation(1), Timestamp::from_second(4_102_444_800).expect("a time"));
    let runtime = RuntimeGrant { pool, generation, expires_at };
    let skill = SkillGrant { pool: runtime.pool.clone(), skills, generation, expires_at };
    [skill.issue(&KEYRING), runtime.issue(&KEYRING)].map(|token| token.expose_secret().to_owned())
});

fuzz_target!(|input: &[u8]| {
    let Some((&cut, text)) = input.split_first() else { return };
    for genuine in TOKENS.iter() {
        let at = usize::from(cut).min(genuine.len());
        // Three tokens: the input alone, a genuine token cut and continued with it, and one overwritten in the middle.
        let continued = [&genuine.as_bytes()[..at], text].concat();
        let rest = genuine.as_bytes().get(at + text.len()..).unwrap_or_default();
        let overwritten = [continued.as_slice(), rest].concat();
        for token in [text, &continued, &overwritten] {
            let taken = [
                SkillGrant::check(&KEYRING, token, Timestamp::UNIX_EPOCH).is_ok(),
                RuntimeGrant::check(&KEYRING, token, Timestamp::UNIX_EPOCH).is_ok(),
            ];
            let issued = [TOKENS[0].as_bytes() == token, TOKENS[1].as_bytes() == token];
            assert_eq!(taken, issued, "{}", String::from_utf8_lossy(token));
        }
    }
});
