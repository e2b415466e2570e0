//! Changes that a signed-in person makes to the account.

use portcullis_auth::{PasswordHash, UserId};

use super::{Login, User};
use crate::{
    Change, Store, StoreError,
    attribute::{attributes, text},
    auth_sessions::{NewAuthSession, Sessions},
    backoff::Backoff,
    error::{CallError, Condition},
};

/// Changes of a profile. An absent field keeps its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// New display name.
    pub name: Option<String>,
    /// Change of the picture.
    pub image: Change<String>,
}

/// Reason why an account was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// No such account, or its password has changed meanwhile.
    #[error("the account is not known")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Changes a profile: two calls.
    ///
    /// # Errors
    /// [`UserError`].
    pub async fn change_profile(&self, user: &UserId, change: &ProfileChange) -> Result<User, UserError> {
        let mut backoff = Backoff::of_race();
        loop {
            let known = self.user(user).await?.ok_or(UserError::NotFound)?;
            let image = match &change.image {
                Change::Keep => known.image.clone(),
                Change::Remove => None,
                Change::Set(image) => Some(image.clone()),
            };
            let changed = User {
                name: change.name.clone().unwrap_or_else(|| known.name.clone()),
                image,
                updated_at: self.now(),
                revision: known.revision + 1,
                ..known.clone()
            };
            let mut values = attributes([(":name", text(&changed.name))]);
            let update = match &changed.image {
                Some(image) => {
                    values.insert(":image".to_owned(), text(image));
                    ", #name = :name, #image = :image"
                }
                None => ", #name = :name REMOVE #image",
            };
            let action = self.update_user(&known, update, values)?;
            match self.transact_write(vec![action]).await {
                Ok(()) => return Ok(changed),
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Sets an account's password, ends all its sessions and opens `session` in their place: one transaction after one
    /// read.
    ///
    /// # Errors
    /// [`UserError`]; `NotFound` also where the password has changed since `login` was read.
    pub async fn change_password(
        &self,
        login: &Login,
        password: &PasswordHash,
        session: &NewAuthSession,
    ) -> Result<User, UserError> {
        let mut backoff = Backoff::of_race();
        loop {
            let known = self.user(&login.user).await?.ok_or(UserError::NotFound)?;
            let mut actions = vec![self.set_password(&known.email, login.credential_revision, password)?];
            actions.push(self.replace_sessions(&known, Sessions::One(&session.id))?);
            actions.extend(self.delete_session_rows(&known.sessions)?);
            actions.push(self.put_auth_session(session)?);
            match self.transact_write(actions).await {
                Ok(()) => return Ok(known),
                Err(CallError::Conditions(conditions)) => match conditions.first() {
                    Some(Condition::Failed(_)) => return Err(UserError::NotFound),
                    // A session was opened or ended since the account was read.
                    _ => self.wait_after_race(&mut backoff).await?,
                },
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Replaces an outdated hash of the same password. A lost race is ignored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn upgrade_password(
        &self,
        email: &portcullis_auth::Email,
        login: &Login,
        password: &PasswordHash,
    ) -> Result<(), StoreError> {
        let update = "SET #passwordHash = :hash, #updatedAt = :now";
        let values = [(":hash", text(password.expose()))];
        let action = self.update_login(email, login.credential_revision, update, values)?;
        match self.transact_write(vec![action]).await {
            Ok(()) | Err(CallError::Conditions(_)) => Ok(()),
            Err(CallError::Store(error)) => Err(error),
        }
    }
}
