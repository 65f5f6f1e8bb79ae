//! Waiting until the watches show what was written, so that nothing is decided on what is known to be old.

use std::collections::{HashMap, HashSet};

use cluster::{Key, Kind, Objects};
use machinery::meta;
use serde_json::Value;

use crate::task::Task;

/// What the watches will show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Expected {
    kind: Kind,
    key: Key,
    uid: String,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Made,
    Gone,
    /// Written; with this resourceVersion.
    Written(String),
}

impl Expected {
    /// The object was created.
    pub(crate) fn made(kind: Kind, object: &Value) -> Self {
        Self::of(kind, object, State::Made)
    }

    /// The object was deleted, or is on its way out.
    pub(crate) fn deleted(kind: Kind, object: &Value) -> Self {
        Self::of(kind, object, State::Gone)
    }

    /// The object was changed; `object` is what the server made of it.
    pub(crate) fn written(kind: Kind, object: &Value) -> Self {
        Self::of(kind, object, State::Written(meta::resource_version(object).to_owned()))
    }

    fn of(kind: Kind, object: &Value, state: State) -> Self {
        Self { kind, key: Key::of(object), uid: meta::uid(object).to_owned(), state }
    }

    fn is_met(&self, objects: &Objects) -> bool {
        let seen = objects.get(self.kind, &self.key).filter(|object| meta::uid(object) == self.uid);
        match &self.state {
            State::Gone => seen.is_none_or(|object| meta::deletion_timestamp(object).is_some()),
            State::Made => seen.is_some(),
            State::Written(version) => seen.is_none_or(|object| !is_older(meta::resource_version(object), version)),
        }
    }
}

/// Whether one resourceVersion is older than another. Since Kubernetes 1.35 they are documented to be numbers that grow;
/// of others nothing is known.
fn is_older(one: &str, other: &str) -> bool {
    match (one.parse::<u64>(), other.parse::<u64>()) {
        (Ok(one), Ok(other)) => one < other,
        _ => false,
    }
}

/// Tasks that wait, and for what.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    tasks: HashMap<Task, HashSet<Expected>>,
    objects: HashMap<(Kind, Key), HashSet<Task>>,
    /// Uids that were seen while writes were under way: an event may be faster than the answer to its request.
    seen: HashSet<String>,
}

impl Waits {
    /// Lets a task wait for what is not there yet. False: there is nothing to wait for.
    pub(crate) fn add(&mut self, task: &Task, expected: Vec<Expected>, objects: &Objects) -> bool {
        let seen = |one: &Expected| one.state == State::Made && self.seen.contains(&one.uid);
        let open: HashSet<Expected> = expected.into_iter().filter(|one| !one.is_met(objects) && !seen(one)).collect();
        if open.is_empty() {
            return false;
        }
        for one in &open {
            self.objects.entry((one.kind, one.key.clone())).or_default().insert(task.clone());
        }
        self.tasks.insert(task.clone(), open);
        true
    }

    /// Whether a task waits.
    pub(crate) fn holds(&self, task: &Task) -> bool {
        self.tasks.contains_key(task)
    }

    /// An object changed, and `objects` know it. Gives back the tasks that need not wait any more. `busy`: writes are
    /// under way.
    pub(crate) fn observe(&mut self, kind: Kind, object: &Value, objects: &Objects, busy: bool) -> Vec<Task> {
        if busy {
            self.seen.insert(meta::uid(object).to_owned());
        } else {
            self.seen.clear();
        }
        let at = (kind, Key::of(object));
        let Some(waiting) = self.objects.remove(&at) else { return Vec::new() };
        let (mut still, mut done) = (HashSet::new(), Vec::new());
        for task in waiting {
            let Some(open) = self.tasks.get_mut(&task) else { continue };
            // What came and went at once was seen too.
            open.retain(|one| !one.is_met(objects) && (one.state != State::Made || one.uid != meta::uid(object)));
            if open.is_empty() {
                self.tasks.remove(&task);
                done.push(task);
            } else if open.iter().any(|one| (one.kind, &one.key) == (kind, &at.1)) {
                still.insert(task);
            }
        }
        if !still.is_empty() {
            self.objects.insert(at, still);
        }
        done
    }

    /// The task waits no more.
    pub(crate) fn forget(&mut self, task: &Task) {
        for one in self.tasks.remove(task).into_iter().flatten() {
            let at = (one.kind, one.key);
            if let Some(waiting) = self.objects.get_mut(&at) {
                waiting.remove(task);
                if waiting.is_empty() {
                    self.objects.remove(&at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{Change, kind::POD};
    use serde_json::json;
    use std::sync::Arc;

    fn pod(name: &str, version: u32) -> Value {
        json!({"metadata": {"namespace": "n", "name": name, "uid": name, "resourceVersion": version.to_string()}})
    }

    fn task() -> Task {
        Task { controller: 0, kind: POD, key: Key::new("n", "p") }
    }

    #[test]
    fn a_task_waits_until_all_is_seen() {
        let (mut waits, mut objects) = (Waits::default(), Objects::new());
        let expected = vec![Expected::made(POD, &pod("a", 1)), Expected::made(POD, &pod("b", 2))];
        assert!(waits.add(&task(), expected.clone(), &objects) && waits.holds(&task()));
        objects.apply(&Change::Applied(POD, Arc::new(pod("a", 1))));
        assert!(waits.observe(POD, &pod("a", 1), &objects, false).is_empty());
        assert_eq!(waits.observe(POD, &pod("b", 2), &objects, false), [task()]);
        assert!(!waits.holds(&task()));
        waits.observe(POD, &pod("b", 2), &objects, true);
        assert!(!waits.add(&task(), expected, &objects));
        assert!(waits.add(&task(), vec![Expected::deleted(POD, &pod("a", 1))], &objects));
        waits.forget(&task());
        assert!(!waits.holds(&task()) && waits.objects.is_empty());
    }

    #[test]
    fn a_write_is_seen_by_its_version_or_a_later_one() {
        let (mut waits, mut objects) = (Waits::default(), Objects::new());
        objects.put(POD, Arc::new(pod("a", 9)));
        assert!(!waits.add(&task(), vec![Expected::written(POD, &pod("a", 9))], &objects));
        assert!(waits.add(&task(), vec![Expected::written(POD, &pod("a", 10))], &objects));
        objects.put(POD, Arc::new(pod("a", 11)));
        assert_eq!(waits.observe(POD, &pod("a", 11), &objects, false), [task()]);
        assert!(!waits.add(&task(), vec![Expected::written(POD, &pod("gone", 10))], &objects));
    }
}
