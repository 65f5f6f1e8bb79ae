//! `Answers`: what other servers have said, for as long as it counts.

use std::{hash::Hash, time::Instant};

use dashmap::DashMap;

/// Most answers that are remembered.
const ANSWERS_MAX: usize = 4096;

/// Answers by question.
#[derive(Debug)]
pub(crate) struct Answers<K: Eq + Hash, V>(DashMap<K, (V, Instant)>);

impl<K: Eq + Hash, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<K: Eq + Hash, V: Clone> Answers<K, V> {
    /// What was said, if it still counts.
    pub(crate) fn get(&self, key: &K, now: Instant) -> Option<V> {
        self.0.get(key).filter(|known| known.1 > now).map(|known| known.0.clone())
    }

    /// Remembers an answer until a time.
    pub(crate) fn put(&self, key: K, value: V, until: Instant, now: Instant) {
        if self.0.len() >= ANSWERS_MAX {
            self.0.retain(|_, known| known.1 > now);
        }
        if self.0.len() >= ANSWERS_MAX {
            self.0.clear();
        }
        self.0.insert(key, (value, until));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_count_for_a_time_and_do_not_pile_up() {
        let (answers, now) = (Answers::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        answers.put(0, "yes", later, now);
        assert_eq!((answers.get(&0, now), answers.get(&0, later), answers.get(&1, now)), (Some("yes"), None, None));
        for key in 0..=ANSWERS_MAX {
            answers.put(key, "yes", later, now);
        }
        assert!(answers.0.len() <= ANSWERS_MAX);
    }
}
