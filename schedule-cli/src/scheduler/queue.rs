//! The pods that wait: which is next, and which an event can help.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use cluster::{Change, Key, generation, kind};
use machinery::meta;
use serde_json::Value;

use super::pod;

/// The place of a pod in the line: priority first, then age, then name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Negated, so that the highest comes first.
    priority: i64,
    created: String,
    key: Key,
}

/// What can help a parked pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hope {
    /// Nodes, and pods that leave them.
    pub room: bool,
    /// Devices, classes, and claims that let go of devices.
    pub devices: bool,
    /// Claims and templates of its own namespace.
    pub claims: bool,
}

/// The pods that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: BTreeSet<Rank>,
    ranks: HashMap<Key, Rank>,
    parked: BTreeMap<Key, (Rank, Hope)>,
    /// Pods to be tried again at a time.
    delayed: BTreeSet<(Instant, Key)>,
    failures: HashMap<Key, u32>,
}

/// First and longest wait before a pod whose placement could not be written is tried again.
const DELAY_MIN: Duration = Duration::from_millis(10);
const DELAY_MAX: Duration = Duration::from_secs(10);

impl Queue {
    /// Puts a pod in line, wherever it was before.
    pub(super) fn push(&mut self, document: &Value) {
        let key = Key::of(document);
        self.remove(&key);
        let rank = Rank {
            priority: pod::priority(document).saturating_neg(),
            created: meta::creation_timestamp(document).to_owned(),
            key: key.clone(),
        };
        self.ready.insert(rank.clone());
        self.ranks.insert(key, rank);
    }

    /// The next pod.
    pub(super) fn pop(&mut self) -> Option<Key> {
        let rank = self.ready.pop_first()?;
        self.ranks.remove(&rank.key);
        Some(rank.key)
    }

    /// Sets a pod aside until something happens that can help it.
    pub(super) fn park(&mut self, document: &Value, hope: Hope) {
        self.push(document);
        let key = Key::of(document);
        if let Some(rank) = self.ranks.remove(&key) {
            self.ready.remove(&rank);
            self.parked.insert(key, (rank, hope));
        }
    }

    /// Tries a pod again after a while, longer with every failure. Gives back how long.
    pub(super) fn delay(&mut self, key: Key, now: Instant) -> Duration {
        let failures = self.failures.entry(key.clone()).or_default();
        let wait = DELAY_MIN.saturating_mul(1 << (*failures).min(16)).min(DELAY_MAX);
        *failures = failures.saturating_add(1);
        self.delayed.insert((now + wait, key));
        wait
    }

    /// When the next delayed pod is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// The delayed pods that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Key> {
        let mut due = Vec::new();
        while self.delayed.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.delayed.pop_first().map(|(_, key)| key));
        }
        due
    }

    /// Forgets a pod.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(rank) = self.ranks.remove(key) {
            self.ready.remove(&rank);
        }
        self.parked.remove(key);
        self.delayed.retain(|(_, delayed)| delayed != key);
    }

    /// Forgets how often a pod failed.
    pub(super) fn forgive(&mut self, key: &Key) {
        self.failures.remove(key);
    }

    /// Puts those parked pods back in line that the change can help.
    pub(super) fn wake(&mut self, change: &Change) {
        if self.parked.is_empty() {
            return;
        }
        let helps = |key: &Key, hope: &Hope| match change {
            Change::Listed(..) => true,
            Change::Lost(..) => false,
            Change::Applied(kind, document) => {
                let frees = *kind == kind::POD && !pod::occupies_node(document) && pod::node_name(document).is_some();
                applied_helps(*kind, document, key, hope) || (frees && hope.room)
            }
            Change::Deleted(kind, _) => {
                let frees_room = *kind == kind::POD;
                let frees_devices = generation::ALL.iter().any(|one| one.claim == *kind);
                (frees_room && hope.room)
                    || (frees_devices && hope.devices)
                    || (*kind == kind::DEVICE_TAINT_RULE && hope.devices)
            }
        };
        let woken: Vec<Key> =
            self.parked.iter().filter(|(key, (_, hope))| helps(key, hope)).map(|(key, _)| key.clone()).collect();
        for key in woken {
            if let Some((rank, _)) = self.parked.remove(&key) {
                self.ready.insert(rank.clone());
                self.ranks.insert(key, rank);
            }
        }
    }

    /// How many pods are in line.
    #[cfg(test)]
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }
}

fn applied_helps(kind: cluster::Kind, document: &Value, pod: &Key, hope: &Hope) -> bool {
    if kind == kind::NODE {
        return hope.room || hope.devices;
    }
    if kind == kind::DEVICE_TAINT_RULE || kind == kind::EVOLUTION_QUOTA {
        return hope.devices;
    }
    generation::ALL.iter().any(|one| {
        let of_pool = kind == one.class || kind == one.pool;
        let own = (kind == one.claim || kind == one.template) && meta::namespace(document) == pod.namespace;
        let lets_go = kind == one.claim && api::convert::allocated_nodes(document).is_none();
        (of_pool && hope.devices) || (own && hope.claims) || (lets_go && hope.devices)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn waiting(name: &str, priority: i64, created: &str) -> Value {
        json!({
            "metadata": {"namespace": "n", "name": name, "creationTimestamp": created},
            "spec": {"priority": priority}
        })
    }

    #[test]
    fn priority_goes_before_age_and_age_before_name() {
        let mut queue = Queue::default();
        for one in [waiting("late", 0, "2"), waiting("b", 0, "1"), waiting("a", 0, "1"), waiting("vip", 5, "3")] {
            queue.push(&one);
        }
        let order: Vec<String> = std::iter::from_fn(|| queue.pop()).map(|key| key.name).collect();
        assert_eq!(order, ["vip", "a", "b", "late"]);
    }

    #[test]
    fn only_what_can_help_wakes_a_pod() {
        let mut queue = Queue::default();
        queue.park(&waiting("p", 0, "1"), Hope { devices: true, ..Hope::default() });
        let class = json!({"metadata": {"name": "c"}});
        queue.wake(&Change::Applied(kind::NAMESPACE, class.clone().into()));
        assert_eq!(queue.ready(), 0);
        queue.wake(&Change::Applied(kind::DEVICE_CLASS, class.into()));
        assert_eq!(queue.ready(), 1);
    }

    #[test]
    fn failures_wait_longer_each_time_until_forgiven() {
        let (mut queue, now, key) = (Queue::default(), Instant::now(), Key::new("n", "p"));
        let waits: Vec<Duration> = (0..3).map(|_| queue.delay(key.clone(), now)).collect();
        assert_eq!(waits, [DELAY_MIN, DELAY_MIN * 2, DELAY_MIN * 4]);
        assert!(queue.take_due(now).is_empty());
        assert_eq!(queue.take_due(now + DELAY_MAX).len(), 3);
        queue.forgive(&key);
        assert_eq!(queue.delay(key, now), DELAY_MIN);
    }
}
