//! When tasks are to be looked at, although nothing changed.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use crate::task::Task;

/// One time for each task, at most.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    order: BTreeSet<(Instant, Task)>,
    times: HashMap<Task, Instant>,
}

impl Timers {
    /// Sets the time of a task; an earlier one that is set stays.
    pub(crate) fn set(&mut self, task: &Task, at: Instant) {
        match self.times.get(task) {
            Some(present) if *present <= at => return,
            Some(_) => self.clear(task),
            None => {}
        }
        self.times.insert(task.clone(), at);
        self.order.insert((at, task.clone()));
    }

    /// Forgets the time of a task.
    pub(crate) fn clear(&mut self, task: &Task) {
        if let Some(at) = self.times.remove(task) {
            self.order.remove(&(at, task.clone()));
        }
    }

    /// The next time of all.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes a task whose time has come.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Task> {
        if self.next()? > now {
            return None;
        }
        let (_, task) = self.order.pop_first()?;
        self.times.remove(&task);
        Some(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{Key, kind};
    use std::time::Duration;

    #[test]
    fn the_earliest_time_of_a_task_counts() {
        let task = |name: &str| Task { controller: 0, kind: kind::POD, key: Key::new("n", name) };
        let (mut timers, now) = (Timers::default(), Instant::now());
        timers.set(&task("a"), now + Duration::from_secs(2));
        timers.set(&task("a"), now + Duration::from_secs(1));
        timers.set(&task("a"), now + Duration::from_secs(3));
        timers.set(&task("b"), now + Duration::from_secs(2));
        assert_eq!(timers.take_due(now), None);
        let later = now + Duration::from_secs(1);
        assert_eq!((timers.take_due(later), timers.take_due(later)), (Some(task("a")), None));
        timers.clear(&task("b"));
        assert_eq!(timers.next(), None);
    }
}
