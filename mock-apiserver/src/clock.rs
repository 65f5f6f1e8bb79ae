//! The one seam through which time and randomness come in, so that tests and replays are exact.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

/// Letters of generated name suffixes: no vowels, no digits that look like letters, so that no words appear.
const SUFFIX_LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Length of a generated name suffix.
const SUFFIX_LENGTH: usize = 5;

/// The current time, and names nobody can guess.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
    /// A fresh uid (UUID, version 4).
    fn uid(&self) -> String;
    /// A fresh suffix for `generateName`: five characters.
    fn suffix(&self) -> String;
    /// A number from 0 up to, not including, 1: whatever chance says.
    fn fraction(&self) -> f64;
}

/// The machine's clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uid(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    fn suffix(&self) -> String {
        suffix_of(uuid::Uuid::new_v4().as_u128())
    }

    fn fraction(&self) -> f64 {
        // The last bytes of a uuid are random as they are.
        let [.., a, b, c, d] = uuid::Uuid::new_v4().into_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }
}

/// A clock that stands where it was set and counts its names.
#[derive(Debug)]
pub struct CountingClock {
    now: Timestamp,
    count: AtomicU64,
}

impl CountingClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now, count: AtomicU64::new(0) }
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}

impl Clock for CountingClock {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn uid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.next() & 0xffff_ffff_ffff)
    }

    fn suffix(&self) -> String {
        suffix_of(u128::from(self.next()))
    }

    fn fraction(&self) -> f64 {
        0.5
    }
}

fn suffix_of(mut number: u128) -> String {
    let base = SUFFIX_LETTERS.len() as u128;
    let mut suffix = String::with_capacity(SUFFIX_LENGTH);
    for _ in 0..SUFFIX_LENGTH {
        suffix.push(char::from(SUFFIX_LETTERS[(number % base) as usize]));
        number /= base;
    }
    suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_have_five_letters_of_the_alphabet() {
        for _ in 0..100 {
            let suffix = SystemClock.suffix();
            assert_eq!(suffix.len(), SUFFIX_LENGTH);
            assert!(suffix.bytes().all(|byte| SUFFIX_LETTERS.contains(&byte)), "{suffix}");
        }
    }

    #[test]
    fn a_counting_clock_never_repeats_a_name() {
        let clock = CountingClock::new(Timestamp::UNIX_EPOCH);
        assert_ne!(clock.uid(), clock.uid());
        assert_ne!(clock.suffix(), clock.suffix());
    }
}
