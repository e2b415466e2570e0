//! The pool's own credential: where it comes from, and how it gets out of the environment.

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

/// The setting that names the file with the token.
pub const FILE_SETTING: &str = "PORTCULLIS_TOKEN_FILE";

/// The setting that holds the token itself.
pub const SETTING: &str = "INTERNAL_API_TOKEN";

/// Set where the token is on standard input.
const PIPED: &str = "PORTCULLIS_TOKEN_ON_STDIN";

/// The longest token, in bytes: it fits into a pipe that nobody reads yet.
const MAXIMUM_LENGTH: usize = 4096;

/// Where the token is.
#[derive(Clone, Debug)]
pub enum Token {
    /// In a file, which is read each time, so that a token can be replaced while the sidecar runs.
    File(PathBuf),
    /// In memory alone.
    Held(SecretString),
}

/// Why there is no token. It holds nothing of one.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// None is set.
    #[error("{FILE_SETTING} names no file, and {SETTING} is not set")]
    Missing,
    /// The file that a setting names does not hold one.
    #[error("{setting}: the file {} {fault}", path.display())]
    File {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: TokenFault,
    },
    /// A setting does not hold one.
    #[error("{0} {1}")]
    Setting(&'static str, TokenFault),
    /// It could not be handed over.
    #[error("the sidecar could not start itself again without {SETTING} in its environment: {0}")]
    NotHandedOver(io::ErrorKind),
}

/// What is wrong with what should be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// It is a FIFO, a socket, a device or a folder.
    #[error("is not a plain file")]
    NotPlain,
    /// There is nothing but white space.
    #[error("is empty")]
    Empty,
    /// There is more than one line.
    #[error("holds more than one line: a token is one line")]
    Lines,
    /// It is too long.
    #[error("is longer than {MAXIMUM_LENGTH} characters: it is not a token")]
    TooLong,
    /// It holds what is in no token.
    #[error("holds something else than visible ASCII characters: it is not a token")]
    NotVisible,
}

impl TokenError {
    /// Whether the file that should hold it does not exist.
    #[must_use]
    pub fn is_missing_file(&self) -> bool {
        matches!(self, Self::File { fault: TokenFault::Unreadable(io::ErrorKind::NotFound), .. })
    }
}

/// The token that `setting` holds. White space at both ends does not count.
///
/// # Errors
/// [`TokenError::Setting`].
pub fn of_setting(setting: &'static str, value: &[u8]) -> Result<SecretString, TokenError> {
    checked(value).map_err(|fault| TokenError::Setting(setting, fault))
}

/// Reads a token from the file that `setting` names. White space at both ends does not count.
///
/// # Errors
/// [`TokenError::File`].
pub fn read_file(setting: &'static str, path: &Path) -> Result<SecretString, TokenError> {
    let read = || {
        let unreadable = |error: io::Error| TokenFault::Unreadable(error.kind());
        // It may be a link, as secrets are mounted; a FIFO must not make the sidecar wait.
        let file = fs::File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
        let file = file.map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(TokenFault::NotPlain);
        }
        let mut text = Vec::new();
        // Some more than a token, for white space.
        file.take(2 * MAXIMUM_LENGTH as u64).read_to_end(&mut text).map_err(unreadable)?;
        checked(&text)
    };
    read().map_err(|fault| TokenError::File { setting, path: path.to_owned(), fault })
}

impl Token {
    /// Takes the token out of the environment. Unsetting a variable would leave it in `/proc/<pid>/environ`, so that a process
    /// which has it there starts itself again, as the same process, with a clean environment and the token in a pipe: then
    /// this does not return.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn take(environment: &[(OsString, OsString)]) -> Result<Self, TokenError> {
        let get = |name: &str| environment.iter().find(|(key, _)| key == OsStr::new(name)).map(|(_, value)| value);
        let given = get(SETTING);
        if let Some(path) = get(FILE_SETTING) {
            if given.is_some() {
                // It is not used, and must not stay where it can be read either.
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

    /// The token as it is now.
    ///
    /// # Errors
    /// [`TokenError`], where it is in a file.
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

/// Becomes the same program anew, with this on its standard input. It returns only where that fails.
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
