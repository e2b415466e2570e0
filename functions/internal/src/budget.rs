//! Time that a request may spend on calls to others.

use std::time::Duration;

use tokio::time::Instant;

/// The end of such a time.
#[derive(Clone, Copy)]
pub struct Budget(Instant);

impl Budget {
    /// Begins now.
    #[expect(clippy::disallowed_methods, reason = "a time-out: what is decided by it is only when to stop waiting")]
    pub fn of(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// When it ends.
    pub fn end(self) -> Instant {
        self.0
    }

    /// Whether it has ended.
    #[expect(clippy::disallowed_methods, reason = "what is decided by it is only what is left for later")]
    pub fn is_spent(self) -> bool {
        Instant::now() >= self.0
    }
}
