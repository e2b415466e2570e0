//! Deletion of one document: two calls.

use portcullis_auth::LibraryName;

use super::{Entry, Library};
use crate::{Store, StoreError, backoff::Backoff, error::CallError};

/// Reason why a document was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteDocumentError {
    /// No such document.
    #[error("the document is not known")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Deletes a document, and returns the library's version, which rises where the document was active.
    ///
    /// # Errors
    /// [`DeleteDocumentError`].
    pub async fn delete_document(&self, library: Library, name: &LibraryName) -> Result<u64, DeleteDocumentError> {
        let mut backoff = Backoff::of_race();
        loop {
            let read = self.library(library).await?;
            let deleted = read.entries.get(name).ok_or(DeleteDocumentError::NotFound)?;
            let next = self.next_contents(&read, |entries| drop(entries.remove(name)));
            let mut actions = self.contents_actions(library.table(), &read, &next)?;
            for key in Entry::piece_keys(deleted) {
                actions.push(self.let_expire(library.table(), name, &key)?);
            }
            match self.transact_write(actions).await {
                Ok(()) => return Ok(next.version),
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }
}
