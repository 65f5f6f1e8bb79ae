//! `Space`: the objects of one resource, as a published snapshot, and their history.

use std::{
    ops::Bound,
    sync::{Arc, PoisonError, RwLock},
};

use arc_swap::ArcSwap;
use rpds::RedBlackTreeMapSync;
use tokio::sync::watch;

use super::{
    Change, Error, Stored,
    by_member::ByMember,
    history::{ChangeKind, History},
};

/// Objects by key, in the byte order of the key, as etcd orders them.
pub type Objects = RedBlackTreeMapSync<Arc<str>, Arc<Stored>>;

/// Changes handed to a watcher at once.
const BATCH_MAX: usize = 128;

/// The objects of a space at one moment. Immutable, and cheap to keep.
#[derive(Clone, Debug)]
pub struct Snapshot {
    revision: u64,
    objects: Objects,
    /// Absent where nobody looks for objects so, and in what was.
    by_member: Option<ByMember>,
}

impl Snapshot {
    /// The revision of the newest change in it.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// One object.
    pub fn get(&self, key: &str) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.size()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Objects whose key begins with `prefix`, in key order, from the first key after `after` on when that is given.
    pub fn range<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> impl Iterator<Item = &'a Arc<Stored>> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.objects
            .range::<str, _>((start, Bound::Unbounded))
            .map(|(_, object)| object)
            .take_while(move |object| object.key().starts_with(prefix))
    }

    /// Objects of which the member says this by which they are found, in key order, from the first key after `after` on when
    /// that is given. `None`: they are not found so.
    pub fn having<'a>(
        &'a self,
        text: &str,
        after: Option<&str>,
    ) -> Option<impl Iterator<Item = &'a Arc<Stored>> + use<'a>> {
        let keys = self.by_member.as_ref()?.keys(text, after.unwrap_or_default());
        Some(keys.filter_map(move |key| self.get(key)))
    }
}

/// The objects of one resource.
#[derive(Debug)]
pub struct Space {
    name: String,
    current: ArcSwap<Snapshot>,
    history: RwLock<History>,
    head: watch::Sender<u64>,
}

impl Space {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            current: ArcSwap::from_pointee(Snapshot { revision: 0, objects: Objects::new_sync(), by_member: None }),
            history: RwLock::default(),
            head: watch::Sender::new(0),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The objects as they are now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// One object as it is now.
    pub fn get(&self, key: &str) -> Option<Arc<Stored>> {
        self.current.load().get(key).cloned()
    }

    /// The objects as they were at `revision`, which must not be in the future.
    pub fn snapshot_at(&self, revision: u64) -> Result<Arc<Snapshot>, Error> {
        let history = self.history.read().unwrap_or_else(PoisonError::into_inner);
        let current = self.snapshot();
        if current.revision <= revision {
            return Ok(current);
        }
        let mut objects = current.objects.clone();
        history.undo(&mut objects, revision)?;
        Ok(Arc::new(Snapshot { revision, objects, by_member: None }))
    }

    /// Has objects found by what a member of theirs says, to which these names lead.
    pub fn find_by(&self, path: &'static [&'static str]) {
        let _no_change_meanwhile = self.history.write().unwrap_or_else(PoisonError::into_inner);
        let current = self.snapshot();
        let mut by_member = ByMember::new(path);
        current.objects.values().for_each(|object| by_member.take(None, Some(object)));
        self.current.store(Arc::new(Snapshot { by_member: Some(by_member), ..Snapshot::clone(&current) }));
    }

    /// The names that lead to the member by which objects are found, if they are.
    pub fn found_by(&self) -> Option<&'static [&'static str]> {
        self.current.load().by_member.as_ref().map(ByMember::path)
    }

    /// Everything that happens after `revision`, starting with what history remembers.
    pub fn watch(self: &Arc<Self>, revision: u64) -> Result<Watcher, Error> {
        let head = self.head.subscribe();
        self.changes_after(revision, 0, &mut Vec::new())?;
        Ok(Watcher { space: self.clone(), position: revision, head })
    }

    fn changes_after(&self, revision: u64, limit: usize, into: &mut Vec<Change>) -> Result<(), Error> {
        self.history.read().unwrap_or_else(PoisonError::into_inner).after(revision, limit, into)
    }

    /// Publishes one change. Callers hold the line, so changes arrive one at a time and in order of revision. Gives back
    /// what nobody needs any more, to be dropped when the line is free.
    pub(super) fn publish(&self, change: Change) -> Spent {
        let revision = change.revision();
        let key = change.object.key();
        let mut history = self.history.write().unwrap_or_else(PoisonError::into_inner);
        let Snapshot { mut objects, mut by_member, .. } = Snapshot::clone(&self.current.load());
        if let Some(by_member) = &mut by_member {
            let now = (change.kind != ChangeKind::Deleted).then_some(&*change.object);
            by_member.take(change.previous.as_deref(), now);
        }
        match change.kind {
            ChangeKind::Deleted => {
                objects.remove_mut(key);
            }
            ChangeKind::Created | ChangeKind::Updated => objects.insert_mut(key.clone(), change.object.clone()),
        }
        let aged = history.push(change);
        // What has not changed for a while rests as JSON, here too.
        if let Some(object) = aged.at_rest
            && objects.get(object.key()).is_some_and(|present| present.revision() == object.revision())
        {
            objects.insert_mut(object.key().clone(), object);
        }
        let before = self.current.swap(Arc::new(Snapshot { revision, objects, by_member }));
        Spent { _snapshot: before, _changes: aged.spent }
    }

    /// Wakes watchers. Called after the line is free again.
    pub(super) fn announce(&self, revision: u64) {
        self.head.send_if_modified(|head| {
            let newer = revision > *head;
            *head = (*head).max(revision);
            newer
        });
    }
}

/// What a space held before a change. To free it takes a while.
pub(super) struct Spent {
    _snapshot: Arc<Snapshot>,
    _changes: Vec<Change>,
}

/// A cursor on the history of a space. A watcher that falls behind history is told so and ends; nobody waits for it.
#[derive(Debug)]
pub struct Watcher {
    space: Arc<Space>,
    position: u64,
    head: watch::Receiver<u64>,
}

impl Watcher {
    /// Everything up to this revision has been handed out.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Changes that are there already, at most a batch; none when the watcher is up to date.
    pub fn take_ready(&mut self) -> Result<Vec<Change>, Error> {
        self.head.mark_unchanged();
        let mut changes = Vec::new();
        self.space.changes_after(self.position, BATCH_MAX, &mut changes)?;
        if let Some(last) = changes.last() {
            self.position = last.revision();
        }
        Ok(changes)
    }

    /// The next changes, at least one. Safe to cancel: nothing is taken before it returns.
    pub async fn next(&mut self) -> Result<Vec<Change>, Error> {
        loop {
            let changes = self.take_ready()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            if self.head.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
