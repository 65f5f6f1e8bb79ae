//! `MemoryStore`: the store that forgets when the process ends.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::{BoxFuture, FutureExt as _};

use super::{Change, ChangeKind, Error, Expected, Space, Store, Stored, Write};

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    /// Held for the length of one write: the line of revisions.
    line: Mutex<()>,
    revision: AtomicU64,
    spaces: RwLock<HashMap<String, Arc<Space>>>,
}

impl MemoryStore {
    /// An empty store. Its line begins at revision 1, as etcd's does, since revision 0 means "any" on the wire.
    pub fn new() -> Self {
        Self { line: Mutex::new(()), revision: AtomicU64::new(1), spaces: RwLock::default() }
    }

    fn write(&self, space: &Arc<Space>, write: Write) -> Result<Arc<Stored>, Error> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = self.revision.load(Ordering::Acquire) + 1;
        let change = match write {
            Write::Put { draft, expected } => {
                let previous = space.get(draft.key());
                let kind = match (expected, &previous) {
                    (Expected::Absent, None) => ChangeKind::Created,
                    (Expected::Absent, Some(_)) => return Err(Error::Exists),
                    (Expected::Revision(wanted), Some(found)) if found.revision() == wanted => ChangeKind::Updated,
                    (Expected::Revision(_), _) => return Err(Error::Conflict),
                };
                Change { kind, object: Arc::new(draft.seal(revision)), previous }
            }
            Write::Delete { key, revision: wanted } => match space.get(&key) {
                Some(found) if found.revision() == wanted => Change {
                    kind: ChangeKind::Deleted,
                    object: Arc::new(found.at_revision(revision)),
                    previous: Some(found),
                },
                _ => return Err(Error::Conflict),
            },
        };
        let object = change.object.clone();
        let spent = space.publish(change);
        self.revision.store(revision, Ordering::Release);
        drop(line);
        space.announce(revision);
        drop(spent);
        Ok(object)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    fn space(&self, name: &str) -> Arc<Space> {
        if let Some(space) = self.spaces.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return space.clone();
        }
        let mut spaces = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        spaces.entry(name.to_owned()).or_insert_with(|| Arc::new(Space::new(name))).clone()
    }

    fn commit<'a>(&'a self, space: &'a Arc<Space>, write: Write) -> BoxFuture<'a, Result<Arc<Stored>, Error>> {
        std::future::ready(self.write(space, write)).boxed()
    }
}
