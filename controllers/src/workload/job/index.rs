//! Completion indexes: sets of them, and their text (`0-3,5`).

use std::collections::BTreeSet;

use machinery::meta;
use serde_json::Value;

/// The annotation and label with the index of a pod.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Some indexes, below a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(pub(super) BTreeSet<i64>);

impl Indexes {
    /// Reads the text; what is not below `bound`, or cannot be read, is left out.
    pub(super) fn parse(text: &str, bound: i64) -> Self {
        let mut all = BTreeSet::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) else { continue };
            all.extend(first.max(0)..last.saturating_add(1).min(bound));
        }
        Self(all)
    }

    /// How many there are.
    pub(super) fn total(&self) -> i64 {
        i64::try_from(self.0.len()).unwrap_or(i64::MAX)
    }

    pub(super) fn has(&self, index: i64) -> bool {
        self.0.contains(&index)
    }
}

/// Ranges of more than two with a hyphen, others one by one.
impl std::fmt::Display for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for index in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *index => *last = *index,
                _ => ranges.push((*index, *index)),
            }
        }
        let range = |(first, last): &(i64, i64)| match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        };
        f.write_str(&ranges.iter().map(range).collect::<Vec<_>>().join(","))
    }
}

/// The index of a pod.
pub(super) fn of(pod: &Value) -> Option<i64> {
    meta::annotation(pod, INDEX)?.parse().ok().filter(|index| *index >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_have_hyphens() {
        let text = |indexes: &[i64]| Indexes(indexes.iter().copied().collect()).to_string();
        assert_eq!(text(&[0, 1, 2, 5, 7, 8]), "0-2,5,7,8");
        assert_eq!(text(&[]), "");
        assert_eq!(Indexes::parse("0-2,5,x,7-1,9-99", 11).to_string(), "0-2,5,9,10");
    }

    proptest! {
        #[test]
        fn text_and_set_are_one(indexes in proptest::collection::btree_set(0_i64..200, 0..60)) {
            let indexes = Indexes(indexes);
            prop_assert_eq!(Indexes::parse(&indexes.to_string(), 200), indexes);
        }
    }
}
