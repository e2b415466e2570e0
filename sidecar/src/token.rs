//! The pool's token: its sources, and its removal from the environment.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::fcntl::OFlag;
use secrecy::{ExposeSecret, SecretString};

/// Setting that names the file with the token.
pub const FILE_SETTING: &str = "PORTCULLIS_TOKEN_FILE";

/// Setting that holds the token itself.
pub const SETTING: &str = "INTERNAL_API_TOKEN";

/// Setting that tells the re-executed sidecar to read the token from standard input.
const PIPED: &str = "PORTCULLIS_TOKEN_ON_STDIN";

/// Longest token in bytes; it must fit into a pipe's buffer without a reader.
const MAXIMUM_LENGTH: usize = 4096;

/// Source of the token.
#[derive(Clone, Debug)]
pub enum Token {
    /// A file, which is read for each use, so that the token can be replaced while the sidecar runs.
    File(PathBuf),
    /// Memory alone.
    Held(SecretString),
}

/// Why the token cannot be used. The error holds nothing of a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Neither setting is set.
    #[error("{FILE_SETTING} names no file, and {SETTING} is not set")]
    Missing,
    /// The file that a setting names does not hold a token.
    #[error("{setting}: the file {} {fault}", path.display())]
    File {
        /// Name of the setting.
        setting: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The fault of its content.
        fault: TokenFault,
    },
    /// A setting does not hold a token.
    #[error("{0} {1}")]
    Setting(&'static str, TokenFault),
    /// The sidecar could not re-execute itself.
    #[error("the sidecar could not start itself again without {SETTING} in its environment: {0}")]
    NotHandedOver(io::ErrorKind),
}

/// Fault of a token's text or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// The file is a FIFO, a socket, a device or a folder.
    #[error("is not a plain file")]
    NotPlain,
    /// The text is empty or only white space.
    #[error("is empty")]
    Empty,
    /// The text has more than one line.
    #[error("holds more than one line: a token is one line")]
    Lines,
    /// The text is too long.
    #[error("is longer than {MAXIMUM_LENGTH} characters: it is not a token")]
    TooLong,
    /// The text holds something else than visible ASCII characters.
    #[error("holds something else than visible ASCII characters: it is not a token")]
    NotVisible,
}

impl TokenError {
    /// Whether the configured file does not exist.
    #[must_use]
    pub fn is_missing_file(&self) -> bool {
        matches!(self, Self::File { fault: TokenFault::Unreadable(io::ErrorKind::NotFound), .. })
    }
}

/// Parses a setting's token, without white space at both ends.
///
/// # Errors
/// [`TokenError::Setting`].
pub fn of_setting(setting: &'static str, value: &[u8]) -> Result<SecretString, TokenError> {
    checked(value).map_err(|fault| TokenError::Setting(setting, fault))
}

/// Reads a token from the file that `setting` names, without white space at both ends.
///
/// # Errors
/// [`TokenError::File`].
pub fn read_file(setting: &'static str, path: &Path) -> Result<SecretString, TokenError> {
    let read = || {
        let unreadable = |error: io::Error| TokenFault::Unreadable(error.kind());
        // Links are followed, as mounted secrets are links. O_NONBLOCK, so that a FIFO does not make the sidecar wait.
        let file = fs::File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
        let file = file.map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(TokenFault::NotPlain);
        }
        let mut text = Vec::new();
        // More than a token's length, to allow for white space.
        file.take(2 * MAXIMUM_LENGTH as u64).read_to_end(&mut text).map_err(unreadable)?;
        checked(&text)
    };
    read().map_err(|fault| TokenError::File { setting, path: path.to_owned(), fault })
}

impl Token {
    /// Takes the token out of the environment. Unsetting the variable would leave it in `/proc/<pid>/environ`. So a
    /// process with the token there re-executes itself, with the same process id, a clean environment and the token in
    /// a pipe; then this does not return.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn take(environment: &[(OsString, OsString)]) -> Result<Self, TokenError> {
        let get = |name: &str| environment.iter().find(|(key, _)| key == OsStr::new(name)).map(|(_, value)| value);
        let given = get(SETTING);
        if let Some(path) = get(FILE_SETTING) {
            if given.is_some() {
                // The variable is not used, and must not stay readable either.
                return Err(start_again(environment, &[]));
            }
            return Ok(Self::File(OsStr::from_bytes(path.as_bytes().trim_ascii()).into()));
        }
        if let Some(token) = given {
            let token = of_setting(SETTING, token.as_bytes())?;
            return Err(start_again(environment, token.expose_secret().as_bytes()));
        }
        if get(PIPED).is_none() {
            return Err(TokenError::Missing);
        }
        let mut token = Vec::new();
        let read = io::stdin().lock().take(MAXIMUM_LENGTH as u64 + 1).read_to_end(&mut token);
        let token = read.map_err(|error| TokenFault::Unreadable(error.kind())).and_then(|_| checked(&token));
        token.map(Self::Held).map_err(|fault| TokenError::Setting(SETTING, fault))
    }

    /// Reads the current token.
    ///
    /// # Errors
    /// [`TokenError`], for a token in a file.
    pub fn read(&self) -> Result<SecretString, TokenError> {
        match self {
            Self::Held(token) => Ok(token.clone()),
            Self::File(path) => read_file(FILE_SETTING, path),
        }
    }
}

fn checked(text: &[u8]) -> Result<SecretString, TokenFault> {
    let token = text.trim_ascii();
    let fault = if token.is_empty() {
        TokenFault::Empty
    } else if token.len() > MAXIMUM_LENGTH {
        TokenFault::TooLong
    } else if token.contains(&b'\n') {
        TokenFault::Lines
    } else if let (true, Ok(token)) = (token.iter().all(u8::is_ascii_graphic), str::from_utf8(token)) {
        return Ok(token.into());
    } else {
        TokenFault::NotVisible
    };
    Err(fault)
}

/// Re-executes the program with the token on its standard input. Returns only if that fails.
fn start_again(environment: &[(OsString, OsString)], token: &[u8]) -> TokenError {
    let started = || -> io::Result<io::Error> {
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(token)?;
        drop(writer);
        let kept = environment.iter().filter(|(name, _)| name != OsStr::new(SETTING));
        let mut command = Command::new("/proc/self/exe");
        command.args(std::env::args_os().skip(1)).env_clear().envs(kept.map(|(name, value)| (name, value)));
        if !token.is_empty() {
            command.env(PIPED, "1");
        }
        Ok(command.stdin(Stdio::from(reader)).exec())
    };
    TokenError::NotHandedOver(started().unwrap_or_else(|error| error).kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_fits_into_a_header() {
        for good in ["x", "  a-token.of_parts\n", &"x".repeat(4096)] {
            assert!(checked(good.as_bytes()).is_ok(), "{good}");
        }
        let too_long = "x".repeat(4097);
        for (bad, fault) in [
            ("", TokenFault::Empty),
            (" \n", TokenFault::Empty),
            ("two words", TokenFault::NotVisible),
            ("line\nbreak", TokenFault::Lines),
            ("line\r\nbreak\r\n", TokenFault::Lines),
            ("t\u{f6}ken", TokenFault::NotVisible),
            ("to\0ken", TokenFault::NotVisible),
            (&too_long, TokenFault::TooLong),
        ] {
            assert_eq!(checked(bad.as_bytes()).unwrap_err(), fault, "{bad}");
        }
    }

    #[test]
    fn a_token_in_a_file_is_read_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = Token::take(&[(FILE_SETTING.into(), path.clone().into())]).unwrap();
        let error = token.read().unwrap_err().to_string();
        assert_eq!(
            error,
            format!("PORTCULLIS_TOKEN_FILE: the file {} cannot be read: entity not found", path.display())
        );
        for value in ["one", "two"] {
            fs::write(&path, format!("{value}\n")).unwrap();
            assert_eq!(token.read().unwrap().expose_secret(), value);
        }
        assert!(matches!(Token::take(&[]), Err(TokenError::Missing)));
    }
}
