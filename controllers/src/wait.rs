//! Waiting until the watches show what was written, so that nothing is made twice.

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
    gone: bool,
}

impl Expected {
    /// The object was created.
    pub(crate) fn made(kind: Kind, object: &Value) -> Self {
        Self { kind, key: Key::of(object), uid: meta::uid(object).to_owned(), gone: false }
    }

    /// The object was deleted, or is on its way out.
    pub(crate) fn deleted(kind: Kind, object: &Value) -> Self {
        Self { gone: true, ..Self::made(kind, object) }
    }

    fn is_met(&self, objects: &Objects) -> bool {
        let seen = objects.get(self.kind, &self.key).filter(|object| meta::uid(object) == self.uid);
        match self.gone {
            true => seen.is_none_or(|object| meta::deletion_timestamp(object).is_some()),
            false => seen.is_some(),
        }
    }
}

/// Tasks that wait, and for what.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    tasks: HashMap<Task, HashSet<Expected>>,
    objects: HashMap<(Kind, Key), Task>,
    /// Uids that were seen while writes were under way: an event may be faster than the answer to its request.
    seen: HashSet<String>,
}

impl Waits {
    /// Lets a task wait for what is not there yet. False: there is nothing to wait for.
    pub(crate) fn add(&mut self, task: &Task, expected: Vec<Expected>, objects: &Objects) -> bool {
        let seen = |one: &Expected| !one.gone && self.seen.contains(&one.uid);
        let open: HashSet<Expected> = expected.into_iter().filter(|one| !one.is_met(objects) && !seen(one)).collect();
        if open.is_empty() {
            return false;
        }
        self.objects.extend(open.iter().map(|one| ((one.kind, one.key.clone()), task.clone())));
        self.tasks.insert(task.clone(), open);
        true
    }

    /// Whether a task waits.
    pub(crate) fn holds(&self, task: &Task) -> bool {
        self.tasks.contains_key(task)
    }

    /// An object changed, and `objects` know it. Gives back the task that need not wait any more. `busy`: writes are
    /// under way.
    pub(crate) fn observe(&mut self, kind: Kind, object: &Value, objects: &Objects, busy: bool) -> Option<Task> {
        if busy {
            self.seen.insert(meta::uid(object).to_owned());
        } else {
            self.seen.clear();
        }
        let task = self.objects.get(&(kind, Key::of(object)))?.clone();
        let open = self.tasks.get_mut(&task)?;
        // What came and went at once was seen too.
        open.retain(|one| !one.is_met(objects) && (one.gone || one.uid != meta::uid(object)));
        let (waits_for_it, done) = (open.iter().any(|one| one.key == Key::of(object)), open.is_empty());
        if !waits_for_it {
            self.objects.remove(&(kind, Key::of(object)));
        }
        if !done {
            return None;
        }
        self.tasks.remove(&task);
        Some(task)
    }

    /// The task waits no more.
    pub(crate) fn forget(&mut self, task: &Task) {
        for one in self.tasks.remove(task).into_iter().flatten() {
            self.objects.remove(&(one.kind, one.key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Concern;
    use cluster::{Change, kind::POD};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_task_waits_until_all_is_seen() {
        let pod = |name: &str| json!({"metadata": {"namespace": "n", "name": name, "uid": name}});
        let task = Task::new(Concern::PodClaims, Key::new("n", "p"));
        let (mut waits, mut objects) = (Waits::default(), Objects::new());
        let expected = vec![Expected::made(POD, &pod("a")), Expected::made(POD, &pod("b"))];
        assert!(waits.add(&task, expected.clone(), &objects) && waits.holds(&task));
        objects.apply(&Change::Applied(POD, Arc::new(pod("a"))));
        assert_eq!(waits.observe(POD, &pod("a"), &objects, false), None);
        assert_eq!(waits.observe(POD, &pod("b"), &objects, false), Some(task.clone()));
        assert!(!waits.holds(&task));
        waits.observe(POD, &pod("b"), &objects, true);
        assert!(!waits.add(&task, expected, &objects));
        assert!(waits.add(&task, vec![Expected::deleted(POD, &pod("a"))], &objects));
    }
}
