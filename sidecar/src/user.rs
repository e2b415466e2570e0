//! The user that the child runs as.

use std::path::PathBuf;

use nix::unistd::{self, Gid, Uid};

/// Whose the child is, and its files.
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

/// Why a child cannot run as the user that it should.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Nobody has this name.
    #[error("there is no user {0}")]
    Unknown(String),
    /// Only root can start a process as somebody else.
    #[error("only root can run OpenClaw as the user {0}")]
    NotRoot(String),
    /// The system's list of users could not be read.
    #[error("users could not be looked up: {0}")]
    Failed(nix::Error),
}

impl User {
    /// The sidecar's own user.
    #[must_use]
    pub fn own() -> Self {
        Self { ids: None }
    }

    /// The user with this name.
    ///
    /// # Errors
    /// [`UserError`].
    pub fn named(name: &str) -> Result<Self, UserError> {
        let found = unistd::User::from_name(name).map_err(UserError::Failed)?;
        let found = found.ok_or_else(|| UserError::Unknown(name.to_owned()))?;
        if found.uid == Uid::effective() {
            return Ok(Self::own());
        }
        if !Uid::effective().is_root() {
            return Err(UserError::NotRoot(name.to_owned()));
        }
        let unistd::User { uid, gid, name, dir: home, shell, .. } = found;
        Ok(Self { ids: Some(Ids { uid, gid, name, home, shell }) })
    }

    /// Whether the child runs as somebody else than the sidecar.
    #[must_use]
    pub fn is_another(&self) -> bool {
        self.ids.is_some()
    }

    /// The ids that a process of this user is started with; `None` for the sidecar's own.
    #[must_use]
    pub fn ids(&self) -> Option<(u32, u32)> {
        self.ids.as_ref().map(|ids| (ids.uid.as_raw(), ids.gid.as_raw()))
    }

    /// What HOME, USER and SHELL are for this user; nothing for the sidecar's own, which has its own.
    pub fn environment(&self) -> impl Iterator<Item = (&'static str, PathBuf)> + '_ {
        let ids = self.ids.iter();
        ids.flat_map(|ids| {
            [("HOME", ids.home.clone()), ("USER", ids.name.clone().into()), ("SHELL", ids.shell.clone())]
        })
    }
}
