//! A time budget for a request's calls to upstream services.

use std::time::Duration;

use tokio::time::Instant;

/// A time budget, held as its end.
#[derive(Clone, Copy)]
pub struct Budget(Instant);

impl Budget {
    /// Starts a budget of this length.
    #[expect(clippy::disallowed_methods, reason = "a time-out: what is decided by it is only when to stop waiting")]
    pub fn of(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Returns the end of the budget.
    pub fn end(self) -> Instant {
        self.0
    }

    /// Returns whether the budget has run out.
    #[expect(clippy::disallowed_methods, reason = "what is decided by it is only what is left for later")]
    pub fn is_spent(self) -> bool {
        Instant::now() >= self.0
    }
}
