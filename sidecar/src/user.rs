//! The user that the child runs as.

use std::path::PathBuf;

use nix::unistd::{self, Gid, Uid};

/// User that the child runs as and that owns its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    ids: Option<Ids>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Ids {
    uid: Uid,
    gid: Gid,
    name: String,
    home: PathBuf,
    shell: PathBuf,
}

/// Why the child cannot run as the configured user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The user does not exist.
    #[error("there is no user {0}")]
    Unknown(String),
    /// Root, which could do everything that the sidecar can.
    #[error("OpenClaw never runs as root: name a user of its own")]
    Root,
    /// Only root can start a process as another user.
    #[error("only root can run OpenClaw as the user {0}")]
    NotRoot(String),
    /// The user database could not be read.
    #[error("users could not be looked up: {0}")]
    Failed(nix::Error),
}

impl User {
    /// The sidecar's own user.
    #[must_use]
    pub fn own() -> Self {
        Self { ids: None }
    }

    /// Looks up a user by name, or by number, which need not be in the user database.
    ///
    /// # Errors
    /// [`UserError`].
    pub fn named(name: &str) -> Result<Self, UserError> {
        let found = unistd::User::from_name(name).map_err(UserError::Failed)?;
        let found = match found {
            Some(found) => found,
            None => numbered(name)?.ok_or_else(|| UserError::Unknown(name.to_owned()))?,
        };
        if found.uid.is_root() {
            return Err(UserError::Root);
        }
        if found.uid == Uid::effective() {
            return Ok(Self::own());
        }
        if !Uid::effective().is_root() {
            return Err(UserError::NotRoot(name.to_owned()));
        }
        let unistd::User { uid, gid, name, dir: home, shell, .. } = found;
        Ok(Self { ids: Some(Ids { uid, gid, name, home, shell }) })
    }

    /// Whether this is another user than the sidecar's.
    #[must_use]
    pub fn is_another(&self) -> bool {
        self.ids.is_some()
    }

    /// User id of the child's processes.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.ids.as_ref().map_or_else(Uid::effective, |ids| ids.uid).as_raw()
    }

    /// User id and group id to switch to; `None` for the sidecar's own user.
    #[must_use]
    pub fn ids(&self) -> Option<(u32, u32)> {
        self.ids.as_ref().map(|ids| (ids.uid.as_raw(), ids.gid.as_raw()))
    }

    /// Values of HOME, USER and SHELL for this user; empty for the sidecar's own user, which inherits them.
    pub fn environment(&self) -> impl Iterator<Item = (&'static str, PathBuf)> + '_ {
        let ids = self.ids.iter();
        ids.flat_map(|ids| {
            [("HOME", ids.home.clone()), ("USER", ids.name.clone().into()), ("SHELL", ids.shell.clone())]
        })
    }
}

/// Parses a user id; `None` if the text is not one.
fn numbered(text: &str) -> Result<Option<unistd::User>, UserError> {
    let number: Option<u32> = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    // u32::MAX is -1, which setresuid(2) takes for "leave unchanged".
    let Some(number) = number.filter(|number| *number != u32::MAX) else { return Ok(None) };
    let found = unistd::User::from_uid(Uid::from_raw(number)).map_err(UserError::Failed)?;
    Ok(Some(found.unwrap_or_else(|| unistd::User {
        name: text.to_owned(),
        passwd: std::ffi::CString::default(),
        uid: Uid::from_raw(number),
        gid: Gid::from_raw(number),
        gecos: std::ffi::CString::default(),
        dir: "/".into(),
        shell: "/bin/sh".into(),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_nobodys_user_by_whatever_name() {
        for root in ["root", "0", "00"] {
            assert!(matches!(User::named(root), Err(UserError::Root)), "{root}");
        }
        for unknown in ["+0", "-1", "4294967295", "4294967296", "0x0", " 0", "", "1000:0", "nobody-has-this-name"] {
            assert!(matches!(User::named(unknown), Err(UserError::Unknown(_))), "{unknown}");
        }
    }

    #[test]
    fn a_number_is_a_user_whether_or_not_it_has_a_name() {
        match User::named("61234") {
            Ok(user) => assert_eq!(user.ids(), Some((61234, 61234))),
            Err(error) => assert!(matches!(error, UserError::NotRoot(_)), "{error}"),
        }
        if !Uid::effective().is_root() {
            let own = Uid::effective().to_string();
            assert_eq!(User::named(&own).unwrap(), User::own());
        }
    }
}
