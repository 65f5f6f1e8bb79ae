//! `History`: the recent changes of one space, bounded in number and in bytes.

use std::{collections::VecDeque, sync::Arc};

use super::{Error, Objects, Stored};

/// Most changes that a space remembers. An informer that reconnects within this many changes resumes without a list.
const CHANGES_MAX: usize = 4096;

/// Most bytes of JSON that a space remembers.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// So many of the last changes are kept ready for watchers; of older ones the JSON is, which is all that a watcher without
/// selectors wants.
const READY: usize = 256;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was created.
    Created,
    /// It was replaced.
    Updated,
    /// It was removed.
    Deleted,
}

/// One write, as watchers see it.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The object after the write; for a delete its last state, at the revision of the delete.
    pub object: Arc<Stored>,
    /// The object before the write; absent for a create.
    pub previous: Option<Arc<Stored>>,
}

impl Change {
    /// The revision of the write.
    pub fn revision(&self) -> u64 {
        self.object.revision()
    }
}

/// What became of older changes when another was added.
#[derive(Debug, Default)]
pub(super) struct Aged {
    /// The object of one, which was put away.
    pub(super) at_rest: Option<Arc<Stored>>,
    /// Changes as they were. To free their documents takes a while, for which no lock is to be held.
    pub(super) spent: Vec<Change>,
}

#[derive(Debug, Default)]
pub(super) struct History {
    changes: VecDeque<Change>,
    bytes: usize,
    /// Every change after this revision is remembered.
    complete_after: u64,
}

impl History {
    /// Adds a change.
    pub(super) fn push(&mut self, change: Change) -> Aged {
        self.bytes = self.bytes.saturating_add(change.object.json().len());
        self.changes.push_back(change);
        let mut aged = Aged::default();
        let older = self.changes.len().checked_sub(READY + 1);
        if let Some(change) = older.and_then(|index| self.changes.get_mut(index)) {
            let previous = change.previous.as_ref().map(Stored::put_away);
            let at_rest = Change { kind: change.kind, object: change.object.put_away(), previous };
            aged.at_rest = Some(at_rest.object.clone());
            aged.spent.push(std::mem::replace(change, at_rest));
        }
        while self.changes.len() > CHANGES_MAX || (self.bytes > BYTES_MAX && self.changes.len() > 1) {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.object.json().len());
            self.complete_after = oldest.revision();
            aged.spent.push(oldest);
        }
        aged
    }

    /// Up to `limit` changes after `revision`, oldest first.
    pub(super) fn after(&self, revision: u64, limit: usize, into: &mut Vec<Change>) -> Result<(), Error> {
        self.check(revision)?;
        let start = self.changes.partition_point(|change| change.revision() <= revision);
        into.extend(self.changes.range(start..).take(limit).cloned());
        Ok(())
    }

    /// Takes everything that happened after `revision` back out of `objects`.
    pub(super) fn undo(&self, objects: &mut Objects, revision: u64) -> Result<(), Error> {
        self.check(revision)?;
        for change in self.changes.iter().rev().take_while(|change| change.revision() > revision) {
            match &change.previous {
                Some(previous) => objects.insert_mut(previous.key().clone(), previous.clone()),
                None => {
                    objects.remove_mut(change.object.key());
                }
            }
        }
        Ok(())
    }

    fn check(&self, revision: u64) -> Result<(), Error> {
        if revision < self.complete_after { Err(Error::Expired { oldest: self.complete_after }) } else { Ok(()) }
    }
}
