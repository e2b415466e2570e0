//! The machine's clock and random generator. No other code reads them.

use jiff::Timestamp;
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use rand::Rng;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock that is injected comes from")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Length from which bytes are a key or a token by themselves. They come straight from the operating system, so that a
/// copy of the generator's state in this process's memory does not reveal them.
const KEY_LENGTH: usize = 32;

/// The machine's random generator.
///
/// Nonces and ids come from one generator per thread (`ChaCha12`, seeded by the operating system and again after each
/// 64 KiB), which costs no system call. It must not run in a process that is forked or restored from a snapshot: two
/// copies would draw the same nonces. Lambda restores snapshots of managed runtimes alone (`SnapStart`), and these
/// functions bring a runtime of their own.
///
/// Source: `rand`, "`ThreadRng`", "Security"; AWS Lambda, "Supported features and limitations" of `SnapStart`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    #[expect(clippy::disallowed_methods, reason = "this is where the randomness that is injected comes from")]
    fn fill(&self, destination: &mut [u8]) {
        if destination.len() < KEY_LENGTH {
            // Panics rather than return bytes that are not random.
            rand::rng().fill_bytes(destination);
        } else {
            #[expect(
                clippy::expect_used,
                reason = "Linux's generator cannot fail after the machine's start, and going on would reuse nonces"
            )]
            getrandom::fill(destination).expect("the operating system gives random bytes");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_nonce_comes_twice_from_any_of_many_threads() {
        const EACH: usize = 10_000;
        let draw = || {
            std::iter::repeat_with(|| {
                let mut nonce = [0; 12];
                SystemRandomness.fill(&mut nonce);
                nonce
            })
            .take(EACH)
            .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let nonces: BTreeSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(nonces.len(), 4 * EACH);
    }

    #[test]
    fn a_key_is_filled_to_its_end() {
        let mut keys = [[0; 48]; 2];
        for key in &mut keys {
            SystemRandomness.fill(key);
        }
        assert_ne!(keys[0], keys[1]);
        assert!(keys.iter().all(|key| key[40..] != [0; 8]));
    }
}
