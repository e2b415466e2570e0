//! Settings on this machine. Precedence: the environment, then `.env`, then the generated secrets.
//!
//! Missing secrets are generated once, into an owner-only file, and read from there ever after. The file lies with the
//! data that its key seals: in the folder of `--data`, else in `.local/`.

mod env_file;
mod generate;
mod known;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use portcullis_crypto::{Keyring, Randomness};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{database::Served, stack::POOL_CIDRS};

pub use env_file::MalformedLine;

/// Settings by name.
pub type Settings = BTreeMap<String, SecretString>;

/// File of generated secrets.
pub const GENERATED_FILE: &str = "dev.env";
/// File of the settings by which a function finds the database of `--database-only`.
pub const DATABASE_FILE: &str = "database.env";
/// File with the id of the key that the data in a folder was last sealed under.
const KEY_FILE: &str = "encryption-key-id";

/// Settings that hold the keyring; either is enough.
const ENCRYPTION_KEYS: &str = "ENCRYPTION_KEYS";
const ENCRYPTION_KEY: &str = "ENCRYPTION_KEY";
/// Secrets that every start needs.
const NEEDED: [&str; 5] =
    [ENCRYPTION_KEY, "INTERNAL_API_TOKEN", "SKILL_API_TOKEN", "SLACK_SIGNING_SECRET", "BETTER_AUTH_SECRET"];
/// Bot token of the stand-in for Discord, which has the form of Discord's own tokens.
const DISCORD_BOT_TOKEN: &str = "DEMO_DISCORD_BOT_TOKEN";
/// Further secrets that the demonstration needs.
const NEEDED_BY_DEMO: [&str; 7] = [
    "DEMO_SLACK_SIGNING_SECRET",
    "DEMO_DELIVERY_SECRET",
    "DEMO_PASSWORD",
    "DEMO_SLACK_CLIENT_SECRET",
    "DEMO_COMPOSIO_API_KEY",
    DISCORD_BOT_TOKEN,
    "DEMO_FEISHU_APP_SECRET",
];
/// Mode bits that give other users access to a file.
const OTHERS: u32 = 0o077;
/// Removed from the settings: with it a function would read its secrets from AWS.
const SECRETS_PREFIX: &str = "SECRETS_PREFIX";

/// Reason why there are no settings. No variant holds a value.
#[derive(Debug, thiserror::Error)]
pub enum SettingsFileError {
    /// A file cannot be read or written.
    #[error("{} cannot be used: {problem}", file.display())]
    Unusable {
        /// Path of the file.
        file: PathBuf,
        /// The operating system's error.
        problem: io::Error,
    },
    /// A line is not `NAME=value`.
    #[error("{}: {line}", file.display())]
    Malformed {
        /// Path of the file.
        file: PathBuf,
        /// Number of the line.
        line: MalformedLine,
    },
    /// The data was sealed under a key that is not in the settings.
    #[error(
        "the data in {} was sealed under the key {key}, which is not among the keys of {ENCRYPTION_KEY} or \
         {ENCRYPTION_KEYS}: it could not be opened", folder.display()
    )]
    OtherKey {
        /// Data folder.
        folder: PathBuf,
        /// Id of the key, which may be shown.
        key: String,
    },
    /// The keys are malformed.
    #[error("{ENCRYPTION_KEY} or {ENCRYPTION_KEYS}: {0}")]
    Keyring(#[from] portcullis_crypto::KeyringError),
}

/// Source of each setting, by its name.
pub type Sources = BTreeMap<String, String>;

/// The settings, with their sources and warnings.
#[derive(Debug, Default)]
pub struct Found {
    /// The settings.
    pub settings: Settings,
    /// Source of each: the environment, or a file.
    pub sources: Sources,
    /// Warnings for the operator, one a line, without values.
    pub warnings: Vec<String>,
}

/// Gathers the settings, and generates the missing secrets that every start needs. `folder` holds the file of generated
/// secrets.
///
/// # Errors
/// [`SettingsFileError`].
pub fn gather(
    environment: Settings,
    dot_env: &Path,
    folder: &Path,
    with_demo: bool,
    randomness: &dyn Randomness,
) -> Result<Found, SettingsFileError> {
    let mut found = given(environment, dot_env)?;
    let generated_file = folder.join(GENERATED_FILE);
    let mut generated = read_generated(&mut found, &generated_file)?;
    let demo: &[&str] = if with_demo { &NEEDED_BY_DEMO } else { &[] };
    let missing: Vec<&str> = NEEDED
        .iter()
        .chain(demo)
        .copied()
        .filter(|name| !found.settings.contains_key(*name) && !generated.contains_key(*name))
        .filter(|name| *name != ENCRYPTION_KEY || !found.settings.contains_key(ENCRYPTION_KEYS))
        .collect();
    if !missing.is_empty() {
        for (name, value) in generate::secrets(&missing, randomness) {
            generated.insert(name, value);
        }
        generate::write(&generated_file, &generated)
            .map_err(|problem| SettingsFileError::Unusable { file: generated_file.clone(), problem })?;
    }
    Ok(completed(found, generated, &generated_file))
}

/// Finds the settings as [`gather`] does, and generates none.
///
/// # Errors
/// [`SettingsFileError`].
pub fn find(environment: Settings, dot_env: &Path, folder: &Path) -> Result<Found, SettingsFileError> {
    let mut found = given(environment, dot_env)?;
    let generated_file = folder.join(GENERATED_FILE);
    let generated = read_generated(&mut found, &generated_file)?;
    Ok(completed(found, generated, &generated_file))
}

/// Reads the environment and `.env`.
fn given(mut environment: Settings, dot_env: &Path) -> Result<Found, SettingsFileError> {
    environment.retain(|_, value| !value.expose_secret().is_empty());
    let mut found = Found::default();
    add(&mut found, environment, "the environment");
    let Some((settings, mode)) = read(dot_env)? else { return Ok(found) };
    if mode & OTHERS != 0 && !settings.is_empty() {
        let file = dot_env.display();
        found.warnings.push(format!("{file} is readable by other users of this machine: chmod 600 {file}"));
    }
    warn_of_misspelt(&mut found, &settings, dot_env);
    add(&mut found, settings, &dot_env.display().to_string());
    Ok(found)
}

/// Reads the file of generated secrets, and removes other users' access to it.
fn read_generated(found: &mut Found, file: &Path) -> Result<Settings, SettingsFileError> {
    let Some((settings, mode)) = read(file)? else { return Ok(Settings::new()) };
    if mode & OTHERS != 0 {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))
            .map_err(|problem| SettingsFileError::Unusable { file: file.to_owned(), problem })?;
        let warning = format!("{} was readable by other users of this machine; its mode is 0600 now", file.display());
        found.warnings.push(warning + ". If somebody may have read it, replace the secrets in it");
    }
    warn_of_misspelt(found, &settings, file);
    Ok(settings)
}

fn completed(mut found: Found, mut generated: Settings, file: &Path) -> Found {
    // Otherwise a generated key would stand beside the operator's own keys.
    if found.settings.contains_key(ENCRYPTION_KEYS) {
        generated.remove(ENCRYPTION_KEY);
    }
    add(&mut found, generated, &file.display().to_string());
    found.settings.remove(SECRETS_PREFIX);
    found
}

fn warn_of_misspelt(found: &mut Found, settings: &Settings, file: &Path) {
    for (name, meant) in settings.keys().filter_map(|name| Some((name, known::near(name)?))) {
        found
            .warnings
            .push(format!("{}: {name} is not a setting and is ignored; did you mean {meant}?", file.display()));
    }
}

/// Checks that the data in `folder` was sealed under keys that are here, and stores the current key's id for the next
/// start.
///
/// # Errors
/// [`SettingsFileError::OtherKey`], before any row is read that would not open.
pub fn check_keys_of(folder: &Path, settings: &Settings) -> Result<(), SettingsFileError> {
    let value = |name: &str| settings.get(name).map(|value| value.expose_secret().trim());
    let keyring = match (value(ENCRYPTION_KEYS), value(ENCRYPTION_KEY)) {
        (Some(json), _) => Keyring::from_json(json)?,
        (None, key) => Keyring::from_single_key(key.unwrap_or_default())?,
    };
    let file = folder.join(KEY_FILE);
    let unusable = |problem| SettingsFileError::Unusable { file: file.clone(), problem };
    match fs::read_to_string(&file) {
        Ok(noted) => {
            let noted = noted.trim();
            let mut bytes = [0; 4];
            let is_held = hex::decode_to_slice(noted, &mut bytes)
                .is_ok_and(|()| keyring.contains(portcullis_crypto::KeyId::from_bytes(bytes)));
            if !is_held {
                return Err(SettingsFileError::OtherKey { folder: folder.to_owned(), key: noted.to_owned() });
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error)),
    }
    generate::replace(&file, format!("{}\n", keyring.current()).as_bytes()).map_err(unusable)
}

/// Writes the settings by which a function finds `served` into an owner-only file.
///
/// # Errors
/// [`SettingsFileError::Unusable`].
pub fn write_database_file(folder: &Path, served: &Served, prefix: &str) -> Result<PathBuf, SettingsFileError> {
    let (file, credentials) = (folder.join(DATABASE_FILE), served.credentials());
    let lines = [
        ("AWS_ENDPOINT_URL_DYNAMODB", served.url()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", credentials.access_key_id()),
        ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key()),
        ("TABLE_PREFIX", prefix),
        ("POOL_CIDRS", POOL_CIDRS),
        // Default address of `cargo lambda watch`, and a sender for mail, which is not sent from here.
        ("BETTER_AUTH_URL", "http://127.0.0.1:9000"),
        ("MAIL_FROM", "portcullis@example.com"),
    ];
    let lines = lines.map(|(name, value)| (name, SecretString::from(value)));
    let lines = lines.iter().map(|(name, value)| (*name, value));
    let text = generate::text("# Made by `cargo local --database-only`, for this run alone.", lines);
    generate::replace(&file, text.as_bytes())
        .map_err(|problem| SettingsFileError::Unusable { file: file.clone(), problem })?;
    Ok(file)
}

/// Removes the file of [`write_database_file`], unless another run has written its own since.
pub fn remove_database_file(file: &Path, served: &Served) {
    let is_ours = fs::read_to_string(file).is_ok_and(|text| text.contains(served.credentials().access_key_id()));
    if is_ours && let Err(error) = fs::remove_file(file) {
        tracing::warn!(%error, "the file of the database's key was left; it opens nothing any more");
    }
}

/// Adds settings of lower precedence.
fn add(found: &mut Found, weaker: Settings, source: &str) {
    for (name, value) in weaker {
        if let Entry::Vacant(place) = found.settings.entry(name) {
            found.sources.insert(place.key().clone(), source.to_owned());
            place.insert(value);
        }
    }
}

/// Reads a file's settings and its mode; `None` for a missing file.
fn read(file: &Path) -> Result<Option<(Settings, u32)>, SettingsFileError> {
    let unusable = |problem| SettingsFileError::Unusable { file: file.to_owned(), problem };
    let mut opened = match fs::File::open(file) {
        Ok(opened) => opened,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(problem) => return Err(unusable(problem)),
    };
    let mode = opened.metadata().map_err(unusable)?.permissions().mode();
    let mut text = Zeroizing::new(String::new());
    opened.read_to_string(&mut text).map_err(unusable)?;
    let settings = env_file::parse(&text);
    let settings = settings.map_err(|line| SettingsFileError::Malformed { file: file.to_owned(), line })?;
    Ok(Some((settings, mode)))
}

#[cfg(test)]
mod tests;
