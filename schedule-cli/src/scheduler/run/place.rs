//! Writes a placement.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use cluster::{Key, Kind};
use serde_json::Value;

use super::{
    super::{
        binding::{self, Readiness},
        commit,
        decision::Placement,
        target::Target,
    },
    done::Reserved,
};

/// Reserves what the pod gets, and binds it unless it has to wait for devices.
pub(super) async fn place(
    target: &Target,
    pod: &Value,
    placement: &Placement,
    gone: &Mutex<HashSet<String>>,
    reporter: &str,
    (now, patience): (jiff::Timestamp, std::time::Duration),
) -> anyhow::Result<Reserved> {
    let written = commit::reserve(target, pod, placement, now).await?;
    let waits = |(_, claim): &(Kind, Value)| binding::readiness(claim, now, patience) != Readiness::Ready;
    let waits = written.iter().any(waits);
    if waits {
        commit::tell_of_waiting(target, pod, &placement.node, reporter);
    }
    if waits || !placement.volumes.is_empty() {
        if let Err(error) = commit::nominate(target, pod, &placement.node).await {
            tracing::info!(pod = %Key::of(pod), "not told which node it waits for: {error:#}");
        }
        return Ok(Reserved { written, bound: false });
    }
    let is_gone = gone.lock().unwrap_or_else(PoisonError::into_inner).contains(&placement.node);
    if is_gone {
        commit::release(target, pod, placement, &written).await;
        anyhow::bail!("node {} is gone", placement.node);
    }
    commit::bind(target, pod, placement, &written, reporter).await?;
    Ok(Reserved { written, bound: true })
}
