//! The machine's own clock and random generator: the one place where they are read.

use jiff::Timestamp;
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock that is injected comes from")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The operating system's random generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    #[expect(clippy::disallowed_methods, reason = "this is where the randomness that is injected comes from")]
    fn fill(&self, destination: &mut [u8]) {
        // Linux's generator cannot fail once the machine has started; going on without it would reuse nonces.
        getrandom::fill(destination).expect("the operating system gives random bytes");
    }
}
