//! Source of the current time.

use jiff::Timestamp;

/// A clock. It is passed in, so that tests control time; outside of tests it is the machine's.
pub trait Clock: Send + Sync {
    /// Current time.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Fixed(Timestamp);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    #[test]
    fn a_shared_clock_tells_its_own_time() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        assert_eq!(Arc::new(Fixed(now)).now(), now);
        assert_eq!((Arc::new(Fixed(now)) as Arc<dyn Clock>).now(), now);
    }
}
