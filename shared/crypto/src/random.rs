//! Where random bytes come from.

/// A source of random bytes fit for nonces and tokens.
///
/// It is passed in, so that tests can repeat a run; outside of tests it is the operating system's generator.
pub trait Randomness: Send + Sync {
    /// Fills `destination` with random bytes.
    ///
    /// An implementation that cannot deliver must not return: bytes that are not random would reuse a nonce, which
    /// gives away the AES-GCM authentication key.
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
