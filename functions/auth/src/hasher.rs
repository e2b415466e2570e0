//! A pool of blocking threads that hashes passwords, limited to the number of cores.

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
    ApiError, Environment,
    metrics::{Metric, Metrics},
};
use tokio::sync::Semaphore;

/// Longest wait for a free slot. After a longer one, a person would retry and lengthen the queue.
const PATIENCE: Duration = Duration::from_secs(2);

/// Hash that matches no password, with the parameters of new hashes: comparing with it takes as long as a real
/// comparison.
static NOBODYS: LazyLock<Option<PasswordHash>> = LazyLock::new(|| {
    PasswordHash::parse(&format!("$argon2id$v=19$m=19456,t=2,p=1${}${}", "A".repeat(22), "A".repeat(43))).ok()
});

/// Hashes and compares passwords. Each computation takes 19 MiB and a core, so a storm of sign-ins queues here and
/// does not delay other requests.
pub(crate) struct Hasher {
    slots: Arc<Semaphore>,
    /// Free memory blocks for reuse, at most one per slot.
    memories: Arc<Mutex<Vec<HashMemory>>>,
    randomness: Arc<dyn Randomness>,
    metrics: Metrics,
    patience: Duration,
}

impl Hasher {
    pub(crate) fn new(environment: &Environment) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            slots: Arc::new(Semaphore::new(cores)),
            memories: Arc::default(),
            randomness: Arc::clone(&environment.randomness),
            metrics: environment.metrics.clone(),
            patience: PATIENCE * environment.patience,
        }
    }

    /// Hashes a password for storage.
    pub(crate) async fn hash(&self, password: Password) -> Result<PasswordHash, ApiError> {
        let randomness = Arc::clone(&self.randomness);
        self.compute(move |memory| PasswordHash::of(&password, &*randomness, memory)).await
    }

    /// Compares a password with a hash. Without a hash the outcome is [`Verdict::Wrong`] after the same work (constant
    /// work).
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
        // The computation owns its slot: it goes on when the waiting request is cancelled.
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
