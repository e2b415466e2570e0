//! Importing an account that another system has.

use super::{Login, NewUser, User};
use crate::{
    Store, StoreError,
    error::{CallError, Condition},
};

/// Outcome of importing an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportedUser {
    /// The account is there.
    Made,
    /// It was there already, under this id and address, and is left as it is.
    AlreadyThere,
    /// The address is another account's.
    EmailTaken,
    /// The id is another account's.
    IdTaken,
}

impl Store {
    /// Makes an account as it is in another system, unless it is there already: one transaction. It may be repeated.
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
