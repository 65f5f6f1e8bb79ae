//! One watch of each kind for all parts of a process that look at it, as client-go's shared informers: every event is read
//! once, and all hold the same objects.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream, task::AtomicWaker};
use kube::Client;
use serde_json::Value;
use tokio::task::AbortHandle;

use crate::{Change, Key, Kind, watch::watch_kind};

/// Most changes of a kind that wait for one who is slow to take them; then a list of what there is stands for them all.
const WAITING_MAX: usize = 4096;

/// The watches of a process.
#[derive(Clone)]
pub struct Informers(Arc<Shared>);

struct Shared {
    client: Client,
    informers: Mutex<BTreeMap<Kind, Informer>>,
}

/// The watch of one kind.
struct Informer {
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

impl Drop for Informer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Informers {
    /// Watches through `client`, from the first that asks for a kind on.
    pub fn new(client: Client) -> Self {
        Self(Arc::new(Shared { client, informers: Mutex::default() }))
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// What happens to the objects of `kinds`, as [`crate::watch`] tells it, told to everybody who asks.
    pub fn watch(&self, kinds: &[Kind]) -> impl Stream<Item = Change> + Send + use<> {
        stream::select_all(kinds.iter().map(|kind| self.of_kind(*kind)).collect::<Vec<_>>())
    }

    fn of_kind(&self, kind: Kind) -> Subscription {
        let mut informers = lock(&self.0.informers);
        let informer = informers.entry(kind).or_insert_with(|| {
            let state = Arc::new(Mutex::new(State::of(kind)));
            let (following, client) = (state.clone(), self.0.client.clone());
            let task = tokio::spawn(async move {
                let mut changes = std::pin::pin!(watch_kind(client, kind));
                while let Some(change) = changes.next().await {
                    lock(&following).take(change);
                }
            });
            Informer { state, task: task.abort_handle() }
        });
        let inbox = lock(&informer.state).subscribe();
        Subscription { inbox, _shared: self.0.clone() }
    }
}

/// What is known of a kind, and who wants to know.
struct State {
    kind: Kind,
    objects: BTreeMap<Key, Arc<Value>>,
    /// `objects` is what the server has, or had a moment ago.
    listed: bool,
    inboxes: Vec<Weak<Inbox>>,
}

impl State {
    fn of(kind: Kind) -> Self {
        Self { kind, objects: BTreeMap::new(), listed: false, inboxes: Vec::new() }
    }

    /// Who comes later begins with what there is by then.
    fn subscribe(&mut self) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
        if self.listed {
            inbox.put(self.list());
        }
        self.inboxes.push(Arc::downgrade(&inbox));
        inbox
    }

    fn list(&self) -> Change {
        Change::Listed(self.kind, self.objects.values().cloned().collect())
    }

    /// Takes a change in, and passes it on.
    fn take(&mut self, change: Change) {
        match &change {
            Change::Listed(_, documents) => {
                self.objects = documents.iter().map(|document| (Key::of(document), document.clone())).collect();
                self.listed = true;
            }
            Change::Applied(_, document) => drop(self.objects.insert(Key::of(document), document.clone())),
            Change::Deleted(_, document) => drop(self.objects.remove(&Key::of(document))),
            // Who comes now waits for the next list.
            Change::Lost(..) => self.listed = false,
        }
        let mut inboxes = std::mem::take(&mut self.inboxes);
        inboxes.retain(|inbox| {
            let Some(inbox) = inbox.upgrade() else { return false };
            if !inbox.offer(&change) {
                inbox.clear();
                inbox.put(if self.listed { self.list() } else { change.clone() });
            }
            true
        });
        self.inboxes = inboxes;
    }
}

/// Changes that wait for one who looks at a kind.
#[derive(Default)]
struct Inbox {
    waiting: Mutex<VecDeque<Change>>,
    reader: AtomicWaker,
}

impl Inbox {
    /// False: there is no room.
    fn offer(&self, change: &Change) -> bool {
        if lock(&self.waiting).len() >= WAITING_MAX {
            return false;
        }
        self.put(change.clone());
        true
    }

    fn put(&self, change: Change) {
        lock(&self.waiting).push_back(change);
        self.reader.wake();
    }

    fn clear(&self) {
        lock(&self.waiting).clear();
    }
}

/// What one who looks at a kind is told.
struct Subscription {
    inbox: Arc<Inbox>,
    /// The watch goes on as long as somebody looks.
    _shared: Arc<Shared>,
}

impl Stream for Subscription {
    type Item = Change;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Change>> {
        self.inbox.reader.register(context.waker());
        match lock(&self.inbox.waiting).pop_front() {
            Some(change) => Poll::Ready(Some(change)),
            None => Poll::Pending,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::POD;
    use serde_json::json;

    fn pod(name: &str, version: usize) -> Arc<Value> {
        Arc::new(json!({"metadata": {"namespace": "n", "name": name, "resourceVersion": version.to_string()}}))
    }

    /// What waits in an inbox: `=` for a list, `+` for a change, `-` for an end, `!` for a loss.
    fn told(inbox: &Inbox) -> Vec<String> {
        let version = |document: &Arc<Value>| machinery::meta::resource_version(document).to_owned();
        let words = |change| match change {
            Change::Listed(_, documents) => format!("={}", documents.iter().map(version).collect::<Vec<_>>().join(",")),
            Change::Applied(_, document) => format!("+{}", version(&document)),
            Change::Deleted(_, document) => format!("-{}", version(&document)),
            Change::Lost(_, why) => format!("!{why}"),
        };
        lock(&inbox.waiting).drain(..).map(words).collect()
    }

    #[test]
    fn everybody_is_told_everything_from_the_list_on() {
        let mut state = State::of(POD);
        let early = state.subscribe();
        state.take(Change::Listed(POD, vec![pod("a", 1), pod("b", 2)]));
        state.take(Change::Applied(POD, pod("a", 3)));
        let late = state.subscribe();
        state.take(Change::Deleted(POD, pod("b", 4)));
        assert_eq!(told(&early), ["=1,2", "+3", "-4"]);
        assert_eq!(told(&late), ["=3,2", "-4"]);
    }

    #[test]
    fn who_comes_while_the_server_is_lost_waits_for_the_next_list() {
        let mut state = State::of(POD);
        let early = state.subscribe();
        state.take(Change::Listed(POD, vec![pod("a", 1)]));
        state.take(Change::Lost(POD, "gone".to_owned()));
        let late = state.subscribe();
        assert!(told(&late).is_empty());
        state.take(Change::Listed(POD, vec![]));
        assert_eq!(told(&early), ["=1", "!gone", "="]);
        assert_eq!(told(&late), ["="]);
    }

    #[test]
    fn who_falls_behind_gets_a_list_instead_of_what_it_missed() {
        let mut state = State::of(POD);
        let (slow, quick) = (state.subscribe(), state.subscribe());
        state.take(Change::Listed(POD, vec![]));
        for version in 1..=WAITING_MAX + 1 {
            state.take(Change::Applied(POD, pod("a", version)));
            assert_eq!(told(&quick).last(), Some(&format!("+{version}")));
        }
        let last = [WAITING_MAX, WAITING_MAX + 1];
        assert_eq!(told(&slow), [format!("={}", last[0]), format!("+{}", last[1])]);
    }

    #[test]
    fn who_is_gone_is_told_nothing() {
        let mut state = State::of(POD);
        drop(state.subscribe());
        state.take(Change::Listed(POD, vec![]));
        assert!(state.inboxes.is_empty());
    }
}
