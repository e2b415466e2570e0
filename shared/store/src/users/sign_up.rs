//! Creation of an account.

use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem, Update,
};
use jiff::Timestamp;
use portcullis_auth::{Email, PasswordHash, UserId};

use super::{Login, TABLE, User, email_key, id_key};
use crate::{
    Store, StoreError,
    attribute::{SCHEMA, attributes, names, number, schema, text, time},
    backoff::Backoff,
    error::{CallError, Condition},
    store::built,
};

/// An account to create.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Id of the account.
    pub id: UserId,
    /// E-mail address.
    pub email: Email,
    /// Display name.
    pub name: String,
    /// URL of the picture, or the picture as a `data:` URL.
    pub image: Option<String>,
    /// Password hash; an imported account may have none.
    pub password: Option<PasswordHash>,
    /// Whether the address is verified already, as for an imported account.
    pub email_verified: bool,
    /// Time of the sign-up; `None` means now.
    pub created_at: Option<Timestamp>,
}

/// Outcome of a sign-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedUp {
    /// The account exists, unverified, with the data of this sign-up. A mail that verifies it must carry
    /// `credential_revision`.
    Made {
        /// The account, as it is stored now.
        user: User,
        /// Its [`Login::credential_revision`].
        credential_revision: u64,
    },
    /// A verified account has the address.
    Taken,
}

impl Store {
    /// Creates an account: one call. If the address has an unverified account, that gets the new name and password, and
    /// mails sent for it before become invalid: the reader of the last mail decides, not somebody who signed up earlier
    /// with a stranger's address.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_up(&self, new: &NewUser) -> Result<SignedUp, StoreError> {
        let mut backoff = Backoff::of_race();
        loop {
            let user = User::unsaved(new.clone(), self.now());
            match self.transact_write(vec![self.put_login(new, &user)?, self.put_user(&user)?]).await {
                Ok(()) => return Ok(SignedUp::Made { user, credential_revision: 1 }),
                Err(CallError::Conditions(conditions)) => {
                    if let Some(Condition::Failed(Some(old))) = conditions.into_iter().next() {
                        let old = Login::from_item(&old)?;
                        let Some(password) = new.password.as_ref().filter(|_| !old.email_verified) else {
                            return Ok(SignedUp::Taken);
                        };
                        if let Some(outcome) = self.sign_up_again(new, password, &old).await? {
                            return Ok(outcome);
                        }
                    }
                }
                Err(CallError::Store(error)) => return Err(error),
            }
            // The account was verified, deleted or created between the calls.
            self.wait_after_race(&mut backoff).await?;
        }
    }

    /// Replaces the password and the name of an unverified account; `None` where it has changed since it was read.
    async fn sign_up_again(
        &self,
        new: &NewUser,
        password: &PasswordHash,
        old: &Login,
    ) -> Result<Option<SignedUp>, StoreError> {
        let Some(known) = self.user(&old.user).await? else { return Ok(None) };
        let now = self.now();
        let update = "SET #passwordHash = :hash, #updatedAt = :now ADD #revision :one";
        let condition = "#schema = :schema AND #user = :user AND #emailVerified = :no AND #revision = :revision";
        let login = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("key", text(email_key(&new.email)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":hash", text(password.expose())),
                (":user", text(&old.user)),
                (":no", AttributeValue::Bool(false)),
                (":revision", number(old.credential_revision)),
                (":now", time(now)),
                (":one", number(1)),
            ])));
        let update = "SET #name = :name, #updatedAt = :now ADD #revision :one";
        let condition = "#schema = :schema AND #revision = :revision";
        let profile = Update::builder()
            .table_name(self.table_name(TABLE))
            .key("key", text(id_key(&old.user)))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":name", text(&new.name)),
                (":revision", number(known.revision)),
                (":now", time(now)),
                (":one", number(1)),
            ])));
        let actions = [login, profile]
            .map(|update| Ok::<_, StoreError>(TransactWriteItem::builder().update(built(update.build())?).build()));
        match self.transact_write(actions.into_iter().collect::<Result<_, _>>()?).await {
            Ok(()) => Ok(Some(SignedUp::Made {
                user: User { name: new.name.clone(), updated_at: now, revision: known.revision + 1, ..known },
                credential_revision: old.credential_revision + 1,
            })),
            Err(CallError::Conditions(_)) => Ok(None),
            Err(CallError::Store(error)) => Err(error),
        }
    }

    pub(super) fn put_login(&self, new: &NewUser, user: &User) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#key)";
        let mut row = attributes([
            (SCHEMA, schema()),
            ("key", text(email_key(&user.email))),
            ("user", text(&user.id)),
            ("emailVerified", AttributeValue::Bool(user.email_verified)),
            ("revision", number(1)),
            ("updatedAt", time(user.updated_at)),
        ]);
        row.extend(new.password.iter().map(|hash| ("passwordHash".to_owned(), text(hash.expose()))));
        let put = Put::builder()
            .table_name(self.table_name(TABLE))
            .set_item(Some(row))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .return_values_on_condition_check_failure(AllOld);
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    pub(super) fn put_user(&self, user: &User) -> Result<TransactWriteItem, StoreError> {
        let condition = "attribute_not_exists(#key)";
        let mut row = attributes([
            (SCHEMA, schema()),
            ("key", text(id_key(&user.id))),
            ("id", text(&user.id)),
            ("email", text(&user.email)),
            ("name", text(&user.name)),
            ("emailVerified", AttributeValue::Bool(user.email_verified)),
            ("revision", number(user.revision)),
            ("createdAt", time(user.created_at)),
            ("updatedAt", time(user.updated_at)),
        ]);
        row.extend(user.image.iter().map(|image| ("image".to_owned(), text(image))));
        let put = Put::builder()
            .table_name(self.table_name(TABLE))
            .set_item(Some(row))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }
}
