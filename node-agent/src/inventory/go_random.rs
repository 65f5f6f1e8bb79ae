//! The random numbers of Go's `math/rand`, which some drivers derive device identifiers from.
//!
//! The generator is an additive lagged Fibonacci one: each number is the sum, modulo 2^64, of those 607 and 273 before.
//! Its seed is mixed with the state that the generator has after 7.8e12 steps from seed 1. Instead of keeping these 607
//! numbers, we compute them: steps of a linear recurrence are powers of x modulo its characteristic polynomial.

use std::sync::LazyLock;

const LENGTH: usize = 607;
const TAP: usize = 273;
const STEPS: u64 = 7_800_000_000_000;
/// Where the generator writes first.
const FEED: usize = LENGTH - TAP;

type State = [u64; LENGTH];

/// A source of random numbers.
pub(super) struct Source {
    state: State,
    tap: usize,
    feed: usize,
    /// What is left of the last number for `fill`, and of how many bytes.
    rest: (u64, u8),
}

impl Source {
    /// The source of this seed.
    pub(super) fn new(seed: i64) -> Self {
        let mut state = seeded(seed, 40, 20);
        for (number, cooked) in state.iter_mut().zip(COOKED.iter()) {
            *number ^= cooked;
        }
        Self { state, tap: 0, feed: FEED, rest: (0, 0) }
    }

    /// The next number of 63 bits.
    fn next(&mut self) -> u64 {
        self.tap = self.tap.checked_sub(1).unwrap_or(LENGTH - 1);
        self.feed = self.feed.checked_sub(1).unwrap_or(LENGTH - 1);
        let number = self.state[self.feed].wrapping_add(self.state[self.tap]);
        self.state[self.feed] = number;
        number & (u64::MAX >> 1)
    }

    /// Fills `bytes`, seven from each number; the next call goes on in the middle of one.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.rest.1 == 0 {
                self.rest = (self.next(), 7);
            }
            *byte = self.rest.0.to_le_bytes()[0];
            self.rest = (self.rest.0 >> 8, self.rest.1 - 1);
        }
    }
}

/// The state that a multiplicative congruential generator makes of a seed.
fn seeded(seed: i64, first_shift: u32, second_shift: u32) -> State {
    const MODULUS: i64 = (1 << 31) - 1;
    let mut x = match seed.rem_euclid(MODULUS) {
        0 => 89_482_311,
        other => other,
    };
    let mut next = || {
        x = x * 48_271 % MODULUS;
        x.unsigned_abs()
    };
    for _ in 0..20 {
        next();
    }
    let mut state = [0; LENGTH];
    for number in &mut state {
        *number = (next() << first_shift) ^ (next() << second_shift) ^ next();
    }
    state
}

/// The state after all steps from seed 1.
static COOKED: LazyLock<Box<State>> = LazyLock::new(|| {
    let start = seeded(1, 20, 10);
    // The history of the sequence: the place that is written next holds the oldest number, and the walk goes downwards.
    let place = |age: usize| (2 * LENGTH + FEED - 1 - age) % LENGTH;
    let mut history: Vec<u64> = (0..LENGTH).map(|age| start[place(age)]).collect();
    for age in LENGTH..2 * LENGTH {
        history.push(history[age - LENGTH].wrapping_add(history[age - TAP]));
    }
    let power = power_of_x(STEPS);
    let shift = usize::try_from(STEPS % LENGTH as u64).unwrap_or_default();
    let mut state = Box::new([0; LENGTH]);
    for age in 0..LENGTH {
        let terms = power.iter().zip(&history[age..]);
        state[place((age + shift) % LENGTH)] = terms.fold(0, |sum, (a, b)| a.wrapping_mul(*b).wrapping_add(sum));
    }
    state
});

/// `x^exponent` modulo `x^607 - x^334 - 1`, coefficients modulo 2^64, lowest first.
fn power_of_x(exponent: u64) -> Vec<u64> {
    let mut power = vec![0_u64; LENGTH];
    power[0] = 1;
    for bit in (0..u64::BITS - exponent.leading_zeros()).rev() {
        let mut square = vec![0_u64; 2 * LENGTH];
        for (i, a) in power.iter().enumerate() {
            for (target, b) in square[i..].iter_mut().zip(&power) {
                *target = a.wrapping_mul(*b).wrapping_add(*target);
            }
        }
        if exponent >> bit & 1 == 1 {
            square.rotate_right(1);
        }
        for high in (LENGTH..2 * LENGTH).rev() {
            let coefficient = std::mem::take(&mut square[high]);
            square[high - LENGTH] = square[high - LENGTH].wrapping_add(coefficient);
            square[high - TAP] = square[high - TAP].wrapping_add(coefficient);
        }
        square.truncate(LENGTH);
        power = square;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_of_seed_one_are_those_of_go() {
        let mut source = Source::new(1);
        assert_eq!([source.next(), source.next()], [5_577_006_791_947_779_410, 8_674_665_223_082_153_551]);
    }
}
