//! A secret that is kept fresh while requests go on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use portcullis_auth::Clock;
use portcullis_crypto::{Domain, Keyring};
use portcullis_store::{KeySource, KeyringFuture};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{
    metrics::{Metric, Metrics},
    secrets::{FromSecret, SecretId, SecretSource},
};

/// How old a value may grow before it is looked up again, with no request waiting for it.
pub const REFRESH_AFTER: Duration = Duration::from_mins(5);

/// How young a value must be for a credential that does not match it to be refused without another look. It bounds what
/// a stranger who sends wrong credentials can make us look up.
pub const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How old a value may be that decides who is let in: an instance that was frozen over a rotation looks before it answers,
/// or a value that has ended would count once more.
pub const TRUSTED_FOR: Duration = Duration::from_hours(1);

/// A secret's value as it was last found. The last good value serves for as long as no new one can be had.
pub struct Rotating<T>(Arc<Inner<T>>);

struct Inner<T> {
    known: ArcSwap<Known<T>>,
    source: Arc<SecretSource>,
    id: SecretId,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    /// Held while looking, so that however many requests want a look, one is under way.
    looking: Arc<Mutex<()>>,
}

struct Known<T> {
    value: Arc<T>,
    looked_at: Timestamp,
}

impl<T> Clone for Rotating<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: FromSecret> Rotating<T> {
    /// Looks the secret up for the first time.
    ///
    /// # Errors
    /// Which secret is wrong and how, with nothing of its value.
    pub(crate) async fn start(
        source: Arc<SecretSource>,
        id: SecretId,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Result<Self, String> {
        let value = look_up(&source, id).await?;
        let known = ArcSwap::from_pointee(Known { value: Arc::new(value), looked_at: clock.now() });
        Ok(Self(Arc::new(Inner { known, source, id, clock, metrics, looking: Arc::default() })))
    }

    /// The value as it is known. Where that is older than [`REFRESH_AFTER`], a look is started that nobody waits for.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        let known = self.0.known.load();
        if self.0.is_older_than(&known, REFRESH_AFTER)
            && let Ok(looking) = Arc::clone(&self.0.looking).try_lock_owned()
        {
            let rotating = self.clone();
            tokio::spawn(async move { rotating.0.refresh(&looking, REFRESH_AFTER).await });
        }
        Arc::clone(&known.value)
    }

    /// The value as it is known, where that is not older than [`TRUSTED_FOR`]; else after another look.
    pub async fn trusted(&self) -> Arc<T> {
        if self.0.is_older_than(&self.0.known.load(), TRUSTED_FOR) {
            return self.look_again().await;
        }
        self.get()
    }

    /// The value after another look, where the one that is known is older than [`LOOK_AGAIN_AFTER`]; else that.
    ///
    /// The look goes on where whoever waits for it gives up: its outcome is recorded, or each request of a slow hour would
    /// begin one of its own and none would ever end.
    pub async fn look_again(&self) -> Arc<T> {
        if self.0.is_older_than(&self.0.known.load(), LOOK_AGAIN_AFTER) {
            let rotating = self.clone();
            let look = tokio::spawn(async move {
                let looking = Arc::clone(&rotating.0.looking).lock_owned().await;
                rotating.0.refresh(&looking, LOOK_AGAIN_AFTER).await;
            });
            if let Err(error) = look.await {
                tracing::error!(%error, secret = self.0.id.name(), "the look at a secret ended early");
            }
        }
        Arc::clone(&self.0.known.load().value)
    }
}

impl<T: FromSecret> Inner<T> {
    fn is_older_than(&self, known: &Known<T>, age: Duration) -> bool {
        let elapsed = self.clock.now().duration_since(known.looked_at);
        self.source.can_change() && elapsed.unsigned_abs() >= age
    }

    async fn refresh(&self, _looking: &OwnedMutexGuard<()>, age: Duration) {
        let known = self.known.load_full();
        // Whoever held the lock before us may have looked.
        if !self.is_older_than(&known, age) {
            return;
        }
        let value = match look_up(&self.source, self.id).await {
            Ok(value) => Arc::new(value),
            Err(error) => {
                tracing::warn!(secret = self.id.name(), error, "secret not refreshed, the last good value serves on");
                self.metrics.count(Metric::SecretLookupFailed);
                Arc::clone(&known.value)
            }
        };
        // After a failed look as well: each request would wait for another otherwise.
        self.known.store(Arc::new(Known { value, looked_at: self.clock.now() }));
    }
}

/// The keyrings that a function's store works with, by their domains.
pub struct StoreKeys(BTreeMap<Domain, Rotating<Keyring>>);

impl StoreKeys {
    pub(crate) fn new(keyrings: impl IntoIterator<Item = (Domain, Rotating<Keyring>)>) -> Self {
        Self(keyrings.into_iter().collect())
    }
}

impl KeySource for StoreKeys {
    fn keyring(&self, domain: Domain) -> Option<Arc<Keyring>> {
        self.0.get(&domain).map(Rotating::get)
    }

    fn look_again(&self, domain: Domain) -> KeyringFuture<'_> {
        Box::pin(async move {
            let keyring = self.0.get(&domain)?;
            Some(keyring.look_again().await)
        })
    }
}

async fn look_up<T: FromSecret>(source: &SecretSource, id: SecretId) -> Result<T, String> {
    let problem = |error: &dyn std::fmt::Display| format!("{} {error}", source.describe(id));
    let versions = source.fetch(id).await.map_err(|error| problem(&error))?;
    T::from_secret(&versions).map_err(|error| problem(&error))
}
