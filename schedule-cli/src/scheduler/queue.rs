//! The pods that wait: which is next, and which an event can help.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use cluster::{Change, Key, claim_reference};
use machinery::meta;
use serde_json::Value;

use super::{news::News, pod, refusal::Plugin, world::World};

/// The place of a pod in the line: priority first, then age, then name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Negated, so that the highest comes first.
    priority: i64,
    created: String,
    key: Key,
}

/// What can help a parked pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hope {
    /// What refused it.
    plugins: BTreeSet<Plugin>,
    /// Nodes that were not there, or were not asked.
    nodes: bool,
    /// Claims and templates of its own.
    claims: bool,
}

impl Hope {
    /// Whatever refused it; and more nodes.
    pub(super) fn of(plugins: &BTreeSet<Plugin>, nodes: bool) -> Self {
        Self { plugins: plugins.clone(), nodes, claims: plugins.contains(&Plugin::Devices) }
    }

    /// Its claims.
    pub(super) fn of_claims() -> Self {
        Self { claims: true, ..Self::default() }
    }

    fn on(&self, plugins: &[Plugin]) -> bool {
        plugins.iter().any(|plugin| self.plugins.contains(plugin))
    }
}

/// A pod that is set aside.
#[derive(Debug)]
struct Parked {
    rank: Rank,
    hope: Hope,
    document: Arc<Value>,
    /// Names of its claims and templates.
    names: BTreeSet<String>,
}

/// Which parked pods hope for what.
#[derive(Debug, Default)]
struct Hoping {
    by_plugin: BTreeMap<Plugin, BTreeSet<Key>>,
    for_nodes: BTreeSet<Key>,
    /// By claim or template.
    by_name: HashMap<Key, BTreeSet<Key>>,
}

impl Hoping {
    fn add(&mut self, key: &Key, parked: &Parked) {
        for plugin in &parked.hope.plugins {
            self.by_plugin.entry(*plugin).or_default().insert(key.clone());
        }
        if parked.hope.nodes {
            self.for_nodes.insert(key.clone());
        }
        for name in parked.names.iter().filter(|_| parked.hope.claims) {
            let named = Key::new(key.namespace.as_str(), name.as_str());
            self.by_name.entry(named).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &Key, parked: &Parked) {
        for plugin in &parked.hope.plugins {
            if let Some(keys) = self.by_plugin.get_mut(plugin) {
                keys.remove(key);
            }
        }
        self.for_nodes.remove(key);
        for name in parked.names.iter().filter(|_| parked.hope.claims) {
            let named = Key::new(key.namespace.as_str(), name.as_str());
            if let Some(keys) = self.by_name.get_mut(&named) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_name.remove(&named);
                }
            }
        }
    }

    fn on<'a>(&'a self, plugins: &'a [Plugin]) -> impl Iterator<Item = &'a Key> {
        plugins.iter().filter_map(|plugin| self.by_plugin.get(plugin)).flatten()
    }
}

/// The pods that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: BTreeSet<Rank>,
    ranks: HashMap<Key, Rank>,
    parked: BTreeMap<Key, Parked>,
    /// Parked pods by what they hope for, so that an event costs what it helps and not all that wait.
    hoping: Hoping,
    /// Pods to be tried again at a time.
    delayed: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
    /// How often a pod was woken in vain.
    awakenings: HashMap<Key, u32>,
}

/// First and longest wait before a pod whose placement could not be written is tried again.
const DELAY_MIN: Duration = Duration::from_millis(10);
const DELAY_MAX: Duration = Duration::from_secs(10);
/// So often a pod is woken at once; after that it waits a little, and longer each time.
const AWAKENINGS_AT_ONCE: u32 = 8;
const AWAKENING_DELAY_MAX: Duration = Duration::from_secs(1);
/// A pod that no event helps is tried again all the same: upstream's `podMaxInUnschedulablePodsDuration`.
const PARKED_MAX: Duration = Duration::from_secs(300);

impl Queue {
    /// Puts a pod in line, wherever it was before.
    pub(super) fn push(&mut self, document: &Value) {
        let key = Key::of(document);
        self.remove(&key);
        self.insert(rank_of(document, key));
    }

    fn insert(&mut self, rank: Rank) {
        self.ranks.insert(rank.key.clone(), rank.clone());
        self.ready.insert(rank);
    }

    /// The next pod.
    pub(super) fn pop(&mut self) -> Option<Key> {
        let rank = self.ready.pop_first()?;
        self.ranks.remove(&rank.key);
        Some(rank.key)
    }

    /// Sets a pod aside until something happens that can help it.
    pub(super) fn park(&mut self, document: &Arc<Value>, hope: Hope, now: Instant) {
        let key = Key::of(document);
        self.remove(&key);
        let names = claim_reference::claim_names(document);
        let names = names.into_iter().chain(claim_reference::template_names(document)).collect();
        let parked = Parked { rank: rank_of(document, key.clone()), hope, document: document.clone(), names };
        self.hoping.add(&key, &parked);
        self.parked.insert(key.clone(), parked);
        self.wake_at(key, now + PARKED_MAX);
    }

    fn wake_at(&mut self, key: Key, at: Instant) {
        if let Some(before) = self.due.insert(key.clone(), at) {
            self.delayed.remove(&(before, key.clone()));
        }
        self.delayed.insert((at, key));
    }

    /// Tries a pod again after a while, longer with every failure. Gives back how long.
    pub(super) fn delay(&mut self, key: Key, now: Instant) -> Duration {
        let failures = self.failures.entry(key.clone()).or_default();
        let wait = backoff(*failures, DELAY_MAX);
        *failures = failures.saturating_add(1);
        self.wake_at(key, now + wait);
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
            let Some((_, key)) = self.delayed.pop_first() else { break };
            self.due.remove(&key);
            due.push(key);
        }
        due
    }

    /// Takes a pod out of the line.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(rank) = self.ranks.remove(key) {
            self.ready.remove(&rank);
        }
        if let Some(parked) = self.parked.remove(key) {
            self.hoping.remove(key, &parked);
        }
        if let Some(at) = self.due.remove(key) {
            self.delayed.remove(&(at, key.clone()));
        }
    }

    /// Forgets how often a pod failed.
    pub(super) fn forgive(&mut self, key: &Key) {
        self.failures.remove(key);
        self.awakenings.remove(key);
    }

    /// Puts those parked pods back in line that the change can help. `before` is what it replaced; the world has taken it.
    pub(super) fn wake(&mut self, change: &Change, before: &[Arc<Value>], world: &World, now: Instant) {
        if self.parked.is_empty() {
            return;
        }
        let news = News::read(change, before);
        for key in self.candidates(&news) {
            let helps = |parked: &Parked| {
                let neighbours = parked.hope.on(&[Plugin::Neighbours]);
                let domains = parked.hope.on(&[Plugin::Neighbours, Plugin::Volumes, Plugin::Devices]);
                news.helps(&parked.document, neighbours, domains || parked.hope.nodes, world)
            };
            if self.parked.get(&key).is_some_and(helps) {
                self.awaken(key, now);
            }
        }
    }

    /// Wakes those who hope for what a pod had that came to nothing; no event of the cluster tells of it.
    pub(super) fn wake_for_leavings(&mut self, now: Instant) {
        const LEAVINGS: [Plugin; 4] = [Plugin::Resources, Plugin::Ports, Plugin::Neighbours, Plugin::Devices];
        let keys: BTreeSet<Key> = self.hoping.on(&LEAVINGS).cloned().collect();
        keys.into_iter().for_each(|key| self.awaken(key, now));
    }

    fn awaken(&mut self, key: Key, now: Instant) {
        let Some(parked) = self.parked.get(&key) else { return };
        let rank = parked.rank.clone();
        let times = self.awakenings.entry(key.clone()).or_default();
        *times = times.saturating_add(1);
        if let Some(over) = times.checked_sub(AWAKENINGS_AT_ONCE + 1) {
            self.wake_at(key, now + backoff(over, AWAKENING_DELAY_MAX));
        } else {
            self.remove(&key);
            self.insert(rank);
        }
    }

    /// The parked pods that news may help.
    fn candidates(&self, news: &News<'_>) -> BTreeSet<Key> {
        let hoping = &self.hoping;
        match news {
            News::All => self.parked.keys().cloned().collect(),
            News::None => BTreeSet::new(),
            News::Node { plugins, .. } => hoping.on(plugins).chain(&hoping.for_nodes).cloned().collect(),
            News::Domains { .. } => {
                let elsewhere = hoping.on(&[Plugin::Node, Plugin::Neighbours, Plugin::Volumes, Plugin::Devices]);
                elsewhere.chain(&hoping.for_nodes).cloned().collect()
            }
            News::Left { .. } => hoping.on(&[Plugin::Neighbours, Plugin::Resources, Plugin::Ports]).cloned().collect(),
            News::Neighbours => hoping.on(&[Plugin::Neighbours]).cloned().collect(),
            News::Claim { key, free } => {
                let devices = hoping.on(&[Plugin::Devices]).filter(|_| *free);
                devices.chain(hoping.by_name.get(key).into_iter().flatten()).cloned().collect()
            }
            News::Of(plugin) => hoping.on(&[*plugin]).cloned().collect(),
        }
    }

    /// How many pods are in line.
    #[cfg(test)]
    fn ready(&self) -> usize {
        self.ready.len()
    }
}

fn rank_of(document: &Value, key: Key) -> Rank {
    let created = meta::creation_timestamp(document).to_owned();
    Rank { priority: pod::priority(document).saturating_neg(), created, key }
}

fn backoff(failures: u32, max: Duration) -> Duration {
    DELAY_MIN.saturating_mul(1 << failures.min(16)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator::Features;
    use cluster::{Kind, kind};
    use serde_json::json;

    fn waiting(name: &str, priority: i64, created: &str) -> Arc<Value> {
        Arc::new(json!({
            "metadata": {"namespace": "n", "name": name, "creationTimestamp": created},
            "spec": {"priority": priority, "resourceClaims": [{"name": "gpu", "resourceClaimName": "mine"}]}
        }))
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

    /// Whether a pod that hopes for `plugins` is woken by a change of `kind` from `old` to `new`.
    fn wakes(plugins: &[Plugin], kind: Kind, old: Value, new: Value) -> bool {
        let mut world = World::new(Features::default());
        let node = json!({"metadata": {"name": "x"}, "status": {"allocatable": {"cpu": "1"}}});
        world.apply(&Change::Applied(kind::NODE, Arc::new(node)));
        let change = |document: Value| Change::Applied(kind, Arc::new(document));
        if !old.is_null() {
            world.apply(&change(old.clone()));
        }
        let change = if new.is_null() { Change::Deleted(kind, Arc::new(old)) } else { change(new) };
        let before = world.apply(&change).expect("it is new");
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.park(&waiting("p", 0, "1"), Hope::of(&plugins.iter().copied().collect(), false), now);
        queue.wake(&change, &before, &world, now);
        queue.ready() == 1
    }

    #[test]
    fn only_what_can_help_wakes_a_pod() {
        use Plugin::{Devices, Neighbours, Node, Resources, Volumes};
        let node = |status: &str, taints: Value| {
            json!({
                "metadata": {"name": "x"}, "spec": {"taints": taints},
                "status": {"allocatable": {"cpu": status}, "conditions": [{"lastHeartbeatTime": status}]},
            })
        };
        let tainted = json!([{"key": "a", "effect": "NoSchedule"}]);
        let placed = |phase: &str| {
            json!({
                "metadata": {"namespace": "n", "name": "o", "uid": "o"}, "spec": {"nodeName": "x"},
                "status": {"phase": phase},
            })
        };
        let claim = |name: &str, allocated: bool| {
            let mut claim = json!({
                "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
                "metadata": {"namespace": "n", "name": name},
            });
            if allocated {
                claim["status"] = json!({"allocation": {}});
            }
            claim
        };
        let class = json!({"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "c"}});
        let (none, one) = (json!([]), Value::Null);
        for (plugins, kind, old, new, expected) in [
            (&[Resources][..], kind::NODE, node("1", none.clone()), node("2", none.clone()), true),
            (&[Node], kind::NODE, node("1", none.clone()), node("2", none.clone()), false),
            (&[Resources], kind::NODE, node("1", none.clone()), node("1", none.clone()), false),
            (&[Node], kind::NODE, node("1", tainted.clone()), node("1", none.clone()), true),
            (&[Node], kind::NODE, node("1", none.clone()), node("1", tainted.clone()), false),
            (&[Resources], kind::POD, placed("Running"), placed("Succeeded"), true),
            (&[Resources], kind::POD, placed("Pending"), placed("Running"), false),
            (&[Resources], kind::POD, one.clone(), placed("Running"), false),
            (&[Neighbours], kind::POD, one.clone(), placed("Running"), true),
            (&[Devices], kind::POD, placed("Running"), placed("Failed"), false),
            (&[Devices], kind::DEVICE_CLASS, one.clone(), class.clone(), true),
            (&[Resources], kind::DEVICE_CLASS, one.clone(), class, false),
            (&[Devices], kind::RESOURCE_CLAIM, claim("other", true), claim("other", false), true),
            (&[Devices], kind::RESOURCE_CLAIM, claim("other", true), one.clone(), true),
            (&[Devices], kind::RESOURCE_CLAIM, one.clone(), claim("other", true), false),
            (&[Devices], kind::RESOURCE_CLAIM, one.clone(), claim("mine", true), true),
            (&[Volumes], kind::PERSISTENT_VOLUME_CLAIM, one.clone(), claim("v", false), true),
        ] {
            assert_eq!(wakes(plugins, kind, old.clone(), new.clone()), expected, "{plugins:?} {old} {new}");
        }
    }

    #[test]
    fn who_is_woken_in_vain_waits_longer() {
        let (mut queue, now, mut world) = (Queue::default(), Instant::now(), World::new(Features::default()));
        let pod = waiting("p", 0, "1");
        let change = Change::Listed(kind::NODE, Vec::new());
        let before = world.apply(&change).expect("it is new");
        for _ in 0..AWAKENINGS_AT_ONCE {
            queue.park(&pod, Hope::default(), now);
            queue.wake(&change, &before, &world, now);
            assert!(queue.pop().is_some());
        }
        queue.park(&pod, Hope::default(), now);
        queue.wake(&change, &before, &world, now);
        assert!(queue.pop().is_none());
        assert_eq!(queue.next_due(), Some(now + DELAY_MIN));
    }

    #[test]
    fn failures_wait_longer_each_time_until_forgiven() {
        let (mut queue, now, key) = (Queue::default(), Instant::now(), Key::new("n", "p"));
        let waits: Vec<Duration> = (0..3).map(|_| queue.delay(key.clone(), now)).collect();
        assert_eq!(waits, [DELAY_MIN, DELAY_MIN * 2, DELAY_MIN * 4]);
        assert!(queue.take_due(now).is_empty());
        assert_eq!(queue.take_due(now + DELAY_MAX).len(), 1);
        queue.forgive(&key);
        assert_eq!(queue.delay(key, now), DELAY_MIN);
    }
}
