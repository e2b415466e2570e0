//! Tests of tokens bound to a pool: the checked grant equals the issued one, and only the issued text is accepted.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{Timestamp, ToSpan};
use portcullis_auth::{
    BoundTokenError, Generation, PoolId, RuntimeGrant, SkillGrant, SkillName, SkillSet, TooManySkills,
    bound_token::{MAXIMUM_SKILLS, MAXIMUM_TOKEN_LENGTH},
};
use portcullis_crypto::{KeyId, Keyring};
use proptest::prelude::*;
use secrecy::ExposeSecret;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// Keyring whose key `n` is the byte `n` 32 times, under the id that is `n` 4 times.
fn keyring_of(current: u8, keys: &[u8]) -> Keyring {
    let of = |byte: u8, times| hex::encode(vec![byte; times]);
    let keys: Vec<_> = keys.iter().map(|n| format!(r#""{}":"{}""#, of(*n, 4), of(*n, 32))).collect();
    Keyring::from_json(&format!(r#"{{"current":"{}","keys":{{{}}}}}"#, of(current, 4), keys.join(","))).unwrap()
}

fn skill_grant() -> SkillGrant {
    let skills = SkillSet::only(["mail", "maps"].map(|name| name.parse().unwrap())).unwrap();
    SkillGrant { pool: "pool-1".parse().unwrap(), skills, generation: Generation(3), expires_at: NOW + 1.hour() }
}

fn runtime_grant() -> RuntimeGrant {
    RuntimeGrant { pool: "pool-1".parse().unwrap(), generation: Generation(3), expires_at: NOW + 1.hour() }
}

fn issue_skill(keyring: &Keyring) -> String {
    skill_grant().issue(keyring).expose_secret().to_owned()
}

fn issue_runtime(keyring: &Keyring) -> String {
    runtime_grant().issue(keyring).expose_secret().to_owned()
}

/// Errors of checking `token` as a skill token and as a runtime token.
fn refusals(keyring: &Keyring, token: &[u8]) -> [BoundTokenError; 2] {
    [SkillGrant::check(keyring, token, NOW).unwrap_err(), RuntimeGrant::check(keyring, token, NOW).unwrap_err()]
}

fn pools() -> impl Strategy<Value = PoolId> {
    prop_oneof!["[a-z0-9-]{1,20}", "\\PC{1,128}"].prop_filter_map("not a pool's id", |text| text.parse().ok())
}

fn skills() -> impl Strategy<Value = SkillSet> {
    let names = proptest::collection::btree_set("[a-z0-9_-]{1,64}", 0..=MAXIMUM_SKILLS);
    let only = |names: BTreeSet<String>| SkillSet::only(names.iter().map(|name| name.parse().unwrap())).unwrap();
    prop_oneof![Just(SkillSet::All), names.prop_map(only)]
}

/// Any instant of this century, in whole milliseconds, as the tokens store it.
fn instants() -> impl Strategy<Value = Timestamp> {
    (1..4_000_000_000_000_i64).prop_map(|millisecond| Timestamp::from_millisecond(millisecond).unwrap())
}

proptest! {
    #[test]
    fn a_skill_token_grants_what_it_was_issued_for_until_its_expiry(
        pool in pools(), skills in skills(), generation: u64, expires_at in instants()
    ) {
        let keyring = keyring_of(1, &[1]);
        let grant = SkillGrant { pool, skills, generation: Generation(generation), expires_at };
        let token = grant.issue(&keyring);
        let token = token.expose_secret().as_bytes();
        prop_assert!(SkillGrant::is_claimed_by(token) && !RuntimeGrant::is_claimed_by(token));
        prop_assert_eq!(SkillGrant::check(&keyring, token, expires_at - 1.millisecond()), Ok(grant));
        prop_assert_eq!(SkillGrant::check(&keyring, token, expires_at), Err(BoundTokenError::Expired));
        prop_assert_eq!(RuntimeGrant::check(&keyring, token, NOW), Err(BoundTokenError::Malformed));
    }

    #[test]
    fn a_runtime_token_grants_what_it_was_issued_for_until_its_expiry(
        pool in pools(), generation: u64, expires_at in instants()
    ) {
        let keyring = keyring_of(1, &[1]);
        let grant = RuntimeGrant { pool, generation: Generation(generation), expires_at };
        let token = grant.issue(&keyring);
        let token = token.expose_secret().as_bytes();
        prop_assert!(RuntimeGrant::is_claimed_by(token) && !SkillGrant::is_claimed_by(token));
        prop_assert_eq!(RuntimeGrant::check(&keyring, token, expires_at - 1.millisecond()), Ok(grant));
        prop_assert_eq!(RuntimeGrant::check(&keyring, token, expires_at), Err(BoundTokenError::Expired));
        prop_assert_eq!(SkillGrant::check(&keyring, token, NOW), Err(BoundTokenError::Malformed));
    }

    #[test]
    fn two_different_grants_have_two_different_tokens(one in (pools(), skills()), other in (pools(), skills())) {
        prop_assume!(one != other);
        let keyring = keyring_of(1, &[1]);
        let [one, other] = [one, other].map(|(pool, skills)| SkillGrant { pool, skills, ..skill_grant() }.issue(&keyring));
        prop_assert_ne!(one.expose_secret(), other.expose_secret());
    }

    #[test]
    fn a_token_with_any_character_replaced_is_refused(at: prop::sample::Index, by in any::<char>()) {
        let keyring = keyring_of(1, &[1]);
        for token in [issue_skill(&keyring), issue_runtime(&keyring)] {
            let at = at.index(token.len());
            prop_assume!(!token[at..].starts_with(by));
            let changed = format!("{}{by}{}", &token[..at], &token[at + 1..]);
            refusals(&keyring, changed.as_bytes());
        }
    }

    #[test]
    fn no_bytes_make_a_check_panic_or_pass(prefix in "(pst_|prt_)?", rest in proptest::collection::vec(any::<u8>(), 0..300)) {
        refusals(&keyring_of(1, &[1]), &[prefix.as_bytes(), &rest].concat());
    }

    #[test]
    fn nothing_of_a_tokens_shape_makes_a_check_panic_or_pass(
        prefix in "(pst_|prt_)", payload in proptest::collection::vec(any::<u8>(), 0..60), mac: [u8; 32]
    ) {
        let payload = [&[1, 1, 1, 1], payload.as_slice()].concat();
        let token = format!("{prefix}{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(mac));
        prop_assert!(refusals(&keyring_of(1, &[1]), token.as_bytes()).contains(&BoundTokenError::NotAuthentic));
    }
}

/// Exhaustive where the property above samples: each position, each character of the alphabet.
#[test]
fn no_single_character_of_a_token_has_a_second_spelling() {
    let keyring = keyring_of(1, &[1]);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/= ";
    for token in [issue_skill(&keyring), issue_runtime(&keyring)] {
        for at in 0..token.len() {
            for by in alphabet.chars().filter(|by| !token[at..].starts_with(*by)) {
                let changed = format!("{}{by}{}", &token[..at], &token[at + 1..]);
                refusals(&keyring, changed.as_bytes());
            }
            refusals(&keyring, format!("{}{}", &token[..at], &token[at + 1..]).as_bytes());
        }
    }
}

/// 32 bytes are 43 characters with 2 spare bits: if set, they spell the same MAC another way.
#[test]
fn a_token_whose_base64_is_not_canonical_is_refused_before_it_is_verified() {
    let keyring = keyring_of(1, &[1]);
    let token = issue_runtime(&keyring);
    let (rest, last) = token.split_at(token.len() - 1);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = alphabet.iter().position(|character| last.as_bytes() == [*character]).unwrap();
    assert_eq!(value % 4, 0, "the spare bits of what is issued are zero");
    for spare in 1..4 {
        let changed = format!("{rest}{}", char::from(alphabet[value + spare]));
        assert_eq!(refusals(&keyring, changed.as_bytes())[1], BoundTokenError::Malformed);
    }
    for padded in [format!("{token}="), token.replace('.', "=."), format!("{token}\n"), format!(" {token}")] {
        assert_eq!(refusals(&keyring, padded.as_bytes()), [BoundTokenError::Malformed; 2]);
    }
}

#[test]
fn a_token_of_one_kind_is_never_one_of_the_other_also_not_with_its_prefix() {
    let keyring = keyring_of(1, &[1]);
    let (skill, runtime) = (issue_skill(&keyring), issue_runtime(&keyring));
    assert!(SkillGrant::check(&keyring, skill.as_bytes(), NOW).is_ok());
    assert!(RuntimeGrant::check(&keyring, runtime.as_bytes(), NOW).is_ok());
    assert_eq!(RuntimeGrant::check(&keyring, skill.as_bytes(), NOW), Err(BoundTokenError::Malformed));
    assert_eq!(SkillGrant::check(&keyring, runtime.as_bytes(), NOW), Err(BoundTokenError::Malformed));
    let as_runtime = skill.replacen("pst_", "prt_", 1);
    let as_skill = runtime.replacen("prt_", "pst_", 1);
    assert_eq!(RuntimeGrant::check(&keyring, as_runtime.as_bytes(), NOW), Err(BoundTokenError::NotAuthentic));
    assert_eq!(SkillGrant::check(&keyring, as_skill.as_bytes(), NOW), Err(BoundTokenError::NotAuthentic));
}

#[test]
fn the_halves_of_two_genuine_tokens_do_not_make_a_third() {
    let keyring = keyring_of(1, &[1]);
    let (one, other) = (issue_skill(&keyring), issue_runtime(&keyring));
    let ((claims, mac), (other_claims, other_mac)) = (one.split_once('.').unwrap(), other.split_once('.').unwrap());
    for mixed in [format!("{claims}.{other_mac}"), format!("{other_claims}.{mac}"), format!("{one}.{mac}")] {
        refusals(&keyring, mixed.as_bytes());
    }
}

/// The MAC's key is derived for the kind: the keyring's other uses sign no token.
#[test]
fn a_token_signed_for_another_purpose_under_the_same_key_is_refused() {
    let keyring = keyring_of(1, &[1]);
    let token = issue_skill(&keyring);
    let (signed, _) = token.split_once('.').unwrap();
    for purpose in ["", "portcullis/runtime-token/v1", "portcullis/skill-token/v2"] {
        let mac = keyring.derive_current(purpose).1.sign(signed.as_bytes());
        let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac));
        assert_eq!(refusals(&keyring, forged.as_bytes())[0], BoundTokenError::NotAuthentic);
    }
}

#[test]
fn a_token_outlives_a_rotation_and_ends_with_its_key() {
    let token = issue_skill(&keyring_of(1, &[1]));
    let check = |keyring: &Keyring| SkillGrant::check(keyring, token.as_bytes(), NOW);
    assert_eq!(check(&keyring_of(2, &[1, 2])), Ok(skill_grant()));
    assert_eq!(check(&keyring_of(2, &[2])), Err(BoundTokenError::UnknownKey(KeyId::from_bytes([1; 4]))));
    assert_eq!(issue_skill(&keyring_of(1, &[1, 2])), token, "the same key signs the same");
    assert_ne!(issue_skill(&keyring_of(2, &[1, 2])), token);
}

#[test]
fn an_expired_token_that_is_not_genuine_is_not_told_that_it_expired() {
    let keyring = keyring_of(1, &[1]);
    let late = NOW + 2.hours();
    let mut token = issue_skill(&keyring);
    assert_eq!(SkillGrant::check(&keyring, token.as_bytes(), late), Err(BoundTokenError::Expired));
    let last = token.pop().unwrap();
    token.push(if last == 'A' { 'E' } else { 'A' });
    assert_eq!(SkillGrant::check(&keyring, token.as_bytes(), late), Err(BoundTokenError::NotAuthentic));
}

#[test]
fn the_longest_token_that_can_be_issued_fits_and_one_byte_past_the_limit_is_not_looked_at() {
    let keyring = keyring_of(1, &[1]);
    let names = |count: usize| (0..count).map(|n| format!("{n:-<64}").parse::<SkillName>().unwrap());
    let skills = SkillSet::only(names(MAXIMUM_SKILLS)).unwrap();
    assert!(names(MAXIMUM_SKILLS).all(|name| name.as_str().len() == 64 && skills.contains(&name)));
    let generation = Generation(u64::MAX);
    let expires_at = Timestamp::from_second(253_402_200_000).unwrap();
    for character in ["\u{10348}", "\"", "\u{2028}"] {
        let pool: PoolId = character.repeat(128).parse().unwrap();
        let grant = SkillGrant { pool, skills: skills.clone(), generation, expires_at };
        let token = grant.issue(&keyring);
        let token = token.expose_secret();
        assert!(token.len() <= MAXIMUM_TOKEN_LENGTH, "{} bytes", token.len());
        assert_eq!(SkillGrant::check(&keyring, token.as_bytes(), NOW), Ok(grant));
    }
    assert_eq!(refusals(&keyring, &vec![b'A'; 1 << 20]), [BoundTokenError::Malformed; 2]);
    let oversized = format!("pst_{}.{}", "AQEB".repeat(MAXIMUM_TOKEN_LENGTH / 4), "A".repeat(43));
    assert_eq!(refusals(&keyring, oversized.as_bytes())[0], BoundTokenError::Malformed);
}

#[test]
fn more_skills_than_a_token_holds_cannot_be_named() {
    let names = |count: usize| (0..count).map(|n| format!("skill-{n}").parse::<SkillName>().unwrap());
    assert!(SkillSet::only(names(MAXIMUM_SKILLS)).is_ok());
    assert_eq!(SkillSet::only(names(MAXIMUM_SKILLS + 1)), Err(TooManySkills));
    assert_eq!(SkillSet::only((0..).map(|n: u64| format!("skill-{n}").parse().unwrap())), Err(TooManySkills));
    assert!(SkillSet::only(names(MAXIMUM_SKILLS).chain(names(MAXIMUM_SKILLS))).is_ok(), "twins count once");
}

#[test]
fn a_set_of_skills_contains_what_it_names_and_all_contains_each() {
    let [mail, maps] = ["mail", "maps"].map(|name| name.parse::<SkillName>().unwrap());
    let only = SkillSet::only([maps.clone()]).unwrap();
    assert!(only.contains(&maps) && !only.contains(&mail));
    assert!(SkillSet::All.contains(&mail));
    let none = SkillSet::only([]).unwrap();
    assert!(!none.contains(&maps), "naming none is not naming all");
    let keyring = keyring_of(1, &[1]);
    let grant = SkillGrant { skills: none, ..skill_grant() };
    let token = grant.issue(&keyring);
    assert_eq!(SkillGrant::check(&keyring, token.expose_secret().as_bytes(), NOW), Ok(grant));
}

/// Only a later version could sign these; a claim that narrows the grant must not be ignored.
#[test]
fn a_genuine_token_with_claims_that_we_do_not_know_is_refused() {
    let keyring = keyring_of(1, &[1]);
    let sign = |prefix: &str, purpose: &str, claims: &str| {
        let (id, key) = keyring.derive_current(purpose);
        let signed = format!("{prefix}{}", URL_SAFE_NO_PAD.encode([&id.to_bytes(), claims.as_bytes()].concat()));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())))
    };
    let skill =
        |claims: &str| SkillGrant::check(&keyring, sign("pst_", "portcullis/skill-token/v1", claims).as_bytes(), NOW);
    let runtime = |claims: &str| {
        RuntimeGrant::check(&keyring, sign("prt_", "portcullis/runtime-token/v1", claims).as_bytes(), NOW)
    };
    let known = r#"{"pool":"pool-1","generation":3,"expires":1000"#;
    assert!(
        skill(&format!("{known}}}")).is_ok() && runtime(&format!("{known}}}")).is_ok(),
        "these are signed as ours are"
    );

    let malformed = BoundTokenError::Malformed;
    assert_eq!(skill(&format!(r#"{known},"bots":["bot-1"]}}"#)), Err(malformed));
    assert_eq!(runtime(&format!(r#"{known},"bots":["bot-1"]}}"#)), Err(malformed));
    assert_eq!(runtime(&format!(r#"{known},"skills":["maps"]}}"#)), Err(malformed));
    assert_eq!(skill(&format!(r#"{known},"skills":null}}"#)), Err(malformed), "null is not a way to say all");
    assert_eq!(skill(&format!(r#"{known},"pool":"pool-2"}}"#)), Err(malformed));
    assert_eq!(skill(&format!(r#"{known},"skills":["Maps"]}}"#)), Err(malformed));
    assert_eq!(skill(known), Err(malformed));
    assert_eq!(skill(r#"{"pool":"pool-1","generation":-1,"expires":1000}"#), Err(malformed));
    assert_eq!(skill(r#"{"pool":"pool-1","generation":3,"expires":9223372036854775807}"#), Err(malformed));
}

#[test]
fn a_token_is_looked_at_up_to_its_longest_and_not_beyond() {
    let keyring = keyring_of(1, &[1]);
    let mac = URL_SAFE_NO_PAD.encode([0; 32]);
    // Multiples of four characters, so that every length is one of whole base64.
    let of_length = |prefix: &str, length: usize| {
        let payload = length - prefix.len() - 1 - mac.len();
        let payload = URL_SAFE_NO_PAD.encode(vec![1; payload * 3 / 4]);
        format!("{prefix}{payload}.{mac}")
    };
    let at_limit = (MAXIMUM_TOKEN_LENGTH - 3..=MAXIMUM_TOKEN_LENGTH).map(|length| of_length("pst_", length));
    let at_limit: Vec<_> = at_limit.filter(|token| token.len() == MAXIMUM_TOKEN_LENGTH).collect();
    assert!(!at_limit.is_empty());
    for token in at_limit {
        let refused = SkillGrant::check(&keyring, token.as_bytes(), NOW).unwrap_err();
        assert_eq!(refused, BoundTokenError::NotAuthentic, "it is looked at");
        let longer = token.replacen("pst_", "pst_AQEB", 1);
        let refused = SkillGrant::check(&keyring, longer.as_bytes(), NOW).unwrap_err();
        assert_eq!(refused, BoundTokenError::Malformed, "it is not");
    }
}

#[test]
fn a_grant_expires_at_its_very_millisecond() {
    let keyring = keyring_of(1, &[1]);
    let token = issue_skill(&keyring);
    let end = NOW + 1.hour();
    assert!(SkillGrant::check(&keyring, token.as_bytes(), end - 1.millisecond()).is_ok());
    assert_eq!(SkillGrant::check(&keyring, token.as_bytes(), end), Err(BoundTokenError::Expired));
    let token = issue_runtime(&keyring);
    assert!(RuntimeGrant::check(&keyring, token.as_bytes(), end - 1.millisecond()).is_ok());
    assert_eq!(RuntimeGrant::check(&keyring, token.as_bytes(), end), Err(BoundTokenError::Expired));
}
