//! Source of random bytes.

/// A source of random bytes fit for nonces and tokens.
///
/// It is passed in, so that tests are repeatable; outside of tests it is the operating system's generator.
pub trait Randomness: Send + Sync {
    /// Fills `destination` with random bytes.
    ///
    /// An implementation that fails must not return: predictable bytes could repeat a nonce, which reveals the AES-GCM
    /// authentication key.
    fn fill(&self, destination: &mut [u8]);
}

impl<R: Randomness + ?Sized> Randomness for &R {
    fn fill(&self, destination: &mut [u8]) {
        (**self).fill(destination);
    }
}

impl<R: Randomness + ?Sized> Randomness for std::sync::Arc<R> {
    fn fill(&self, destination: &mut [u8]) {
        (**self).fill(destination);
    }
}
