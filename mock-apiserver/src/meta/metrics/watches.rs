//! `Watches`: who watches what, and how much they were told.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dashmap::DashMap;

use super::{RequestLabels, exposition::Exposition};

/// The watches of what the same labels say.
#[derive(Debug, Default)]
struct Counts {
    open: AtomicU64,
    events: AtomicU64,
}

/// All watches. There are no more labels than resources that are served have scopes.
#[derive(Debug, Default)]
pub(super) struct Watches(DashMap<RequestLabels, Arc<Counts>>);

/// A watch that is open as long as this is kept.
#[derive(Debug)]
pub(crate) struct OpenWatch(Arc<Counts>);

impl OpenWatch {
    /// Counts an event that is sent.
    pub(crate) fn send(&self) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watches {
    /// Counts a watch.
    pub(super) fn open(&self, labels: RequestLabels) -> OpenWatch {
        let counts = self.0.entry(labels).or_default().clone();
        counts.open.fetch_add(1, Ordering::Relaxed);
        OpenWatch(counts)
    }

    /// Writes the families.
    pub(super) fn write(&self, out: &mut Exposition) {
        let mut all: Vec<(RequestLabels, Arc<Counts>)> =
            self.0.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let name = "apiserver_longrunning_requests";
        out.family(name, "gauge", "Open watches.");
        for (labels, counts) in &all {
            out.sample(name, &labels.with(None), counts.open.load(Ordering::Relaxed));
        }
        let name = "apiserver_watch_events_total";
        out.family(name, "counter", "Events that were sent to watchers.");
        let resource = |labels: &RequestLabels| [labels.group.clone(), labels.resource.clone(), labels.version.clone()];
        for same in all.chunk_by(|a, b| resource(&a.0) == resource(&b.0)) {
            let [group, resource, version] = resource(&same[0].0);
            let events: u64 = same.iter().map(|(_, counts)| counts.events.load(Ordering::Relaxed)).sum();
            out.sample(name, &[("group", &group), ("resource", &resource), ("version", &version)], events);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_count_while_they_are_open() {
        let watches = Watches::default();
        let labels =
            |scope| RequestLabels { verb: "WATCH", resource: "pods".into(), scope, ..RequestLabels::default() };
        let (first, second) = (watches.open(labels("cluster")), watches.open(labels("namespace")));
        first.send();
        second.send();
        drop(second);
        let mut out = Exposition::default();
        watches.write(&mut out);
        let text = out.text();
        for expected in [
            "scope=\"cluster\",subresource=\"\",verb=\"WATCH\",version=\"\"} 1\n",
            "scope=\"namespace\",subresource=\"\",verb=\"WATCH\",version=\"\"} 0\n",
            "apiserver_watch_events_total{group=\"\",resource=\"pods\",version=\"\"} 2\n",
        ] {
            assert!(text.contains(expected), "no {expected} in {text}");
        }
    }
}
