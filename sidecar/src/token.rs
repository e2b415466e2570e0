//! The pool's own credential: where it comes from, and how it gets out of the environment.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
};

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

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// None is set.
    #[error("{FILE_SETTING} names no file, and {SETTING} is not set")]
    Missing,
    /// The file cannot be read.
    #[error("the file that {FILE_SETTING} names cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// It is not a token.
    #[error("the token must be 1 to {MAXIMUM_LENGTH} visible ASCII characters")]
    Malformed,
    /// It could not be handed over.
    #[error("the sidecar could not start itself again without {SETTING} in its environment: {0}")]
    NotHandedOver(io::ErrorKind),
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
            return Ok(Self::File(path.into()));
        }
        if let Some(token) = given {
            let token = checked(token.to_str().unwrap_or_default())?;
            return Err(start_again(environment, token.expose_secret().as_bytes()));
        }
        if get(PIPED).is_none() {
            return Err(TokenError::Missing);
        }
        let mut token = Vec::new();
        let read = io::stdin().lock().take(MAXIMUM_LENGTH as u64 + 1).read_to_end(&mut token);
        read.map_err(|error| TokenError::Unreadable(error.kind()))?;
        checked(str::from_utf8(&token).unwrap_or_default()).map(Self::Held)
    }

    /// The token as it is now.
    ///
    /// # Errors
    /// [`TokenError`], where it is in a file.
    pub fn read(&self) -> Result<SecretString, TokenError> {
        match self {
            Self::Held(token) => Ok(token.clone()),
            Self::File(path) => {
                let file = fs::File::open(path).map_err(|error| TokenError::Unreadable(error.kind()))?;
                let mut token = String::new();
                let read = file.take(MAXIMUM_LENGTH as u64 + 2).read_to_string(&mut token);
                read.map_err(|error| TokenError::Unreadable(error.kind()))?;
                checked(&token)
            }
        }
    }
}

fn checked(token: &str) -> Result<SecretString, TokenError> {
    let token = token.trim_ascii();
    let is_token = (1..=MAXIMUM_LENGTH).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token { Ok(token.into()) } else { Err(TokenError::Malformed) }
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
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "two words", "line\nbreak", "t\u{f6}ken", &"x".repeat(4097)] {
            assert!(matches!(checked(bad), Err(TokenError::Malformed)), "{bad}");
        }
    }

    #[test]
    fn a_token_in_a_file_is_read_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = Token::take(&[(FILE_SETTING.into(), path.clone().into())]).unwrap();
        assert!(matches!(token.read(), Err(TokenError::Unreadable(io::ErrorKind::NotFound))));
        for value in ["one", "two"] {
            fs::write(&path, format!("{value}\n")).unwrap();
            assert_eq!(token.read().unwrap().expose_secret(), value);
        }
        assert!(matches!(Token::take(&[]), Err(TokenError::Missing)));
    }
}
