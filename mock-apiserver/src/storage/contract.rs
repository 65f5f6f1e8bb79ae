//! What every store must do. Each store's tests call `holds`.

use std::sync::Arc;

use machinery::meta;
use serde_json::json;

use super::{ChangeKind, Draft, Error, Expected, MemoryStore, Space, Store, Stored, Write};
use crate::json::{self as encoding, Style};

fn draft(key: &str, data: &str) -> Draft {
    let head = encoding::head("v1", "ConfigMap", Style::BuiltIn);
    Draft::new(key, json!({"metadata": {"name": key}, "data": data}), &head, Style::BuiltIn)
}

struct Case {
    store: Arc<dyn Store>,
    space: Arc<Space>,
}

impl Case {
    fn new(store: Arc<dyn Store>) -> Self {
        let space = store.space("configmaps");
        Self { store, space }
    }

    async fn put(&self, key: &str, data: &str, expected: Expected) -> Result<Arc<Stored>, Error> {
        self.store.commit(&self.space, Write::Put { draft: draft(key, data), expected }).await
    }

    async fn create(&self, key: &str) -> Arc<Stored> {
        self.put(key, "", Expected::Absent).await.expect("created")
    }

    async fn delete(&self, key: &str, revision: u64) -> Result<Arc<Stored>, Error> {
        self.store.commit(&self.space, Write::Delete { key: key.into(), revision }).await
    }
}

fn keys<'a>(objects: impl Iterator<Item = &'a Arc<Stored>>) -> Vec<String> {
    objects.map(|object| object.key().to_string()).collect()
}

async fn holds(make: impl Fn() -> Arc<dyn Store>) {
    writes_are_compared_and_numbered(Case::new(make())).await;
    snapshots_are_ordered_and_immutable(Case::new(make())).await;
    the_past_can_be_read(Case::new(make())).await;
    watchers_see_every_change_in_order(Case::new(make())).await;
    old_history_expires(Case::new(make())).await;
    spaces_share_one_line(Case::new(make())).await;
    objects_are_found_by_a_member(Case::new(make())).await;
}

async fn objects_are_found_by_a_member(case: Case) {
    let first = case.put("a", "x", Expected::Absent).await.expect("created");
    case.space.find_by(&["data"]);
    let second = case.put("b", "y", Expected::Absent).await.expect("created");
    case.put("c", "x", Expected::Absent).await.expect("created");
    let having = |text: &str, after: Option<&str>| {
        let snapshot = case.space.snapshot();
        let found = snapshot.having(text, after).expect("an index");
        found.map(|object| object.key().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        (having("x", None), having("y", None), having("z", None)),
        (vec!["a".into(), "c".into()], vec!["b".into()], vec![])
    );
    assert_eq!(having("x", Some("a")), ["c"]);
    case.put("b", "x", Expected::Revision(second.revision())).await.expect("updated");
    case.delete("a", first.revision()).await.expect("deleted");
    assert_eq!((having("x", None), having("y", None)), (vec!["b".into(), "c".into()], Vec::<String>::new()));
    // Objects that rest as JSON are found and replaced, too.
    for number in 0..1000 {
        case.put(&format!("more-{number:04}"), if number % 2 == 0 { "x" } else { "y" }, Expected::Absent)
            .await
            .expect("created");
    }
    assert_eq!((having("x", None).len(), having("y", None).len()), (502, 500));
    let resting = case.space.get("more-0000").expect("there");
    assert!(!resting.is_awake(), "what has not changed for long rests as JSON");
    case.put("more-0000", "y", Expected::Revision(resting.revision())).await.expect("updated");
    assert_eq!((having("x", None).len(), having("y", None).len()), (501, 501));
    assert!(case.space.snapshot_at(resting.revision()).expect("remembered").having("x", None).is_none());
}

async fn writes_are_compared_and_numbered(case: Case) {
    let before = case.store.revision();
    assert!(before > 0, "revision 0 means any on the wire");
    let created = case.create("a").await;
    assert_eq!(created.revision(), before + 1);
    assert_eq!(case.store.revision(), before + 1);
    assert_eq!(meta::resource_version(created.value()), created.revision().to_string());
    assert!(matches!(case.put("a", "x", Expected::Absent).await, Err(Error::Exists)));
    assert!(matches!(case.put("a", "x", Expected::Revision(before)).await, Err(Error::Conflict)));
    assert!(matches!(case.put("b", "x", Expected::Revision(before)).await, Err(Error::Conflict)));
    let updated = case.put("a", "x", Expected::Revision(created.revision())).await.expect("updated");
    assert_eq!(updated.revision(), created.revision() + 1, "refused writes take no revision");
    assert!(matches!(case.delete("a", created.revision()).await, Err(Error::Conflict)));
    let deleted = case.delete("a", updated.revision()).await.expect("deleted");
    assert_eq!(deleted.revision(), updated.revision() + 1);
    assert_eq!(deleted.value()["data"], "x");
    assert!(case.space.get("a").is_none());
}

async fn snapshots_are_ordered_and_immutable(case: Case) {
    for key in ["b/1", "a/2", "a/1", "a-b/1", "a/3"] {
        case.create(key).await;
    }
    let snapshot = case.space.snapshot();
    assert_eq!(keys(snapshot.range("", None)), ["a-b/1", "a/1", "a/2", "a/3", "b/1"]);
    assert_eq!(keys(snapshot.range("a/", None)), ["a/1", "a/2", "a/3"]);
    assert_eq!(keys(snapshot.range("a/", Some("a/1"))), ["a/2", "a/3"]);
    assert_eq!(keys(snapshot.range("c/", None)), [""; 0]);
    case.create("a/0").await;
    assert_eq!(snapshot.len(), 5);
    assert!(snapshot.get("a/0").is_none());
    assert!(case.space.get("a/0").is_some());
}

async fn the_past_can_be_read(case: Case) {
    let first = case.create("a").await;
    let second = case.create("b").await;
    case.put("a", "new", Expected::Revision(first.revision())).await.expect("updated");
    case.delete("b", second.revision()).await.expect("deleted");
    let past = case.space.snapshot_at(second.revision()).expect("remembered");
    assert_eq!(keys(past.range("", None)), ["a", "b"]);
    assert_eq!(past.get("a").expect("there").value()["data"], "");
    let now = case.space.snapshot_at(case.store.revision()).expect("now");
    assert_eq!(keys(now.range("", None)), ["a"]);
    let before = case.space.snapshot_at(first.revision() - 1).expect("remembered");
    assert!(before.is_empty());
}

async fn watchers_see_every_change_in_order(case: Case) {
    let first = case.create("a").await;
    let mut from_start = case.space.watch(first.revision() - 1).expect("remembered");
    let mut from_now = case.space.watch(case.store.revision()).expect("now");
    let updated = case.put("a", "x", Expected::Revision(first.revision())).await.expect("updated");
    case.delete("a", updated.revision()).await.expect("deleted");
    let seen = from_start.next().await.expect("changes");
    let kinds: Vec<_> = seen.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Deleted]);
    assert!(seen.windows(2).all(|pair| pair[0].revision() < pair[1].revision()));
    assert_eq!(seen[2].previous.as_ref().map(|object| object.revision()), Some(updated.revision()));
    assert_eq!(from_now.next().await.expect("changes").len(), 2);
    assert!(from_now.take_ready().expect("up to date").is_empty());
    let space = case.space.clone();
    let waiting = tokio::spawn(async move {
        let mut watcher = space.watch(from_now.position()).expect("now");
        watcher.next().await.expect("a change").len()
    });
    case.create("c").await;
    assert_eq!(waiting.await.expect("no panic"), 1);
}

async fn old_history_expires(case: Case) {
    let first = case.create("a").await;
    let mut slow = case.space.watch(first.revision()).expect("now");
    let mut last = first.clone();
    for _ in 0..5000 {
        last = case.put("a", "x", Expected::Revision(last.revision())).await.expect("updated");
    }
    assert!(matches!(case.space.watch(first.revision()), Err(Error::Expired { oldest }) if oldest > first.revision()));
    assert!(matches!(case.space.snapshot_at(first.revision()), Err(Error::Expired { .. })));
    assert!(matches!(slow.next().await, Err(Error::Expired { .. })), "a slow watcher is cut off");
    assert!(case.space.watch(last.revision()).is_ok());
}

async fn spaces_share_one_line(case: Case) {
    let other = Case { store: case.store.clone(), space: case.store.space("secrets") };
    let one = case.create("a").await;
    let two = other.create("a").await;
    assert_eq!(two.revision(), one.revision() + 1);
    assert_eq!(case.space.snapshot().len(), 1);
    assert!(Arc::ptr_eq(&case.store.space("secrets"), &other.space));
}

#[tokio::test]
async fn memory_holds_the_contract() {
    holds(|| Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_writers_never_lose_a_write() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let case = Arc::new(Case::new(store));
    case.create("a").await;
    let writers = (0..4).map(|_| {
        let case = case.clone();
        tokio::spawn(async move {
            for _ in 0..200 {
                loop {
                    let current = case.space.get("a").expect("there");
                    let count: u64 = current.value()["data"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
                    let next = (count + 1).to_string();
                    if case.put("a", &next, Expected::Revision(current.revision())).await.is_ok() {
                        break;
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic");
    }
    assert_eq!(case.space.get("a").expect("there").value()["data"], "800");
}
