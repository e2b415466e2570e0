//! Import of an account of another system.

use super::{Login, NewUser, User};
use crate::{
    Store, StoreError,
    error::{CallError, Condition},
};

/// Outcome of importing an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportedUser {
    /// The account was created.
    Made,
    /// The account exists already, under this id and address, and stays as it is.
    AlreadyThere,
    /// Another account has the address.
    EmailTaken,
    /// Another account has the id.
    IdTaken,
}

impl Store {
    /// Creates an account as it is in another system, unless it exists already: one transaction. Idempotent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn import_user(&self, new: &NewUser) -> Result<ImportedUser, StoreError> {
        let user = User::unsaved(new.clone(), self.now());
        match self.transact_write(vec![self.put_login(new, &user)?, self.put_user(&user)?]).await {
            Ok(()) => Ok(ImportedUser::Made),
            Err(CallError::Conditions(conditions)) => match conditions.into_iter().next() {
                Some(Condition::Failed(Some(known))) if Login::from_item(&known)?.user == new.id => {
                    Ok(ImportedUser::AlreadyThere)
                }
                Some(Condition::Failed(_)) => Ok(ImportedUser::EmailTaken),
                _ => Ok(ImportedUser::IdTaken),
            },
            Err(CallError::Store(error)) => Err(error),
        }
    }
}
