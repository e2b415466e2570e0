//! Settings from real files.

use std::os::unix::fs::PermissionsExt;

use super::*;

struct Counting(std::sync::atomic::AtomicU8);

impl Randomness for Counting {
    fn fill(&self, destination: &mut [u8]) {
        destination.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
}

fn randomness(start: u8) -> Counting {
    Counting(start.into())
}

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

fn get(settings: &Settings, name: &str) -> String {
    settings.get(name).map(|value| value.expose_secret().to_owned()).unwrap_or_default()
}

fn start(home: &Path, environment: &[(&str, &str)], randomness: &Counting) -> Settings {
    gather(settings(environment), &home.join(".env"), &home.join("data"), true, randomness).unwrap()
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_what_is_generated() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(".env"), "INTERNAL_API_TOKEN=file\nSKILL_API_TOKEN=file\n").unwrap();
    let settings =
        start(home.path(), &[("INTERNAL_API_TOKEN", "environment"), ("SLACK_SIGNING_SECRET", "")], &randomness(1));
    assert_eq!(get(&settings, "INTERNAL_API_TOKEN"), "environment");
    assert_eq!(get(&settings, "SKILL_API_TOKEN"), "file");
    assert_eq!(get(&settings, "SLACK_SIGNING_SECRET").len(), 64, "an empty one counts as missing");
    let generated = fs::read_to_string(home.path().join("data/dev.env")).unwrap();
    assert!(!generated.contains("TOKEN"), "what was given is not generated");
}

#[test]
fn what_is_generated_is_its_owners_alone_and_stays_the_same() {
    let home = tempfile::tempdir().unwrap();
    let first = start(home.path(), &[], &randomness(1));
    let mode = |path: &str| fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/dev.env")), (0o700, 0o600));
    let second = start(home.path(), &[], &randomness(100));
    for name in NEEDED.iter().chain(&NEEDED_BY_DEMO) {
        assert_eq!(get(&first, name).len(), 64, "{name}");
        assert_eq!(get(&first, name), get(&second, name), "{name}");
    }
    let distinct: std::collections::BTreeSet<_> = NEEDED.iter().map(|name| get(&first, name)).collect();
    assert_eq!(distinct.len(), NEEDED.len());
}

#[test]
fn no_setting_leads_to_aws() {
    let home = tempfile::tempdir().unwrap();
    let settings = start(home.path(), &[("SECRETS_PREFIX", "/portcullis/prod/")], &randomness(1));
    assert!(!settings.contains_key("SECRETS_PREFIX"));
}

#[test]
fn data_of_another_key_is_refused_by_the_keys_id() {
    let home = tempfile::tempdir().unwrap();
    let (old, new) = ("11".repeat(32), "22".repeat(32));
    let both = format!(r#"{{"current":"{n}","keys":{{"{n}":"{new}","{o}":"{old}"}}}}"#, n = id(&new), o = id(&old));
    check_keys_of(home.path(), &settings(&[(ENCRYPTION_KEY, &old)])).unwrap();
    check_keys_of(home.path(), &settings(&[(ENCRYPTION_KEY, &old)])).unwrap();
    let error = check_keys_of(home.path(), &settings(&[(ENCRYPTION_KEY, &new)])).unwrap_err().to_string();
    assert!(error.contains(&id(&old)) && !error.contains(&old), "{error}");
    check_keys_of(home.path(), &settings(&[(ENCRYPTION_KEYS, &both)])).unwrap();
    check_keys_of(home.path(), &settings(&[(ENCRYPTION_KEY, &new)])).expect("after a rotation the new key is enough");
}

fn id(key: &str) -> String {
    Keyring::from_single_key(key).unwrap().current().to_string()
}

#[test]
fn a_file_that_is_malformed_is_named_with_the_line() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(".env"), "INTERNAL_API_TOKEN\n").unwrap();
    let error = gather(Settings::new(), &home.path().join(".env"), home.path(), false, &randomness(1)).unwrap_err();
    assert!(error.to_string().ends_with(".env: line 1 is not NAME=value"), "{error}");
}
