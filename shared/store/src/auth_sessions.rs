//! `auth_sessions`: signed-in browsers.
//!
//! A row's key is the digest of its token. The account's row lists the ids of its sessions, so that ending all of them
//! is one transaction on base tables and takes effect with it; no index decides.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use jiff::Timestamp;
use portcullis_auth::{Email, SessionId, UserId};

use crate::{
    Store, StoreError, Table, ThrottleSubject, User, UserError,
    attribute::{Item, SCHEMA, attributes, epoch_seconds, names, number, schema, size, text, text_set, time},
    backoff::Backoff,
    batch::RowKey,
    error::{CallError, Condition},
    row::Row,
    store::built,
    users,
};

const TABLE: Table = Table::AuthSessions;

/// Lifetime of an unused session. Source: the contract, §6 (`Max-Age=604800`).
pub const SESSION_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// Lifetime limit of a session, however much it is used. Source: the contract, §6.
pub const SESSION_LIFETIME_AT_MOST: Duration = Duration::from_hours(30 * 24);
/// Least time between two extensions of a session, so that not each request writes.
pub const SESSION_SLIDES_EVERY: Duration = Duration::from_hours(24);
/// Most sessions of one account; a further sign-in ends the oldest. The limit keeps a transaction that ends all of them
/// within its 100 actions.
pub const MAXIMUM_SESSIONS: usize = 50;

/// A session to open.
#[derive(Clone, Debug)]
pub struct NewAuthSession {
    /// Id of the session.
    pub id: SessionId,
    /// Account that is signed in.
    pub user: UserId,
    /// Whether the browser keeps the cookie when it is closed.
    pub is_remembered: bool,
    /// The client's address.
    pub ip_address: Option<String>,
    /// User agent of the browser.
    pub user_agent: Option<String>,
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSession {
    /// Id of the session.
    pub id: SessionId,
    /// Account that is signed in.
    pub user: UserId,
    /// Whether the browser keeps the cookie when it is closed.
    pub is_remembered: bool,
    /// The client's address when it was opened.
    pub ip_address: Option<String>,
    /// User agent of the browser when it was opened.
    pub user_agent: Option<String>,
    /// Time at which it was opened.
    pub created_at: Timestamp,
    /// Time of its last extension.
    pub updated_at: Timestamp,
    /// Time at which it ends, unless it is used before.
    pub expires_at: Timestamp,
}

/// Reason why a session was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenSessionError {
    /// A subject's tries were used up meanwhile.
    #[error("too many failures")]
    Locked,
    /// The account was deleted, or its password has changed since it was read.
    #[error("the account has changed")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// New list of an account's sessions.
#[derive(Clone, Copy)]
pub(crate) enum Sessions<'a> {
    None,
    One(&'a SessionId),
    These(&'a [SessionId]),
}

impl AuthSession {
    fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        Ok(Self {
            id: row.parsed("id")?,
            user: row.parsed("user")?,
            is_remembered: row.boolean("remembered")?,
            ip_address: row.optional_text("ipAddress")?.map(str::to_owned),
            user_agent: row.optional_text("userAgent")?.map(str::to_owned),
            created_at: row.time("createdAt")?,
            updated_at: row.time("updatedAt")?,
            expires_at: Timestamp::from_second(row.parsed("expiresAt")?).map_err(|_| row.malformed("expiresAt"))?,
        })
    }

    /// Returns whether it is time to extend the session.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now.duration_since(self.updated_at).unsigned_abs() >= SESSION_SLIDES_EVERY && self.end(now) > self.expires_at
    }

    fn end(&self, now: Timestamp) -> Timestamp {
        (now + SESSION_LIFETIME).min(self.created_at + SESSION_LIFETIME_AT_MOST)
    }
}

impl Store {
    /// Reads a live session consistently.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn auth_session(&self, id: &SessionId) -> Result<Option<AuthSession>, StoreError> {
        let item = self.get_row(TABLE, [("id", text(id))]).await?;
        let session = item.as_ref().map(AuthSession::from_item).transpose()?;
        Ok(session.filter(|session| session.expires_at > self.now()))
    }

    /// Opens a session for the account of `email`, resets the failures of `account` and holds `address` to its tries:
    /// one call, and more where the account has its limit of sessions.
    ///
    /// # Errors
    /// [`OpenSessionError`].
    pub async fn open_session(
        &self,
        new: &NewAuthSession,
        email: &Email,
        credential_revision: u64,
        account: &ThrottleSubject,
        address: &ThrottleSubject,
    ) -> Result<(), OpenSessionError> {
        let mut backoff = Backoff::of_race();
        loop {
            let actions = vec![
                self.forget_failures(account)?,
                self.while_open(address)?,
                self.check_login(email, credential_revision)?,
                self.add_session(new)?,
                self.put_auth_session(new)?,
            ];
            match self.transact_write(actions).await {
                Ok(()) => return Ok(()),
                Err(CallError::Conditions(conditions)) => match conditions.as_slice() {
                    [Condition::Failed(_), ..] | [_, Condition::Failed(_), ..] => return Err(OpenSessionError::Locked),
                    [_, _, Condition::Failed(_), ..] => return Err(OpenSessionError::Changed),
                    _ => {
                        self.make_room(&new.user).await?;
                        self.wait_after_race(&mut backoff).await?;
                    }
                },
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Removes an account's oldest sessions and those that have ended from its list.
    async fn make_room(&self, user: &UserId) -> Result<(), OpenSessionError> {
        let known = self.user(user).await?.ok_or(OpenSessionError::Changed)?;
        let mut kept = self.sessions_of(&known).await?;
        kept.sort_by_key(|session| std::cmp::Reverse(session.created_at));
        kept.truncate(MAXIMUM_SESSIONS - 1);
        let kept: Vec<_> = kept.into_iter().map(|session| session.id).collect();
        let gone: Vec<_> = known.sessions.iter().filter(|id| !kept.contains(id)).cloned().collect();
        let mut actions = vec![self.replace_sessions(&known, Sessions::These(&kept))?];
        actions.extend(self.delete_session_rows(&gone)?);
        match self.transact_write(actions).await {
            // If another sign-in won the race, it has made room as well.
            Ok(()) | Err(CallError::Conditions(_)) => Ok(()),
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }

    /// Extends a session's lifetime: one call. A session that was ended meanwhile stays so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn extend_session(&self, session: &AuthSession) -> Result<AuthSession, StoreError> {
        let now = self.now();
        let extended = AuthSession { updated_at: now, expires_at: session.end(now), ..session.clone() };
        let update = "SET #updatedAt = :now, #expiresAt = :end";
        let condition = "#schema = :schema AND #updatedAt = :read";
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("id", text(&session.id))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":now", time(now)),
                (":read", time(session.updated_at)),
                (":end", epoch_seconds(extended.expires_at)),
            ])));
        match self.call(|| request.clone().send()).await {
            Ok(_) => Ok(extended),
            Err(CallError::Conditions(_)) => Ok(session.clone()),
            Err(CallError::Store(error)) => Err(error),
        }
    }

    /// Reads an account's live sessions: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sessions_of(&self, user: &User) -> Result<Vec<AuthSession>, StoreError> {
        if user.sessions.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = user.sessions.iter().map(|id| RowKey::new(TABLE, [id.as_str()])).collect();
        let rows = self.get_rows(&keys).await?.into_iter().flatten();
        let sessions = rows.map(|item| AuthSession::from_item(&item)).collect::<Result<Vec<_>, _>>()?;
        let now = self.now();
        Ok(sessions.into_iter().filter(|session| session.expires_at > now && session.user == user.id).collect())
    }

    /// Ends the sessions of an account that `ends` selects: one transaction after one read.
    ///
    /// # Errors
    /// [`UserError`].
    pub async fn end_sessions(&self, user: &UserId, ends: impl Fn(&SessionId) -> bool) -> Result<(), UserError> {
        let mut backoff = Backoff::of_race();
        loop {
            let known = self.user(user).await?.ok_or(UserError::NotFound)?;
            let (gone, kept): (Vec<_>, Vec<_>) = known.sessions.iter().cloned().partition(&ends);
            if gone.is_empty() {
                return Ok(());
            }
            let mut actions = vec![self.replace_sessions(&known, Sessions::These(&kept))?];
            actions.extend(self.delete_session_rows(&gone)?);
            match self.transact_write(actions).await {
                Ok(()) => return Ok(()),
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    fn check_login(&self, email: &Email, credential_revision: u64) -> Result<TransactWriteItem, StoreError> {
        let condition = "#emailVerified = :yes AND #revision = :revision";
        let check = aws_sdk_dynamodb::types::ConditionCheck::builder()
            .table_name(self.table_name(users::TABLE))
            .key("key", text(users::email_key(email)))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":revision", number(credential_revision));
        Ok(TransactWriteItem::builder().condition_check(built(check.build())?).build())
    }

    fn add_session(&self, new: &NewAuthSession) -> Result<TransactWriteItem, StoreError> {
        let update = "ADD #sessions :session, #revision :one";
        let condition = "#schema = :schema AND (attribute_not_exists(#sessions) OR size(#sessions) < :maximum)";
        let update = Update::builder()
            .table_name(self.table_name(users::TABLE))
            .key("key", users::key(&new.user))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":session", text_set([&new.id])),
                (":maximum", size(MAXIMUM_SESSIONS)),
                (":one", number(1)),
            ])));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    /// Action that puts a session's row.
    pub(crate) fn put_auth_session(&self, new: &NewAuthSession) -> Result<TransactWriteItem, StoreError> {
        let now = self.now();
        let mut row = attributes([
            (SCHEMA, schema()),
            ("id", text(&new.id)),
            ("user", text(&new.user)),
            ("remembered", AttributeValue::Bool(new.is_remembered)),
            ("createdAt", time(now)),
            ("updatedAt", time(now)),
            ("expiresAt", epoch_seconds(now + SESSION_LIFETIME)),
        ]);
        row.extend(new.ip_address.iter().map(|address| ("ipAddress".to_owned(), text(address))));
        row.extend(new.user_agent.iter().map(|agent| ("userAgent".to_owned(), text(agent))));
        let put = Put::builder().table_name(self.table_name(TABLE)).set_item(Some(row));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    /// Action that sets an account's list of sessions, on the condition that the account is as it was read.
    pub(crate) fn replace_sessions(
        &self,
        user: &User,
        sessions: Sessions<'_>,
    ) -> Result<TransactWriteItem, StoreError> {
        let left = match sessions {
            Sessions::None => &[],
            Sessions::One(id) => std::slice::from_ref(id),
            Sessions::These(ids) => ids,
        };
        // DynamoDB has no empty set.
        if left.is_empty() {
            return self.update_user(user, " REMOVE #sessions", Item::new());
        }
        self.update_user(user, ", #sessions = :sessions", attributes([(":sessions", text_set(left))]))
    }

    pub(crate) fn delete_session_rows(&self, ids: &[SessionId]) -> Result<Vec<TransactWriteItem>, StoreError> {
        let delete = |id: &SessionId| {
            let delete = Delete::builder().table_name(self.table_name(TABLE)).key("id", text(id));
            Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
        };
        ids.iter().map(delete).collect()
    }
}
