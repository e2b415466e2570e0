//! Uses of a mailed code or link: verifying the address, setting a new password.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use portcullis_auth::{Email, PasswordHash};

use super::{TABLE, User, UserError, email_key, key};
use crate::{
    Store, StoreError, Verification, VerificationError,
    attribute::{Item, attributes, names, number, schema, text, time},
    auth_sessions::Sessions,
    backoff::Backoff,
    error::{CallError, Condition},
    store::built,
};

impl Store {
    /// Marks an account's address as verified and consumes the code or link: two calls.
    ///
    /// # Errors
    /// [`VerificationError`]; `Invalid` where it was used meanwhile, or the account's password has changed since it was
    /// mailed.
    pub async fn verify_email(&self, by: &Verification) -> Result<User, VerificationError> {
        let mut backoff = Backoff::of_race();
        loop {
            let user = self.user(&by.user).await?.filter(|user| user.email == by.email);
            let user = user.ok_or(VerificationError::Invalid)?;
            let actions = vec![
                self.use_up(by)?,
                self.update_login(
                    &by.email,
                    by.credential_revision,
                    "SET #emailVerified = :yes, #updatedAt = :now",
                    [(":yes", AttributeValue::Bool(true))],
                )?,
                self.update_user(&user, ", #emailVerified = :yes", attributes([(":yes", AttributeValue::Bool(true))]))?,
            ];
            match self.transact_write(actions).await {
                Ok(()) => return Ok(User { email_verified: true, updated_at: self.now(), ..user }),
                Err(CallError::Conditions(conditions)) => match conditions.as_slice() {
                    [Condition::Failed(_), ..] | [_, Condition::Failed(_), ..] => {
                        return Err(VerificationError::Invalid);
                    }
                    // The profile has changed since it was read.
                    _ => self.wait_after_race(&mut backoff).await?,
                },
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Sets a new password by a mailed code or link, which it consumes, marks the address as verified, since it
    /// received the mail, and ends all the account's sessions: two calls.
    ///
    /// # Errors
    /// Same as [`Store::verify_email`].
    pub async fn reset_password(&self, by: &Verification, password: &PasswordHash) -> Result<(), VerificationError> {
        let mut backoff = Backoff::of_race();
        loop {
            let user = self.user(&by.user).await?.filter(|user| user.email == by.email);
            let user = user.ok_or(VerificationError::Invalid)?;
            let mut actions = vec![self.use_up(by)?, self.set_password(&by.email, by.credential_revision, password)?];
            actions.push(self.replace_sessions(&user, Sessions::None)?);
            actions.extend(self.delete_session_rows(&user.sessions)?);
            match self.transact_write(actions).await {
                Ok(()) => return Ok(()),
                Err(CallError::Conditions(conditions)) => match conditions.as_slice() {
                    [Condition::Failed(_), ..] | [_, Condition::Failed(_), ..] => {
                        return Err(VerificationError::Invalid);
                    }
                    _ => self.wait_after_race(&mut backoff).await?,
                },
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Action that sets a password and marks the address as verified, on the condition that the credential revision is
    /// unchanged.
    pub(super) fn set_password(
        &self,
        email: &Email,
        credential_revision: u64,
        password: &PasswordHash,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #passwordHash = :hash, #emailVerified = :yes, #updatedAt = :now ADD #revision :one";
        self.update_login(
            email,
            credential_revision,
            update,
            [(":hash", text(password.expose())), (":yes", AttributeValue::Bool(true)), (":one", number(1))],
        )
    }

    pub(super) fn update_login<const N: usize>(
        &self,
        email: &Email,
        credential_revision: u64,
        update: &str,
        values: [(&str, AttributeValue); N],
    ) -> Result<TransactWriteItem, StoreError> {
        let condition = "#schema = :schema AND #revision = :revision";
        let mut all =
            attributes([(":schema", schema()), (":revision", number(credential_revision)), (":now", time(self.now()))]);
        all.extend(attributes(values));
        let update_login = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("key", text(email_key(email)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(all));
        Ok(TransactWriteItem::builder().update(built(update_login.build())?).build())
    }

    /// Action that changes a profile, on the condition that it is as it was read. `change` is appended to the
    /// assignments: `, #name = :name REMOVE #image`.
    pub(crate) fn update_user(&self, user: &User, change: &str, values: Item) -> Result<TransactWriteItem, StoreError> {
        let update = format!("ADD #revision :one SET #updatedAt = :now{change}");
        let condition = "#schema = :schema AND #revision = :revision";
        let mut all = attributes([
            (":schema", schema()),
            (":revision", number(user.revision)),
            (":now", time(self.now())),
            (":one", number(1)),
        ]);
        all.extend(values);
        let update_user = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("key", key(&user.id))
            .set_expression_attribute_names(names(&[&update, condition]))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(all));
        Ok(TransactWriteItem::builder().update(built(update_user.build())?).build())
    }
}

impl From<UserError> for VerificationError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Self::Invalid,
            UserError::Store(error) => Self::Store(error),
        }
    }
}
