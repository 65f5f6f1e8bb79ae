//! Watches: a cursor on history, seen through a selection.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, stream, stream::BoxStream};
use machinery::status::Status;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Registry, Selection, too_large_revision};
use crate::{
    catalog::Endpoint,
    request::WatchOptions,
    respond::{EventKind, WatchEvent},
    storage::{Change, ChangeKind, Store, Stored, Watcher},
};

/// How often a quiet watch is told how far it has come.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// How long before its end a watch gets its last bookmark.
const LAST_BOOKMARK_LEAD: Duration = Duration::from_secs(2);

/// Longest that a watch lasts.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// What is to be watched, and until when.
pub(crate) struct WatchRequest {
    pub(crate) endpoint: Endpoint,
    pub(crate) selection: Selection,
    pub(crate) options: WatchOptions,
    /// How long it lasts when the client does not say.
    pub(crate) timeout: Duration,
    /// Ends the watch when the server ends.
    pub(crate) shutdown: CancellationToken,
}

impl Registry {
    /// The events of what is selected. The stream ends with its timeout, the server's shutdown, or an error event.
    pub(crate) fn watch(&self, request: WatchRequest) -> BoxStream<'static, WatchEvent> {
        match self.begin(&request) {
            Ok((initial, watcher)) => {
                let live = Live::new(self.store.clone(), request, watcher);
                stream::iter(initial).chain(live.stream()).boxed()
            }
            Err(status) => stream::iter([WatchEvent::Error(Box::new(status))]).boxed(),
        }
    }

    /// The events that come first, and the cursor for those that follow.
    fn begin(&self, request: &WatchRequest) -> Result<(Vec<WatchEvent>, Watcher), Status> {
        let options = &request.options;
        let space = request.endpoint.resource.space();
        let current = self.store.revision();
        let from_start = match (options.send_initial_events, options.revision) {
            (Some(wanted), _) => wanted,
            (None, None | Some(0)) => true,
            (None, Some(_)) => false,
        };
        if !from_start {
            let revision = options.revision.filter(|revision| *revision > 0).unwrap_or(current);
            let watcher = space.watch(revision).map_err(|error| match error {
                crate::storage::Error::Expired { oldest } => {
                    Status::expired(format!("too old resource version: {revision} ({oldest})"))
                }
                other => Status::internal(other),
            })?;
            return Ok((Vec::new(), watcher));
        }
        if let Some(wanted) = options.revision.filter(|wanted| *wanted > current) {
            return Err(too_large_revision(wanted, current));
        }
        let snapshot = space.snapshot();
        let revision = current.max(snapshot.revision());
        let added = |object: &Arc<Stored>| WatchEvent::Object {
            kind: EventKind::Added,
            endpoint: request.endpoint.clone(),
            object: request.endpoint.resource.current(object),
        };
        let selected = request.selection.candidates(&snapshot, None);
        let mut initial: Vec<_> = selected.filter(|object| request.selection.matches(object)).map(added).collect();
        let asked = options.send_initial_events == Some(true) || options.revision.is_none();
        if asked && options.allow_bookmarks {
            initial.push(WatchEvent::Bookmark { revision, initial_events_end: true });
        }
        let watcher = space.watch(revision).map_err(Status::internal)?;
        Ok((initial, watcher))
    }
}

/// A watch under way.
struct Live {
    store: Arc<dyn Store>,
    request: WatchRequest,
    watcher: Watcher,
    end: Instant,
    next_bookmark: Option<Instant>,
    ended: bool,
}

impl Live {
    fn new(store: Arc<dyn Store>, request: WatchRequest, watcher: Watcher) -> Self {
        let now = Instant::now();
        let timeout = request.options.timeout_seconds.map_or(request.timeout, Duration::from_secs);
        let end = now.checked_add(timeout.min(TIMEOUT_MAX)).unwrap_or(now);
        let next_bookmark = request.options.allow_bookmarks.then(|| following_bookmark(now, end));
        Self { store, request, watcher, end, next_bookmark, ended: false }
    }

    fn stream(self) -> impl Stream<Item = WatchEvent> {
        stream::unfold(self, |mut live| async move {
            let events = live.next().await?;
            Some((stream::iter(events), live))
        })
        .flatten()
    }

    /// The next events; `None` at the end. An empty batch means that nothing selected happened.
    async fn next(&mut self) -> Option<Vec<WatchEvent>> {
        if self.ended {
            return None;
        }
        let bookmark = self.next_bookmark.unwrap_or(self.end);
        let changes = tokio::select! {
            biased;
            () = self.request.shutdown.cancelled() => return None,
            changes = self.watcher.next() => changes,
            () = tokio::time::sleep_until(bookmark.min(self.end)) => {
                if Instant::now() >= self.end {
                    return None;
                }
                return self.bookmark();
            }
        };
        match changes {
            Ok(changes) => Some(changes.iter().filter_map(|change| self.event(change)).collect()),
            Err(error) => {
                self.ended = true;
                Some(vec![WatchEvent::Error(Box::new(Status::expired(format!(
                    "too old resource version: {} ({error})",
                    self.watcher.position()
                ))))])
            }
        }
    }

    /// What has arrived meanwhile, and a bookmark that says so.
    fn bookmark(&mut self) -> Option<Vec<WatchEvent>> {
        self.next_bookmark = Some(following_bookmark(Instant::now(), self.end));
        // Read in this order: whatever happened up to `revision` is either handed out already or ready now.
        let revision = self.store.revision();
        let changes = self.watcher.take_ready().ok()?;
        let mut events: Vec<_> = changes.iter().filter_map(|change| self.event(change)).collect();
        if changes.is_empty() {
            events.push(WatchEvent::Bookmark { revision, initial_events_end: false });
        }
        Some(events)
    }

    /// How a change looks through the selection.
    fn event(&self, change: &Change) -> Option<WatchEvent> {
        let selection = &self.request.selection;
        let is_selected = change.kind != ChangeKind::Deleted && selection.matches(&change.object);
        let previous = change.previous.as_ref().filter(|previous| selection.matches(previous));
        let (kind, object) = match (is_selected, previous) {
            (true, None) => (EventKind::Added, change.object.clone()),
            (true, Some(_)) => (EventKind::Modified, change.object.clone()),
            (false, Some(_)) if change.kind == ChangeKind::Deleted => (EventKind::Deleted, change.object.clone()),
            (false, Some(previous)) => (EventKind::Deleted, Arc::new(previous.at_revision(change.revision()))),
            (false, None) => return None,
        };
        Some(WatchEvent::Object { kind, endpoint: self.request.endpoint.clone(), object })
    }
}

/// A minute from now, or shortly before the end, whichever comes first; after that one, at the end.
fn following_bookmark(now: Instant, end: Instant) -> Instant {
    let last = end.checked_sub(LAST_BOOKMARK_LEAD).unwrap_or(end);
    let regular = now + BOOKMARK_INTERVAL;
    if regular < last {
        regular
    } else if now < last {
        last
    } else {
        end
    }
}
