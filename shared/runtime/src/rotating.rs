//! A secret that is refreshed in the background while requests use it.

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

/// Age after which a value is looked up again in the background.
pub const REFRESH_AFTER: Duration = Duration::from_mins(5);

/// Minimum age for a look-up because of a credential that does not match. It bounds the look-ups that a stranger with
/// wrong credentials can cause.
pub const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Longest age of a value that authenticates callers. An instance that was frozen over a rotation looks up the value
/// before it responds; otherwise an expired value would count once more.
pub const TRUSTED_FOR: Duration = Duration::from_hours(1);

/// A secret's last known value. The last good value stays in use while look-ups fail.
pub struct Rotating<T>(Arc<Inner<T>>);

struct Inner<T> {
    known: ArcSwap<Known<T>>,
    source: Arc<SecretSource>,
    id: SecretId,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    /// Held during a look-up, so that concurrent requests share a single one.
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
    /// The name of the invalid secret and its fault, without any part of its value.
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

    /// Returns the known value. If it is older than [`REFRESH_AFTER`], starts a look-up in the background.
    #[must_use]
    pub fn cached(&self) -> Arc<T> {
        let known = self.0.known.load();
        if self.0.is_older_than(&known, REFRESH_AFTER)
            && let Ok(looking) = Arc::clone(&self.0.looking).try_lock_owned()
        {
            let rotating = self.clone();
            tokio::spawn(async move { rotating.0.refresh(&looking, REFRESH_AFTER).await });
        }
        Arc::clone(&known.value)
    }

    /// Returns the known value if it is at most [`TRUSTED_FOR`] old, else the value after another look-up.
    pub async fn no_older_than(&self, age: Duration) -> Arc<T> {
        if self.0.is_older_than(&self.0.known.load(), age) {
            return self.refreshed().await;
        }
        self.cached()
    }

    /// Looks the secret up again if the known value is older than [`LOOK_AGAIN_AFTER`], and returns the latest value.
    ///
    /// The look-up runs in its own task: it completes and its outcome is recorded even if the waiting request is
    /// cancelled. Otherwise, while look-ups are slow, each request would start one and none would ever end.
    pub async fn refreshed(&self) -> Arc<T> {
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
        // The lock's previous holder may have refreshed the value.
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
        // Recorded after a failure too: otherwise each request would wait for another look-up.
        self.known.store(Arc::new(Known { value, looked_at: self.clock.now() }));
    }
}

/// Keyrings of a function's store, by domain.
pub struct StoreKeys(BTreeMap<Domain, Rotating<Keyring>>);

impl StoreKeys {
    pub(crate) fn new(keyrings: impl IntoIterator<Item = (Domain, Rotating<Keyring>)>) -> Self {
        Self(keyrings.into_iter().collect())
    }
}

impl KeySource for StoreKeys {
    fn keyring(&self, domain: Domain) -> Option<Arc<Keyring>> {
        self.0.get(&domain).map(Rotating::cached)
    }

    fn refreshed(&self, domain: Domain) -> KeyringFuture<'_> {
        Box::pin(async move {
            let keyring = self.0.get(&domain)?;
            Some(keyring.refreshed().await)
        })
    }
}

async fn look_up<T: FromSecret>(source: &SecretSource, id: SecretId) -> Result<T, String> {
    let problem = |error: &dyn std::fmt::Display| format!("{} {error}", source.describe(id));
    let versions = source.fetch(id).await.map_err(|error| problem(&error))?;
    T::from_secret(&versions).map_err(|error| problem(&error))
}
