//! `verifications`: mailed codes and links.
//!
//! A code is found by its purpose and address and has three tries, each counted before it is compared; a link is found
//! by its token's digest. Both hold the account's credential revision: those mailed before a password change are no
//! longer valid. Either is consumed in the transaction of the action that it allows.

use std::time::Duration;

use aws_sdk_dynamodb::types::{Delete, ReturnValue, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem};
use portcullis_auth::{Email, UserId};
use portcullis_crypto::Digest;

use crate::{
    Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, epoch_seconds, names, number, schema, text},
    error::{CallError, Condition},
    row::Row,
    store::built,
};

const TABLE: Table = Table::Verifications;

/// Tries of a code. Source: better-auth's email-otp plugin, `allowedAttempts`.
pub const CODE_TRIES: u32 = 3;

/// A code or a link to mail for an account.
#[derive(Clone, Debug)]
pub struct NewVerification {
    /// Key: the digest of a link's token, or of a code's purpose and address.
    pub id: Digest,
    /// Keyed digest of a code; `None` for a link.
    pub code: Option<Digest>,
    /// Account that it is mailed to.
    pub user: UserId,
    /// Address of the account at the time.
    pub email: Email,
    /// Credential revision of the account at the time.
    pub credential_revision: u64,
    /// Time for which it is valid.
    pub lifetime: Duration,
}

/// A presented code or link that is valid. The action that it allows consumes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    pub(crate) id: Digest,
    pub(crate) code: Option<Digest>,
    /// Account that it was mailed to.
    pub user: UserId,
    /// Address of the account when it was mailed.
    pub email: Email,
    /// Credential revision of the account when it was mailed.
    pub credential_revision: u64,
}

/// Reason why a code or a link is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    /// No such code or link, or it was used already.
    #[error("the code or link is not valid")]
    Invalid,
    /// The code or link has expired.
    #[error("the code or link has expired")]
    Expired,
    /// The code was tried [`CODE_TRIES`] times.
    #[error("the code was tried too often")]
    TooManyTries,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Records a code or a link before it is mailed: one call. A code replaces the earlier one for the same purpose.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_verification(&self, new: &NewVerification) -> Result<(), StoreError> {
        let mut row = attributes([
            (SCHEMA, schema()),
            ("id", text(new.id.to_hex())),
            ("user", text(&new.user)),
            ("email", text(&new.email)),
            ("credentialRevision", number(new.credential_revision)),
            ("tries", number(0)),
            ("expiresAt", epoch_seconds(self.now() + new.lifetime)),
        ]);
        row.extend(new.code.iter().map(|code| ("code".to_owned(), text(code.to_hex()))));
        let request = self.client().put_item().table_name(self.table_name(TABLE)).set_item(Some(row));
        self.call(|| request.clone().send()).await?;
        Ok(())
    }

    /// Finds a link by its token's digest: one call.
    ///
    /// # Errors
    /// [`VerificationError`].
    pub async fn find_link(&self, id: Digest) -> Result<Verification, VerificationError> {
        let item = self.get_row(TABLE, [("id", text(id.to_hex()))]).await?;
        let (found, expires_at) = read(id, &item.ok_or(VerificationError::Invalid)?)?;
        if expires_at <= self.now().as_second() { Err(VerificationError::Expired) } else { Ok(found) }
    }

    /// Tries a code: one call. The try is counted before the code is compared, so that concurrent guesses get no more
    /// than [`CODE_TRIES`].
    ///
    /// # Errors
    /// [`VerificationError`].
    pub async fn try_code(&self, id: Digest, code: Digest) -> Result<Verification, VerificationError> {
        let update = "ADD #tries :one";
        let condition = "#schema = :schema AND #expiresAt > :now AND #tries < :maximum";
        let request = self
            .client()
            .update_item()
            .table_name(self.table_name(TABLE))
            .key("id", text(id.to_hex()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .set_expression_attribute_values(Some(attributes([
                (":schema", schema()),
                (":one", number(1)),
                (":now", epoch_seconds(self.now())),
                (":maximum", number(CODE_TRIES)),
            ])))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(AllOld);
        match self.call(|| request.clone().send()).await {
            Ok(output) => {
                let (found, _) = read(id, &output.attributes.unwrap_or_default())?;
                if found.code == Some(code) { Ok(found) } else { Err(VerificationError::Invalid) }
            }
            Err(CallError::Conditions(conditions)) => match conditions.into_iter().next() {
                Some(Condition::Failed(Some(old))) => {
                    let (_, expires_at) = read(id, &old)?;
                    let is_over = expires_at <= self.now().as_second();
                    Err(if is_over { VerificationError::Expired } else { VerificationError::TooManyTries })
                }
                _ => Err(VerificationError::Invalid),
            },
            Err(CallError::Store(error)) => Err(error.into()),
        }
    }

    /// Action that consumes a code or a link, on the condition that it was not used before.
    pub(crate) fn use_up(&self, used: &Verification) -> Result<TransactWriteItem, StoreError> {
        let condition = match used.code {
            Some(_) => "#code = :code AND #expiresAt > :now",
            None => "attribute_not_exists(#code) AND #expiresAt > :now",
        };
        let mut values = attributes([(":now", epoch_seconds(self.now()))]);
        values.extend(used.code.map(|code| (":code".to_owned(), text(code.to_hex()))));
        let delete = Delete::builder()
            .table_name(self.table_name(TABLE))
            .key("id", text(used.id.to_hex()))
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[condition]))
            .set_expression_attribute_values(Some(values));
        Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
    }
}

/// Parses a row; also returns its expiry, in seconds since the epoch.
fn read(id: Digest, item: &Item) -> Result<(Verification, i64), StoreError> {
    let row = Row::new(TABLE, item)?;
    let code = row.optional_text("code")?.map(|code| Digest::from_hex(code).ok_or_else(|| row.malformed("code")));
    let found = Verification {
        id,
        code: code.transpose()?,
        user: row.parsed("user")?,
        email: row.parsed("email")?,
        credential_revision: row.parsed("credentialRevision")?,
    };
    Ok((found, row.parsed("expiresAt")?))
}
