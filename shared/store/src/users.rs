//! `users`: accounts.
//!
//! An account is two rows, written together: `email#ADDRESS` holds the data for a sign-in (the password's hash, whether
//! the address is verified), so that one read finds it, and `id#USER` holds the profile and the ids of the account's
//! sessions. An address belongs to one account, because its row is put on the condition that it does not exist.

mod change;
mod delete;
mod import;
mod sign_up;
mod verify;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use portcullis_auth::{Email, PasswordHash, SessionId, UserId};

use crate::{
    Store, StoreError, Table, ThrottleSubject,
    attribute::{Item, text},
    batch::RowKey,
    row::Row,
    throttles::Failures,
};
pub use change::{ProfileChange, UserError};
pub use import::ImportedUser;
pub use sign_up::{NewUser, SignedUp};

pub(crate) const TABLE: Table = Table::Users;

/// Profile of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Id of the account.
    pub id: UserId,
    /// E-mail address.
    pub email: Email,
    /// Display name.
    pub name: String,
    /// URL of the picture, or the picture as a `data:` URL.
    pub image: Option<String>,
    /// Whether the owner has proven to read mail to the address.
    pub email_verified: bool,
    /// Ids of the sessions, in order; the rows of some may be gone.
    pub sessions: Vec<SessionId>,
    /// Optimistic lock: raised by each change of the row.
    pub(crate) revision: u64,
    /// Time of the sign-up.
    pub created_at: Timestamp,
    /// Time of its row's last change.
    pub updated_at: Timestamp,
}

/// Credentials of an account.
#[derive(Clone, Debug)]
pub struct Login {
    /// Id of the account.
    pub user: UserId,
    /// Password hash; an imported account may have none.
    pub password: Option<PasswordHash>,
    /// Whether the address is verified: nobody can sign in before.
    pub email_verified: bool,
    /// Raised by each change of the password, which invalidates mails sent before.
    pub credential_revision: u64,
}

/// Facts that decide on a sign-in, from [`Store::begin_sign_in`].
#[derive(Clone, Debug)]
pub struct SignInAttempt {
    /// Account of the address; `None` for an unknown address.
    pub login: Option<Login>,
    /// Longest time that a subject must wait; `None` where the attempt is allowed.
    pub wait: Option<std::time::Duration>,
}

pub(crate) fn id_key(user: &UserId) -> String {
    format!("id#{user}")
}

pub(crate) fn email_key(email: &Email) -> String {
    format!("email#{email}")
}

impl User {
    /// Builds the account for `new` without storing it.
    #[must_use]
    pub fn unsaved(new: NewUser, now: Timestamp) -> Self {
        Self {
            id: new.id,
            email: new.email,
            name: new.name,
            image: new.image,
            email_verified: new.email_verified,
            sessions: Vec::new(),
            revision: 1,
            created_at: new.created_at.unwrap_or(now),
            updated_at: now,
        }
    }

    pub(crate) fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        Ok(Self {
            id: row.parsed("id")?,
            email: row.parsed("email")?,
            name: row.text("name")?.to_owned(),
            image: row.optional_text("image")?.map(str::to_owned),
            email_verified: row.boolean("emailVerified")?,
            sessions: row.set("sessions")?,
            revision: row.parsed("revision")?,
            created_at: row.time("createdAt")?,
            updated_at: row.time("updatedAt")?,
        })
    }
}

impl Login {
    pub(crate) fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        let password = row.optional_text("passwordHash")?.map(PasswordHash::parse).transpose();
        Ok(Self {
            user: row.parsed("user")?,
            password: password.map_err(|_| row.malformed("passwordHash"))?,
            email_verified: row.boolean("emailVerified")?,
            credential_revision: row.parsed("revision")?,
        })
    }
}

impl Store {
    /// Reads the account of an address and the failures of `subjects`: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_sign_in(
        &self,
        email: &Email,
        subjects: &[ThrottleSubject],
    ) -> Result<SignInAttempt, StoreError> {
        let mut keys = vec![RowKey::new(TABLE, [&email_key(email)])];
        keys.extend(subjects.iter().map(ThrottleSubject::key));
        let mut rows = self.get_rows(&keys).await?.into_iter();
        let login = rows.next().flatten().as_ref().map(Login::from_item).transpose()?;
        let now = self.now();
        let mut wait = None;
        for row in rows {
            wait = wait.max(Failures::read(row.as_ref(), now)?.wait(now));
        }
        Ok(SignInAttempt { login, wait })
    }

    /// Reads the credentials of the account of an address consistently.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn login(&self, email: &Email) -> Result<Option<Login>, StoreError> {
        let item = self.get_row(TABLE, [("key", text(email_key(email)))]).await?;
        item.as_ref().map(Login::from_item).transpose()
    }

    /// Reads an account consistently.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user(&self, user: &UserId) -> Result<Option<User>, StoreError> {
        let item = self.get_row(TABLE, [("key", key(user))]).await?;
        item.as_ref().map(User::from_item).transpose()
    }
}

pub(crate) fn key(user: &UserId) -> AttributeValue {
    text(id_key(user))
}
