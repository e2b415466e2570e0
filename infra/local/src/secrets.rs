//! Settings on this machine: the environment wins, then `.env`, then what was generated.
//!
//! What is missing is generated once, into a file that its owner alone can read, and read from there ever after. The file
//! lies with the data that its key seals: in the folder of `--data`, else in `.local/`.

mod env_file;
mod generate;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use portcullis_crypto::{Keyring, Randomness};
use secrecy::{ExposeSecret, SecretString};

use crate::{database::Served, stack::POOL_CIDRS};

pub use env_file::MalformedLine;

/// Settings by name.
pub type Settings = BTreeMap<String, SecretString>;

/// The file of generated secrets.
pub const GENERATED_FILE: &str = "dev.env";
/// The file of what a function needs to find the database of `--database-only`.
pub const DATABASE_FILE: &str = "database.env";
/// Names the key that the data in a folder was sealed under last.
const KEY_FILE: &str = "encryption-key-id";

/// Names that hold the keyring; either is enough.
const ENCRYPTION_KEYS: &str = "ENCRYPTION_KEYS";
const ENCRYPTION_KEY: &str = "ENCRYPTION_KEY";
/// What every start needs.
const NEEDED: [&str; 4] = [ENCRYPTION_KEY, "INTERNAL_API_TOKEN", "SKILL_API_TOKEN", "SLACK_SIGNING_SECRET"];
/// What the demonstration needs besides.
const NEEDED_BY_DEMO: [&str; 2] = ["DEMO_SLACK_SIGNING_SECRET", "DEMO_DELIVERY_SECRET"];
/// With it a function would look for its secrets on AWS.
const SECRETS_PREFIX: &str = "SECRETS_PREFIX";

/// Why there are no settings. No variant holds a value.
#[derive(Debug, thiserror::Error)]
pub enum SettingsFileError {
    /// A file cannot be read or written.
    #[error("{} cannot be used: {problem}", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        problem: io::Error,
    },
    /// A line is not `NAME=value`.
    #[error("{}: {line}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line.
        line: MalformedLine,
    },
    /// The data was sealed under a key that is not in the settings.
    #[error(
        "the data in {} was sealed under the key {key}, which is not among the keys of {ENCRYPTION_KEY} or \
         {ENCRYPTION_KEYS}: it could not be opened", folder.display()
    )]
    OtherKey {
        /// The data folder.
        folder: PathBuf,
        /// The key's id, which is no secret.
        key: String,
    },
    /// The keys are no keys.
    #[error("{ENCRYPTION_KEY} or {ENCRYPTION_KEYS}: {0}")]
    Keyring(#[from] portcullis_crypto::KeyringError),
}

/// Gathers the settings. `folder` is where the file of generated secrets lies or is made.
///
/// # Errors
/// [`SettingsFileError`].
pub fn gather(
    environment: Settings,
    dot_env: &Path,
    folder: &Path,
    with_demo: bool,
    randomness: &dyn Randomness,
) -> Result<Settings, SettingsFileError> {
    let mut settings = environment;
    settings.retain(|_, value| !value.expose_secret().is_empty());
    add(&mut settings, read(dot_env)?);
    let generated_file = folder.join(GENERATED_FILE);
    let mut generated = read(&generated_file)?;
    let demo: &[&str] = if with_demo { &NEEDED_BY_DEMO } else { &[] };
    let missing: Vec<&str> = NEEDED
        .iter()
        .chain(demo)
        .copied()
        .filter(|name| !settings.contains_key(*name) && !generated.contains_key(*name))
        .filter(|name| *name != ENCRYPTION_KEY || !settings.contains_key(ENCRYPTION_KEYS))
        .collect();
    if !missing.is_empty() {
        add(&mut generated, generate::secrets(&missing, randomness));
        generate::write(&generated_file, &generated)
            .map_err(|problem| SettingsFileError::Unusable { file: generated_file.clone(), problem })?;
    }
    // Else a generated key would stand beside the operator's own keys.
    if settings.contains_key(ENCRYPTION_KEYS) {
        generated.remove(ENCRYPTION_KEY);
    }
    add(&mut settings, generated);
    settings.remove(SECRETS_PREFIX);
    Ok(settings)
}

/// Makes sure that the data in `folder` was sealed under keys that are here, and notes the current one for the next start.
///
/// # Errors
/// [`SettingsFileError::OtherKey`], before anything is read that would not open.
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

/// Writes what a function needs in its environment to find `served`, into a file that its owner alone can read.
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
    ];
    let lines = lines.map(|(name, value)| (name, SecretString::from(value)));
    let lines = lines.iter().map(|(name, value)| (*name, value));
    let text = generate::text("# Made by `cargo local --database-only`, for this run alone.", lines);
    generate::replace(&file, text.as_bytes())
        .map_err(|problem| SettingsFileError::Unusable { file: file.clone(), problem })?;
    Ok(file)
}

fn add(settings: &mut Settings, weaker: Settings) {
    for (name, value) in weaker {
        settings.entry(name).or_insert(value);
    }
}

fn read(file: &Path) -> Result<Settings, SettingsFileError> {
    match fs::read_to_string(file) {
        Ok(text) => env_file::parse(&text).map_err(|line| SettingsFileError::Malformed { file: file.to_owned(), line }),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(Settings::new()),
        Err(problem) => Err(SettingsFileError::Unusable { file: file.to_owned(), problem }),
    }
}

#[cfg(test)]
mod tests;
