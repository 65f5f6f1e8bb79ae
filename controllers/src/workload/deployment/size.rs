//! How large the replica sets of a deployment are to be: pure arithmetic.

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `spec.replicas`.
    pub(super) replicas: i64,
    /// How many more there may be; 0 unless the strategy is RollingUpdate.
    pub(super) max_surge: i64,
    /// How many fewer available ones there may be; 0 unless the strategy is RollingUpdate.
    pub(super) max_unavailable: i64,
}

impl Wanted {
    /// Resolves a rolling update's bounds, one of which must let something happen.
    pub(super) fn rolling(replicas: i64, max_surge: i64, max_unavailable: i64) -> Self {
        let stuck = max_surge == 0 && max_unavailable == 0;
        let max_unavailable = if stuck { 1 } else { max_unavailable };
        Self { replicas, max_surge, max_unavailable: max_unavailable.min(replicas) }
    }

    /// Most pods, by specification, of all sets together.
    pub(super) fn most(self) -> i64 {
        self.replicas.saturating_add(self.max_surge)
    }

    /// Fewest available pods.
    pub(super) fn least_available(self) -> i64 {
        self.replicas - self.max_unavailable
    }
}

/// One replica set. Their order is that of their creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// `spec.replicas`.
    pub(super) size: i64,
    /// `status.availableReplicas`.
    pub(super) available: i64,
    /// The annotation that says how many pods all sets might have when this one was sized last.
    pub(super) most_then: Option<i64>,
}

/// What the new set grows to, or shrinks to, in a rolling update.
pub(super) fn new_set(wanted: Wanted, new: Set, old: &[Set]) -> i64 {
    if new.size >= wanted.replicas {
        return wanted.replicas;
    }
    let all = new.size + old.iter().map(|set| set.size).sum::<i64>();
    let room = wanted.most() - all;
    if room <= 0 {
        return new.size;
    }
    new.size + room.min(wanted.replicas - new.size)
}

/// What the old sets shrink to in a rolling update: first those that are of no use, then as far as the available ones allow.
pub(super) fn old_sets(wanted: Wanted, new: Set, old: &[Set]) -> Vec<i64> {
    let mut sizes: Vec<i64> = old.iter().map(|set| set.size).collect();
    let all = new.size + sizes.iter().sum::<i64>();
    let mut room = all - wanted.least_available() - (new.size - new.available);
    if room <= 0 {
        return sizes;
    }
    for (size, set) in sizes.iter_mut().zip(old) {
        let useless = (*size - set.available).clamp(0, room);
        *size -= useless;
        room -= useless;
    }
    let available = new.available + old.iter().map(|set| set.available).sum::<i64>();
    let mut spare = (available - wanted.least_available()).max(0);
    for size in &mut sizes {
        let less = (*size).min(spare);
        *size -= less;
        spare -= less;
    }
    sizes
}

/// What sets that are in the middle of a rolling update get when the number of replicas changes: each its share, by its
/// size. The one that comes first takes what is left over. `most_known` is what the status says where a set says nothing.
pub(super) fn proportional(wanted: Wanted, sets: &[Set], most_known: i64) -> Vec<i64> {
    let mut sizes: Vec<i64> = sets.iter().map(|set| set.size).collect();
    let most = if wanted.replicas > 0 { wanted.most() } else { 0 };
    let to_add = most - sizes.iter().sum::<i64>();
    if to_add == 0 {
        return sizes;
    }
    let mut order: Vec<usize> = (0..sets.len()).collect();
    // More goes to the newest first, less comes from the oldest first, and the largest first in both.
    order.sort_by(|one, other| {
        let by_age = if to_add > 0 { other.cmp(one) } else { one.cmp(other) };
        sets[*other].size.cmp(&sets[*one].size).then(by_age)
    });
    let mut added = 0;
    for index in &order {
        let allowed = to_add - added;
        let share = share(wanted, sets[*index], most_known);
        let share = if sets[*index].size == 0 || allowed == 0 {
            0
        } else if to_add > 0 {
            share.min(allowed)
        } else {
            share.max(allowed)
        };
        sizes[*index] += share;
        added += share;
    }
    if let Some(first) = order.first() {
        sizes[*first] = (sizes[*first] + to_add - added).max(0);
    }
    sizes
}

fn share(wanted: Wanted, set: Set, most_known: i64) -> i64 {
    if wanted.replicas == 0 {
        return -set.size;
    }
    let most_then = set.most_then.unwrap_or(most_known);
    if most_then <= 0 {
        return 0;
    }
    // Rounded half away from zero, in integers; neither is negative.
    let (product, most_then) = (i128::from(set.size) * i128::from(wanted.most()), i128::from(most_then));
    let rounded = (2 * product + most_then) / (2 * most_then);
    i64::try_from(rounded).unwrap_or(i64::MAX) - set.size
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(size: i64, available: i64) -> Set {
        Set { size, available, most_then: None }
    }

    #[test]
    fn a_rolling_update_goes_step_by_step() {
        // 10 replicas, 25 % and 25 %: surge 3, unavailable 2.
        let wanted = Wanted::rolling(10, 3, 2);
        assert_eq!(new_set(wanted, set(0, 0), &[set(10, 10)]), 3);
        assert_eq!(old_sets(wanted, set(3, 0), &[set(10, 10)]), [8]);
        assert_eq!(new_set(wanted, set(3, 0), &[set(8, 8)]), 5);
        assert_eq!(old_sets(wanted, set(5, 0), &[set(8, 8)]), [8]);
        assert_eq!(old_sets(wanted, set(5, 3), &[set(8, 8)]), [5]);
        // What never became available goes first, and costs nothing.
        assert_eq!(old_sets(wanted, set(0, 0), &[set(8, 8), set(4, 0)]), [8, 0]);
        assert_eq!(Wanted::rolling(10, 0, 0), Wanted { replicas: 10, max_surge: 0, max_unavailable: 1 });
    }

    #[test]
    fn shares_are_by_size() {
        let most = |size, most_then| Set { size, available: size, most_then: Some(most_then) };
        // The example of the documentation: 10 replicas, surge 3, paused in the middle, scaled to 15.
        let wanted = Wanted::rolling(15, 3, 2);
        assert_eq!(proportional(wanted, &[most(8, 13), most(5, 13)], 13), [11, 7]);
        assert_eq!(proportional(Wanted::rolling(0, 3, 2), &[most(8, 13), most(5, 13)], 13), [0, 0]);
        assert_eq!(proportional(Wanted::rolling(5, 0, 2), &[most(5, 10), most(5, 10)], 10), [2, 3]);
    }

    proptest! {
        /// Whatever becomes available and what fails, and in whatever order: never too many pods, never too few available ones
        /// by what the controller takes away, and it ends.
        #[test]
        fn a_rolling_update_keeps_its_bounds(
            replicas in 0_i64..40,
            surge in 0_i64..12,
            unavailable in 0_i64..12,
            olds in proptest::collection::vec((0_i64..40, 0_i64..40), 1..4),
            luck in proptest::collection::vec(0_u8..=255, 300),
        ) {
            let wanted = Wanted::rolling(replicas, surge, unavailable);
            let mut old: Vec<Set> = olds.iter().map(|(size, available)| set(*size, (*available).min(*size))).collect();
            let mut new = set(0, 0);
            let size_of = |new: Set, old: &[Set]| new.size + old.iter().map(|set| set.size).sum::<i64>();
            let up = |new: Set, old: &[Set]| new.available + old.iter().map(|set| set.available).sum::<i64>();
            let started = size_of(new, &old);
            for luck in luck.into_iter().map(i64::from) {
                let target = new_set(wanted, new, &old);
                if target != new.size {
                    new.size = target;
                    new.available = new.available.min(target);
                    prop_assert!(size_of(new, &old) <= wanted.most().max(started));
                } else {
                    let before = up(new, &old);
                    let sizes = old_sets(wanted, new, &old);
                    for (set, size) in old.iter_mut().zip(sizes) {
                        prop_assert!(size >= 0 && size <= set.size);
                        // A replica set deletes what is not available first.
                        set.size = size;
                        set.available = set.available.min(size);
                    }
                    prop_assert!(up(new, &old) >= before.min(wanted.least_available()));
                }
                // Some of the new pods get ready.
                new.available = (new.available + luck % 3).min(new.size);
            }
            prop_assert_eq!(new.size, replicas);
            prop_assert_eq!(old.iter().map(|set| set.size).sum::<i64>(), 0);
        }

        /// What is scaled has as many as may be, and no set grows when all shrink, nor the other way round.
        #[test]
        fn scaling_adds_up(
            replicas in 0_i64..60,
            surge in 0_i64..10,
            sizes in proptest::collection::vec(1_i64..30, 1..5),
        ) {
            let wanted = Wanted::rolling(replicas, surge, 1);
            let all: i64 = sizes.iter().sum();
            let sets: Vec<Set> =
                sizes.iter().map(|size| Set { size: *size, available: *size, most_then: Some(all) }).collect();
            let scaled = proportional(wanted, &sets, all);
            let most = if replicas > 0 { wanted.most() } else { 0 };
            prop_assert_eq!(scaled.iter().sum::<i64>(), most);
            for (now, before) in scaled.iter().zip(&sizes) {
                let goes_along = if most >= all { now >= before } else { now <= before };
                prop_assert!(goes_along);
            }
        }
    }
}
