//! Generation of secrets on this machine.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use portcullis_crypto::Randomness;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{DISCORD_BOT_TOKEN, Settings};
use crate::dev_discord;

/// 256 bits, as 64 hex digits: the size of an encryption key, and long enough for any token.
const SECRET_LENGTH: usize = 32;

/// Generates a secret for each of these names.
pub(super) fn secrets(names: &[&str], randomness: &dyn Randomness) -> Settings {
    let secret = |name: &&str| {
        if *name == DISCORD_BOT_TOKEN {
            return ((*name).to_owned(), dev_discord::new_token(randomness));
        }
        let mut bytes = Zeroizing::new([0; SECRET_LENGTH]);
        randomness.fill(&mut *bytes);
        ((*name).to_owned(), hex::encode(*bytes).into())
    };
    names.iter().map(secret).collect()
}

/// Replaces the file by one with these secrets, which include its earlier ones.
pub(super) fn write(file: &Path, secrets: &Settings) -> io::Result<()> {
    let comment = "# Made by `cargo local`, for this machine alone. Without ENCRYPTION_KEY its data does not open.";
    replace(file, text(comment, secrets.iter().map(|(name, value)| (name.as_str(), value))).as_bytes())
}

/// Text of a settings file that a shell can read as well.
pub(super) fn text<'a>(
    comment: &str,
    settings: impl Iterator<Item = (&'a str, &'a SecretString)>,
) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!("{comment}\n"));
    for (name, value) in settings {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}='{}'", value.expose_secret());
    }
    text
}

/// Replaces the file atomically: a reader sees the old or the new content, never a part of it. The file is owner-only.
pub(super) fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = file.with_extension(format!("{}.new", std::process::id()));
    // A draft here is left over from a dead process with this id.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    written.write_all(content)?;
    written.sync_all()?;
    fs::rename(&draft, file)?;
    fs::File::open(folder)?.sync_all()
}
