//! Where the time comes from.

use jiff::Timestamp;

/// A clock. It is passed in, so that tests own time; outside of tests it is the machine's.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}
