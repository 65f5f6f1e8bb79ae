//! Queues: what they have, what they may have, and which of them is served next.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cluster::{Objects, kind};
use machinery::meta;
use serde_json::Value;

use super::{
    configuration::Limits,
    quota::{Increment, Share},
};
use crate::scheduler::amounts::Amounts;

/// Most queues above each other.
const DEPTH_MAX: usize = 16;
/// The queue above all.
const ROOT: &str = "root";

/// All queues in one session.
pub(super) struct Queues {
    all: BTreeMap<String, Queue>,
    limits: Limits,
    /// What the nodes have together.
    total: Amounts,
}

/// One queue.
#[derive(Clone)]
struct Queue {
    document: Arc<Value>,
    /// What its pods, and those of the queues below it, have.
    share: Share,
    allocated: Amounts,
    /// What its pods have or want.
    wanted: Amounts,
    /// What groups that are admitted need at least, as long as they have no pods.
    admitted: Amounts,
    /// By its weight.
    deserved: Amounts,
    /// The queues above it, the nearest first.
    above: Vec<String>,
}

impl Queue {
    fn spec(&self, member: &str) -> &Value {
        &self.document["spec"][member]
    }

    fn guarantee(&self) -> Amounts {
        Amounts::read(self.spec("guarantee").get("resource"))
    }

    /// How much of what it deserves it has: its most used resource, in thousandths.
    fn fullness(&self, deserved: &Amounts) -> i64 {
        let of = |(name, have): (&str, i64)| match deserved.get(name) {
            0 => i64::from(have > 0) * 1000,
            most => have.saturating_mul(1000) / most,
        };
        self.allocated.iter().map(of).max().unwrap_or(0)
    }
}

impl Queues {
    /// The queues of the cluster, without any pods in them.
    pub(super) fn new(objects: &Objects, limits: Limits, total: Amounts) -> Self {
        let documents: BTreeMap<String, Arc<Value>> =
            objects.all(kind::QUEUE).map(|queue| (meta::name(queue).to_owned(), queue.clone())).collect();
        let parent = |name: &str| {
            let parent = documents.get(name)?["spec"]["parent"].as_str().filter(|parent| !parent.is_empty());
            match parent {
                Some(parent) => Some(parent.to_owned()),
                None => (name != ROOT).then(|| ROOT.to_owned()),
            }
        };
        let queue = |(name, document): (&String, &Arc<Value>)| {
            let mut above = Vec::new();
            let mut next = parent(name);
            while let Some(found) = next.filter(|found| documents.contains_key(found) && above.len() < DEPTH_MAX) {
                next = parent(&found);
                above.push(found);
            }
            let queue = Queue {
                document: document.clone(),
                share: Share::default(),
                allocated: Amounts::default(),
                wanted: Amounts::default(),
                admitted: Amounts::default(),
                deserved: Amounts::default(),
                above,
            };
            (name.clone(), queue)
        };
        Self { all: documents.iter().map(queue).collect(), limits, total }
    }

    /// Whether a queue is there and takes groups.
    pub(super) fn is_open(&self, name: &str) -> bool {
        let state = self.all.get(name).map(|queue| queue.document["status"]["state"].as_str());
        state.is_some_and(|state| matches!(state, None | Some("" | "Open")))
    }

    /// A pod of a queue has what it asks for; so have the queues above it.
    pub(super) fn take(&mut self, name: &str, increment: &Increment, amounts: &Amounts) {
        let above = self.all.get(name).map(|queue| queue.above.clone()).unwrap_or_default();
        for name in above.iter().map(String::as_str).chain([name]) {
            if let Some(queue) = self.all.get_mut(name) {
                queue.share.take(increment);
                queue.allocated.add(amounts);
            }
        }
    }

    /// A pod of a queue wants something, or has it.
    pub(super) fn want(&mut self, name: &str, amounts: &Amounts) {
        if let Some(queue) = self.all.get_mut(name) {
            queue.wanted.add(amounts);
        }
    }

    /// A group without pods is admitted.
    pub(super) fn admit(&mut self, name: &str, minimum: &Amounts) {
        let above = self.all.get(name).map(|queue| queue.above.clone()).unwrap_or_default();
        for name in above.iter().map(String::as_str).chain([name]) {
            if let Some(queue) = self.all.get_mut(name) {
                queue.admitted.add(minimum);
            }
        }
    }

    /// How a queue and those above it are, to be put back if a statement is given up.
    pub(super) fn state_of(&self, name: &str) -> Vec<(String, Share, Amounts)> {
        let Some(queue) = self.all.get(name) else { return Vec::new() };
        let names = queue.above.iter().map(String::as_str).chain([name]);
        names
            .filter_map(|name| {
                self.all.get(name).map(|one| (name.to_owned(), one.share.clone(), one.allocated.clone()))
            })
            .collect()
    }

    /// Puts queues back.
    pub(super) fn put_back(&mut self, state: Vec<(String, Share, Amounts)>) {
        for (name, share, allocated) in state {
            if let Some(queue) = self.all.get_mut(&name) {
                (queue.share, queue.allocated) = (share, allocated);
            }
        }
    }

    /// Shares the cluster out by weight, as far as queues want anything (Volcano's `proportion`): each in turn gets its part of
    /// what is left, but no more than it wants or may have, and no less than it is guaranteed.
    pub(super) fn share_out(&mut self) {
        let mut open: BTreeSet<String> = self
            .all
            .iter()
            .filter(|(_, queue)| queue.wanted != Amounts::default())
            .map(|(name, _)| name.clone())
            .collect();
        let (total, guaranteed) = (self.total.clone(), self.guaranteed());
        let mut left = total.clone();
        while !open.is_empty() {
            let weight = |queue: &Queue| queue.spec("weight").as_i64().filter(|weight| *weight > 0).unwrap_or(1);
            let weights: i64 = open.iter().filter_map(|name| self.all.get(name)).map(weight).sum();
            let before = left.clone();
            let mut given = Amounts::default();
            for name in open.clone() {
                let Some(queue) = self.all.get_mut(&name) else { continue };
                let had = queue.deserved.clone();
                let part = scaled(&before, weight(queue), weights.max(1));
                queue.deserved.add(&part);
                let most = real_capability(queue, &total, &guaranteed);
                queue.deserved = at_most(&at_most(&queue.deserved, &most), &queue.wanted);
                queue.deserved.raise(&queue.guarantee());
                let mut more = queue.deserved.clone();
                more.subtract(&had);
                given.add(&more);
                let content = queue.wanted.iter().all(|(name, wanted)| queue.deserved.get(name) >= wanted);
                if content || queue.deserved == had {
                    open.remove(&name);
                }
            }
            left.subtract(&given);
            if left == before || left.iter().all(|(_, amount)| amount <= 0) {
                break;
            }
        }
    }

    fn guaranteed(&self) -> Amounts {
        let mut sum = Amounts::default();
        // A queue's guarantee is part of that of the queue above it.
        let top = self.all.values().filter(|queue| queue.above.len() <= 1 && meta::name(&queue.document) != ROOT);
        top.for_each(|queue| sum.add(&queue.guarantee()));
        sum
    }

    /// Whether a queue, and those above it, may have more.
    pub(super) fn admits(&self, name: &str, increment: &Increment, amounts: &Amounts) -> bool {
        let Some(queue) = self.all.get(name) else { return true };
        match self.limits {
            Limits::None => true,
            Limits::Weights => amounts
                .iter()
                .all(|(name, more)| queue.allocated.get(name).saturating_add(more) <= queue.deserved.get(name)),
            Limits::Capacity { hierarchy } => {
                let above = queue.above.iter().filter(|_| hierarchy).filter_map(|name| self.all.get(name));
                let guaranteed = self.guaranteed();
                let room = amounts.iter().all(|(name, more)| {
                    let most = real_capability(queue, &self.total, &guaranteed).get(name);
                    guaranteed.get(name) == 0 || queue.allocated.get(name).saturating_add(more) <= most
                });
                room && [queue].into_iter().chain(above).all(|one| one.share.admits(one.spec("capability"), increment))
            }
        }
    }

    /// What a queue has not enough of to take a group that needs this at least; `None` when it has enough.
    pub(super) fn lacks(&self, name: &str, minimum: &Amounts, claims: Option<&Increment>) -> Option<String> {
        let queue = self.all.get(name)?;
        if self.limits == Limits::None {
            return None;
        }
        let hierarchy = matches!(self.limits, Limits::Capacity { hierarchy: true });
        let above = queue.above.iter().filter(|_| hierarchy).filter_map(|name| self.all.get(name));
        for one in [queue].into_iter().chain(above) {
            let capability = Amounts::read(Some(one.spec("capability")));
            let short = minimum.iter().find(|(name, more)| {
                let most = capability.get(name);
                let have = one.allocated.get(name).saturating_add(one.admitted.get(name));
                !one.spec("capability")[*name].is_null() && have.saturating_add(*more) > most
            });
            if let Some((name, _)) = short {
                return Some(format!("queue resource quota insufficient: insufficient {name}"));
            }
            let capacity = matches!(self.limits, Limits::Capacity { .. });
            if capacity && claims.is_some_and(|claims| !one.share.admits_devices(one.spec("capability"), claims)) {
                return Some("queue resource quota insufficient: insufficient dra-resource-exceeded".to_owned());
            }
        }
        None
    }

    /// In which order queues are served: by priority, then the one that has the least of what it deserves, then by age.
    pub(super) fn rank(&self, name: &str) -> (Reverse<i64>, i64, String, String) {
        let Some(queue) = self.all.get(name) else { return (Reverse(i64::MIN), 0, String::new(), name.to_owned()) };
        let priority = queue.spec("priority").as_i64().unwrap_or(0);
        let created = meta::creation_timestamp(&queue.document).to_owned();
        (Reverse(priority), queue.fullness(&self.deserved_by(queue)), created, name.to_owned())
    }

    fn deserved_by(&self, queue: &Queue) -> Amounts {
        match self.limits {
            Limits::Weights => queue.deserved.clone(),
            _ => Amounts::read(Some(queue.spec("deserved"))),
        }
    }

    /// Whether a queue may take back from others what it wants: it still has less than it deserves.
    pub(super) fn may_reclaim(&self, name: &str, amounts: &Amounts) -> bool {
        let Some(queue) = self.all.get(name) else { return false };
        let deserved = self.deserved_by(queue);
        amounts.iter().all(|(name, more)| queue.allocated.get(name).saturating_add(more) <= deserved.get(name))
    }

    /// Whether a queue can be taken from: it lets others, and has no less than it deserves without what is taken.
    pub(super) fn can_spare(&self, name: &str, amounts: &Amounts, wanted: &Amounts) -> bool {
        let Some(queue) = self.all.get(name).filter(|queue| queue.spec("reclaimable") != false) else { return false };
        let deserved = self.deserved_by(queue);
        let mut relevant = wanted.iter().filter(|(name, _)| amounts.get(name) > 0).peekable();
        relevant.peek().is_some()
            && relevant.all(|(name, _)| queue.allocated.get(name) - amounts.get(name) >= deserved.get(name))
    }

    /// A pod of a queue is to have what others are told to leave.
    pub(super) fn expect(&mut self, name: &str, amounts: &Amounts) {
        if let Some(queue) = self.all.get_mut(name) {
            queue.allocated.add(amounts);
        }
    }

    /// A pod of a queue is told to leave.
    pub(super) fn release(&mut self, name: &str, amounts: &Amounts) {
        let above = self.all.get(name).map(|queue| queue.above.clone()).unwrap_or_default();
        for name in above.iter().map(String::as_str).chain([name]) {
            if let Some(queue) = self.all.get_mut(name) {
                queue.allocated.subtract(amounts);
            }
        }
    }

    /// What each queue has, as its status tells.
    pub(super) fn allocated(&self) -> impl Iterator<Item = (&Arc<Value>, Value)> {
        self.all.values().map(|queue| (&queue.document, queue.share.allocated()))
    }
}

/// The most that a queue can have: its capability, and the cluster without what others are guaranteed.
fn real_capability(queue: &Queue, total: &Amounts, guaranteed: &Amounts) -> Amounts {
    let mut most = total.clone();
    most.subtract(guaranteed);
    most.add(&queue.guarantee());
    let capability = Amounts::read(Some(queue.spec("capability")));
    let mut bounded = Amounts::default();
    for (name, amount) in most.iter() {
        let named = !queue.spec("capability")[name].is_null();
        bounded.add(&Amounts::of(name, if named { amount.min(capability.get(name)) } else { amount }));
    }
    bounded
}

/// Each amount, or that of the other where it is less.
fn at_most(one: &Amounts, other: &Amounts) -> Amounts {
    let mut result = Amounts::default();
    for (name, amount) in one.iter() {
        result.add(&Amounts::of(name, amount.min(other.get(name))));
    }
    result
}

/// A part of amounts.
fn scaled(amounts: &Amounts, part: i64, of: i64) -> Amounts {
    let mut result = Amounts::default();
    for (name, amount) in amounts.iter() {
        let scaled = i128::from(amount) * i128::from(part) / i128::from(of);
        result.add(&Amounts::of(name, i64::try_from(scaled).unwrap_or(i64::MAX)));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn queues(limits: Limits, specs: &[(&str, Value)]) -> Queues {
        let mut objects = Objects::new();
        for (name, spec) in specs {
            let queue = json!({"metadata": {"name": name}, "spec": spec, "status": {"state": "Open"}});
            objects.put(kind::QUEUE, queue.into());
        }
        Queues::new(&objects, limits, cpu(10))
    }

    fn cpu(count: i64) -> Amounts {
        Amounts::of("cpu", count * 1000)
    }

    fn nothing() -> Increment {
        Increment::of(&json!({}), &[])
    }

    #[test]
    fn weights_share_the_cluster_out() {
        let mut queues = queues(Limits::Weights, &[("a", json!({"weight": 1})), ("b", json!({"weight": 4}))]);
        queues.want("a", &cpu(10));
        queues.want("b", &cpu(10));
        queues.share_out();
        assert!(queues.admits("a", &nothing(), &cpu(2)) && !queues.admits("a", &nothing(), &cpu(3)));
        assert!(queues.admits("b", &nothing(), &cpu(8)));
        queues.take("a", &nothing(), &cpu(2));
        assert!(!queues.admits("a", &nothing(), &cpu(1)));
        assert!(queues.rank("b") < queues.rank("a"));
    }

    #[test]
    fn what_one_does_not_want_the_others_get() {
        let mut queues = queues(
            Limits::Weights,
            &[("a", json!({"weight": 1})), ("b", json!({"weight": 4, "capability": {"cpu": 3}}))],
        );
        queues.want("a", &cpu(10));
        queues.want("b", &cpu(10));
        queues.share_out();
        assert!(queues.admits("a", &nothing(), &cpu(7)) && !queues.admits("a", &nothing(), &cpu(8)));
        assert!(queues.admits("b", &nothing(), &cpu(3)) && !queues.admits("b", &nothing(), &cpu(4)));
    }

    #[test]
    fn a_queue_counts_for_those_above_it() {
        let specs = [
            ("root", json!({})),
            ("org", json!({"parent": "root", "capability": {"cpu": 3}})),
            ("a", json!({"parent": "org"})),
            ("b", json!({"parent": "org"})),
        ];
        let pod = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "2"}}}]}});
        let increment = || Increment::of(&pod, &[]);
        for (hierarchy, fits) in [(true, false), (false, true)] {
            let mut queues = queues(Limits::Capacity { hierarchy }, &specs);
            queues.take("a", &increment(), &cpu(2));
            assert_eq!(queues.admits("b", &increment(), &cpu(2)), fits, "hierarchy: {hierarchy}");
            let of = |name: &str| {
                let mut all = queues.allocated();
                all.find(|(queue, _)| meta::name(queue) == name).map(|(_, have)| have).unwrap_or_default()
            };
            assert_eq!(
                (of("org"), of("root"), of("b")),
                (json!({"cpu": "2", "pods": "1"}), json!({"cpu": "2", "pods": "1"}), json!({}))
            );
        }
    }

    #[test]
    fn queues_take_back_what_they_deserve() {
        let specs = [
            ("a", json!({"deserved": {"cpu": 4}})),
            ("b", json!({"deserved": {"cpu": 4}})),
            ("c", json!({"deserved": {"cpu": 1}, "reclaimable": false})),
        ];
        let mut queues = queues(Limits::Capacity { hierarchy: false }, &specs);
        queues.take("a", &nothing(), &cpu(6));
        queues.take("c", &nothing(), &cpu(3));
        assert!(queues.may_reclaim("b", &cpu(4)) && !queues.may_reclaim("b", &cpu(5)));
        assert!(queues.can_spare("a", &cpu(2), &cpu(1)) && !queues.can_spare("a", &cpu(3), &cpu(1)));
        assert!(!queues.can_spare("c", &cpu(1), &cpu(1)), "it is not reclaimable");
        queues.release("a", &cpu(2));
        assert!(!queues.can_spare("a", &cpu(1), &cpu(1)));
    }

    #[test]
    fn groups_are_admitted_up_to_the_capability() {
        let mut queues = queues(Limits::Weights, &[("a", json!({"capability": {"cpu": 3}}))]);
        assert_eq!(queues.lacks("a", &cpu(3), None), None);
        queues.admit("a", &cpu(2));
        assert_eq!(
            queues.lacks("a", &cpu(2), None).as_deref(),
            Some("queue resource quota insufficient: insufficient cpu")
        );
    }
}
