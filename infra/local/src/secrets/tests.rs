//! Tests with real settings files.

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
    gather(settings(environment), &home.join(".env"), &home.join("data"), true, randomness).unwrap().settings
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
    assert!(!generated.contains("API_TOKEN="), "what was given is not generated");
}

#[test]
fn a_generated_secret_is_its_owners_alone_and_stays_the_same() {
    let home = tempfile::tempdir().unwrap();
    let first = start(home.path(), &[], &randomness(1));
    let mode = |path: &str| fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/dev.env")), (0o700, 0o600));
    let second = start(home.path(), &[], &randomness(100));
    for name in NEEDED.iter().chain(&NEEDED_BY_DEMO) {
        let length = if *name == DISCORD_BOT_TOKEN { 72 } else { 64 };
        assert_eq!(get(&first, name).len(), length, "{name}");
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

#[test]
fn a_misspelt_name_in_a_file_is_told_with_the_setting_that_was_meant() {
    let home = tempfile::tempdir().unwrap();
    write(&home.path().join(".env"), "SLACK_SINGING_SECRET=x\nOPENAI_API_KEY=x\n", 0o600);
    let found = gather(Settings::new(), &home.path().join(".env"), home.path(), false, &randomness(1)).unwrap();
    let file = home.path().join(".env");
    let expected = format!(
        "{}: SLACK_SINGING_SECRET is not a setting and is ignored; did you mean SLACK_SIGNING_SECRET?",
        file.display()
    );
    assert_eq!(found.warnings, [expected]);
}

#[test]
fn a_file_that_others_can_read_is_told_and_our_own_is_mended() {
    let home = tempfile::tempdir().unwrap();
    let (dot_env, own) = (home.path().join(".env"), home.path().join(GENERATED_FILE));
    for mode in [0o644, 0o640, 0o604] {
        write(&dot_env, "SLACK_SIGNING_SECRET=x\n", mode);
        write(&own, "SKILL_API_TOKEN='y'\n", mode);
        let found = gather(Settings::new(), &dot_env, home.path(), false, &randomness(1)).unwrap();
        assert_eq!(found.warnings.len(), 2, "{mode:o}: {:?}", found.warnings);
        assert!(found.warnings[0].ends_with(&format!("chmod 600 {}", dot_env.display())), "{:?}", found.warnings);
        assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&dot_env).unwrap().permissions().mode() & 0o777, mode, "it is not ours to change");
        fs::set_permissions(&dot_env, fs::Permissions::from_mode(0o600)).unwrap();
        let found = find(Settings::new(), &dot_env, home.path()).unwrap();
        assert_eq!(found.warnings, [] as [String; 0]);
    }
}

#[test]
fn finding_makes_nothing_and_tells_each_settings_source() {
    let home = tempfile::tempdir().unwrap();
    let (dot_env, folder) = (home.path().join(".env"), home.path().join("data"));
    write(&dot_env, "SKILL_API_TOKEN=x\n", 0o600);
    let found = find(settings(&[("INTERNAL_API_TOKEN", "x")]), &dot_env, &folder).unwrap();
    assert!(!folder.exists());
    let sources: Vec<_> = found.sources.iter().map(|(name, source)| (name.as_str(), source.as_str())).collect();
    assert_eq!(sources, [("INTERNAL_API_TOKEN", "the environment"), ("SKILL_API_TOKEN", dot_env.to_str().unwrap())]);
}

fn write(file: &Path, text: &str, mode: u32) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}
