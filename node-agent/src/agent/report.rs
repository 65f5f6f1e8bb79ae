//! Writes what came of a pod: its status, events, the readiness of its claims, its end.

use std::{sync::Arc, time::Duration};

use cluster::{Key, Writer, generation, kind, write::PatchKind};
use jiff::Timestamp;
use machinery::{meta, time};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    devices::{NodeDevices, PodClaim, ledger::PreparedDevice},
    pod::Notice,
};

/// Pauses between attempts to write: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Most events of a pod that are remembered, to count how often they recur.
const EVENTS_MAX: usize = 32;
/// Longest message of an Event.
const MESSAGE_CHARS_MAX: usize = 1000;

/// Something to write about a pod.
pub(super) enum Write {
    /// Its status.
    Status(Value),
    /// An event.
    Event(Notice),
    /// It may go.
    Delete,
}

/// An event that was written.
struct Told {
    notice: Notice,
    key: Key,
    count: u32,
}

/// Writes everything about one pod, until the queue ends or the pod is gone. Of several states that wait, only the last
/// is written.
pub(super) async fn write_all(
    writer: Writer,
    pod: Arc<Value>,
    node: String,
    mut queue: mpsc::UnboundedReceiver<Write>,
) {
    let mut told = Vec::new();
    while let Some(first) = queue.recv().await {
        let (mut status, mut events, mut delete) = (None, Vec::new(), false);
        let mut next = Some(first);
        while let Some(write) = next {
            match write {
                Write::Status(value) => status = Some(value),
                Write::Event(notice) => events.push(notice),
                Write::Delete => delete = true,
            }
            next = queue.try_recv().ok();
        }
        if let Some(status) = status {
            write_status(&writer, &pod, &status).await;
        }
        for notice in events {
            if let Err(error) = tell(&writer, &pod, &node, notice, &mut told).await {
                tracing::debug!(pod = meta::name(&pod), %error, "an event is not written");
            }
        }
        if delete {
            let key = Key::of(&pod);
            persist(|| writer.delete(kind::POD, &key, Some(meta::uid(&pod)), Some(0)), &pod).await;
        }
    }
}

async fn write_status(writer: &Writer, pod: &Value, status: &Value) {
    let patch = json!({"metadata": {"uid": meta::uid(pod)}, "status": status});
    let key = Key::of(pod);
    persist(|| writer.amend(kind::POD, &key, "status", PatchKind::Strategic, &patch), pod).await;
}

/// Writes until the server has answered: only its word is final.
async fn persist<T, F: Future<Output = Result<T, kube::Error>>>(write: impl Fn() -> F, pod: &Value) {
    let mut pause = PAUSE_MIN;
    loop {
        match write().await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) && status.code != 429 => {
                // Gone, or another pod of that name: what we know of it does not matter any more.
                if !matches!(status.code, 404 | 409) {
                    tracing::warn!(pod = meta::name(pod), error = status.message, "the server refuses a write");
                }
                return;
            }
            Err(error) => tracing::debug!(pod = meta::name(pod), %error, "a write fails"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Writes an event, or counts one up that was written before.
async fn tell(
    writer: &Writer,
    pod: &Value,
    node: &str,
    mut notice: Notice,
    told: &mut Vec<Told>,
) -> Result<(), kube::Error> {
    let now = Timestamp::now();
    if let Some((end, _)) = notice.message.char_indices().nth(MESSAGE_CHARS_MAX) {
        notice.message.truncate(end);
    }
    if let Some(before) = told.iter_mut().find(|one| one.notice == notice) {
        before.count = before.count.saturating_add(1);
        let patch = json!({"count": before.count, "lastTimestamp": time::format_seconds(now)});
        return writer.record_again(&before.key, &patch).await;
    }
    let key = Key::new(meta::namespace(pod), format!("{}.{:x}", meta::name(pod), now.as_nanosecond()));
    let mut event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": key.namespace, "name": key.name},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": meta::namespace(pod),
            "name": meta::name(pod),
            "uid": meta::uid(pod),
        },
        "reason": notice.reason,
        "message": notice.message,
        "type": if notice.warning { "Warning" } else { "Normal" },
        "source": {"component": super::COMPONENT, "host": node},
        "reportingComponent": super::COMPONENT,
        "reportingInstance": node,
        "firstTimestamp": time::format_seconds(now),
        "lastTimestamp": time::format_seconds(now),
        "count": 1,
    });
    if let Some(path) = &notice.field_path {
        event["involvedObject"]["fieldPath"] = json!(path);
    }
    writer.record(&event).await?;
    if told.len() < EVENTS_MAX {
        told.push(Told { notice, key, count: 1 });
    }
    Ok(())
}

/// Takes back what is prepared for a pod that is gone, until it works.
pub(super) async fn unprepare_for_good(devices: &NodeDevices, uid: &str) {
    let mut pause = PAUSE_MIN;
    while let Err(error) = devices.unprepare(uid).await {
        tracing::debug!(uid, error, "unpreparing fails");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Says in the status of claims that their devices are ready, as drivers may.
pub(super) async fn show_prepared(writer: &Writer, devices: &NodeDevices, claims: &[PodClaim], now: Timestamp) {
    for claim in claims {
        if let Err(error) = show_claim(writer, devices, claim, now).await {
            tracing::debug!(claim = claim.key.1, %error, "the readiness of devices is not written");
        }
    }
}

async fn show_claim(writer: &Writer, node: &NodeDevices, claim: &PodClaim, now: Timestamp) -> Result<(), kube::Error> {
    let (namespace, name, generation) = &claim.key;
    let Some(generation) = generation::ALL.into_iter().find(|one| one.name == generation) else { return Ok(()) };
    let key = Key::new(namespace, name);
    let ours = || claim.drivers.iter().filter(|(driver, _)| node.reports(driver));
    if ours().next().is_none() {
        return Ok(());
    }
    let all = || ours().flat_map(|(driver, devices)| devices.iter().map(move |one| (driver, one)));
    let condition = json!({
        "type": "Ready",
        "status": "True",
        "reason": "Prepared",
        "message": "Device is ready",
        "lastTransitionTime": time::format_seconds(now),
    });
    let status = if generation == generation::GA {
        let entry = |(driver, device): (&String, &PreparedDevice)| {
            let mut entry = json!({
                "driver": driver, "pool": device.pool_name, "device": device.device_name, "conditions": [condition],
            });
            if let Some(share) = &device.share_id {
                entry["shareID"] = json!(share);
            }
            if let Some(data) = node.data(driver, device) {
                entry["data"] = data;
            }
            entry
        };
        json!({"devices": all().map(entry).collect::<Vec<_>>()})
    } else if generation == generation::K8SRM {
        let entry = |(_, device): (&String, &PreparedDevice)| {
            json!({
                "devicePoolName": device.pool_name, "deviceName": device.device_name, "conditions": [condition],
            })
        };
        json!({"deviceStatuses": all().map(entry).collect::<Vec<_>>()})
    } else {
        // dra-evolution has no place for it.
        return Ok(());
    };
    let patch = json!({
        "apiVersion": generation.claim.api_version(),
        "kind": generation.claim.kind,
        "metadata": {"namespace": namespace, "name": name},
        "status": status,
    });
    writer.amend(generation.claim, &key, "status", PatchKind::Apply, &patch).await
}
