//! Computing passwords' hashes beside the requests' own thread, as many at once as there are cores.

use std::{
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use portcullis_auth::{
    HashMemory, Password, PasswordHash,
    password::{HashFailed, Verdict},
};
use portcullis_crypto::Randomness;
use portcullis_runtime::{
    ApiError, Platform,
    metrics::{Metric, Metrics},
};
use tokio::sync::Semaphore;

/// Longest wait for a free core. A person would try again after longer, and make the queue worse.
const PATIENCE: Duration = Duration::from_secs(2);

/// Hash that no password has, with the parameters of new ones: comparing with it costs what a real comparison costs.
static NOBODYS: LazyLock<Option<PasswordHash>> = LazyLock::new(|| {
    PasswordHash::parse(&format!("$argon2id$v=19$m=19456,t=2,p=1${}${}", "A".repeat(22), "A".repeat(43))).ok()
});

/// Hashes and compares passwords. Each computation holds 19 MiB and a core, so that a storm of sign-ins waits here and delays
/// no other request.
pub(crate) struct Hasher {
    slots: Arc<Semaphore>,
    /// Memory that no computation uses now; at most one for each slot.
    memories: Arc<Mutex<Vec<HashMemory>>>,
    randomness: Arc<dyn Randomness>,
    metrics: Metrics,
    patience: Duration,
}

impl Hasher {
    pub(crate) fn new(platform: &Platform) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            slots: Arc::new(Semaphore::new(cores)),
            memories: Arc::default(),
            randomness: Arc::clone(&platform.randomness),
            metrics: platform.metrics.clone(),
            patience: PATIENCE * platform.patience,
        }
    }

    /// Hashes a password that is to be kept.
    pub(crate) async fn hash(&self, password: Password) -> Result<PasswordHash, ApiError> {
        let randomness = Arc::clone(&self.randomness);
        self.compute(move |memory| PasswordHash::of(&password, &*randomness, memory)).await
    }

    /// Compares a password with a hash. Without one the outcome is [`Verdict::Wrong`], after the same work.
    pub(crate) async fn verify(&self, hash: Option<PasswordHash>, password: Password) -> Result<Verdict, ApiError> {
        let hash = hash.or_else(|| NOBODYS.clone()).ok_or_else(|| ApiError::internal("no hash to compare with"))?;
        self.compute(move |memory| hash.verify(&password, memory)).await
    }

    async fn compute<T: Send + 'static>(
        &self,
        computation: impl FnOnce(&mut HashMemory) -> Result<T, HashFailed> + Send + 'static,
    ) -> Result<T, ApiError> {
        let slot = tokio::time::timeout(self.patience, Arc::clone(&self.slots).acquire_owned()).await;
        let slot = slot
            .map_err(|_| ApiError::unavailable("all cores compute hashes of passwords"))?
            .map_err(|_| ApiError::internal("the hasher has ended"))?;
        self.metrics.count(Metric::PasswordHashed);
        let memories = Arc::clone(&self.memories);
        // The slot goes with the computation, which goes on where whoever waits for it gives up.
        let computed = tokio::task::spawn_blocking(move || {
            let free = || memories.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = free().pop().unwrap_or_default();
            let outcome = computation(&mut memory);
            free().push(memory);
            drop(slot);
            outcome
        });
        let computed = computed.await.map_err(|_| ApiError::internal("hashing a password panicked"))?;
        computed.map_err(|error| ApiError::unavailable(error.to_string()))
    }
}
