//! The store: its client, and the one path that every call takes.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use aws_sdk_dynamodb::{
    Client, Error,
    config::{http::HttpResponse, timeout::TimeoutConfig},
    error::{BuildError, SdkError},
    operation::get_item::builders::GetItemFluentBuilder,
    types::{AttributeValue, TransactWriteItem},
};
use jiff::Timestamp;
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;

use crate::{
    KeySource, OPERATION_TIMEOUT, StoreError, Table,
    attribute::{Item, attributes, names, text},
    backoff::Backoff,
    error::{CallError, Failure, classify},
    round_trips,
};

/// Unwraps an SDK builder's result. A builder fails only for a missing required part, which is a bug here.
pub(crate) fn built<T>(result: Result<T, BuildError>) -> Result<T, StoreError> {
    result.map_err(|_| StoreError::Refused { code: "ConstructionFailure".to_owned() })
}

/// Waits between two attempts.
#[expect(clippy::disallowed_methods, reason = "a back-off: no decision reads a clock here")]
async fn pause(delay: Duration) {
    tokio::time::sleep(delay).await;
}

/// Access to all tables. A clone is cheap and shares the client.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    prefix: String,
    keys: Arc<dyn KeySource>,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    budget: Duration,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("prefix", &self.inner.prefix).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the tables whose names start with `prefix`. The client's operation time-out bounds a call with all of its
    /// repetitions.
    #[must_use]
    pub fn new(
        client: Client,
        prefix: impl Into<String>,
        keys: Arc<dyn KeySource>,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        let budget = client.config().timeout_config().and_then(TimeoutConfig::operation_timeout);
        let budget = budget.unwrap_or(OPERATION_TIMEOUT);
        Self { inner: Arc::new(Inner { client, prefix: prefix.into(), keys, clock, randomness, budget }) }
    }

    /// Opens the connection with one cheap read of a key that cannot exist, in a table that the caller may read.
    ///
    /// # Errors
    /// [`StoreError`]; a caller at start may go on after [`StoreError::Unavailable`].
    pub async fn warm_up(&self, table: Table) -> Result<(), StoreError> {
        // No id holds a control character.
        let key: Vec<_> = table.key().iter().map(|attribute| (*attribute, text("\u{1}"))).collect();
        let request = self.client().get_item().table_name(self.table_name(table));
        let request = key.into_iter().fold(request, |request, (attribute, value)| request.key(attribute, value));
        self.call(|| request.clone().send()).await?;
        Ok(())
    }

    /// Prefix of the tables' names, which distinguishes this installation from others.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.inner.prefix
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(crate) fn keys(&self) -> &dyn KeySource {
        &*self.inner.keys
    }

    pub(crate) fn randomness(&self) -> &dyn Randomness {
        &*self.inner.randomness
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(crate) fn table_name(&self, table: Table) -> String {
        format!("{}{}", self.inner.prefix, table.name())
    }

    /// Reads one row consistently.
    pub(crate) async fn get_row<const N: usize>(
        &self,
        table: Table,
        key: [(&str, AttributeValue); N],
    ) -> Result<Option<Item>, StoreError> {
        self.read_row(self.get_item(table, key)).await
    }

    /// Reads some attributes (`#a, #b`) of one row consistently.
    pub(crate) async fn get_attributes<const N: usize>(
        &self,
        table: Table,
        key: [(&str, AttributeValue); N],
        projection: &str,
    ) -> Result<Option<Item>, StoreError> {
        let request = self.get_item(table, key).projection_expression(projection);
        self.read_row(request.set_expression_attribute_names(names(&[projection]))).await
    }

    fn get_item<const N: usize>(&self, table: Table, key: [(&str, AttributeValue); N]) -> GetItemFluentBuilder {
        let request = self.client().get_item().table_name(self.table_name(table)).consistent_read(true);
        request.set_key(Some(attributes(key)))
    }

    async fn read_row(&self, request: GetItemFluentBuilder) -> Result<Option<Item>, StoreError> {
        Ok(self.call(|| request.clone().send()).await?.item)
    }

    /// Runs one transaction of up to 100 actions.
    pub(crate) async fn transact_write(&self, actions: Vec<TransactWriteItem>) -> Result<(), CallError> {
        let request = self.client().transact_write_items().set_transact_items(Some(actions));
        self.call(|| request.clone().send()).await?;
        Ok(())
    }

    /// Waits before a change that lost a race reads again.
    pub(crate) async fn wait_after_race(&self, backoff: &mut Backoff) -> Result<(), StoreError> {
        self.wait(backoff, "too many writers of one row").await
    }

    /// Waits before the keys that DynamoDB left unprocessed are requested again.
    pub(crate) async fn wait_after_throttling(&self, backoff: &mut Backoff) -> Result<(), StoreError> {
        self.wait(backoff, "throttled").await
    }

    async fn wait(&self, backoff: &mut Backoff, reason: &str) -> Result<(), StoreError> {
        let delay = backoff.next_delay(self.randomness()).ok_or_else(|| StoreError::unavailable(reason))?;
        pause(delay).await;
        Ok(())
    }

    /// Makes a call. Every call goes through here: it is counted, repeated after a conflict, and ends within the
    /// operation's budget.
    pub(crate) async fn call<T, E, F>(&self, attempt: impl Fn() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        SdkError<E, HttpResponse>: Into<Error>,
    {
        let attempts = async {
            let mut backoff = Backoff::of_conflict();
            loop {
                // The SDK's futures are large; on the heap they do not grow every future above them.
                match round_trips::one(Box::pin(attempt())).await.map_err(classify) {
                    Ok(output) => return Ok(output),
                    Err(Failure::Final(error)) => return Err(error),
                    Err(Failure::Contended(reason)) => match backoff.next_delay(self.randomness()) {
                        Some(delay) => pause(delay).await,
                        None => return Err(CallError::Store(StoreError::unavailable(reason))),
                    },
                }
            }
        };
        match tokio::time::timeout(self.inner.budget, attempts).await {
            Ok(result) => result,
            Err(_elapsed) => Err(CallError::Store(StoreError::unavailable("timed out"))),
        }
    }
}
