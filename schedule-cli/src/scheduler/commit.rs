//! Writes a decision, in the order in which the default scheduler does: claims, then the binding.

use api::convert;
use cluster::{Key, kind, write};
use jiff::Timestamp;
use machinery::meta;
use serde_json::{Value, json};

use super::{
    claims::{ClaimToMake, Made},
    decision::{PlacedClaim, Placement},
    event,
    target::Target,
};

/// How often a write that met a newer object is tried again.
const ATTEMPTS: usize = 5;

/// Makes the claims that templates ask for and records them in the pod's status. Gives back the claims that are new.
pub async fn make_claims(
    target: &Target,
    pod: &Value,
    missing: &[ClaimToMake],
) -> anyhow::Result<Vec<(cluster::Kind, Value)>> {
    let mut made = Vec::new();
    let mut statuses = Vec::new();
    for claim in missing {
        let name = match &claim.claim {
            Made::Already(name) => name.clone(),
            Made::From(template) => {
                let wanted = cluster::template::claim_from_template(pod, &claim.entry, claim.generation, template);
                let created = target.create(claim.generation.claim, wanted).await?;
                let name = meta::name(&created).to_owned();
                made.push((claim.generation.claim, created));
                name
            }
        };
        statuses.push(json!({"name": claim.entry, "resourceClaimName": name}));
    }
    target.patch_pod_status(&Key::of(pod), &json!({ "resourceClaimStatuses": statuses })).await?;
    Ok(made)
}

/// Gives the pod its claims and its node. Gives back the claims as they are now.
///
/// # Errors
/// Something changed in between, or a write failed; what was reserved for the pod is given back.
pub async fn commit(
    target: &Target,
    pod: &Value,
    placement: &Placement,
    reporter: &str,
    now: Timestamp,
) -> anyhow::Result<Vec<(cluster::Kind, Value)>> {
    let mut written = Vec::new();
    for claim in &placement.claims {
        match reserve(target, claim, pod, &placement.node, now).await {
            Ok(document) => written.push((claim.generation.claim, document)),
            Err(error) => {
                release(target, &written, pod).await;
                return Err(error);
            }
        }
    }
    if let Err(error) = target.bind(pod, &placement.node).await {
        release(target, &written, pod).await;
        return Err(error);
    }
    let message = format!("Successfully assigned {} to {}", Key::of(pod), placement.node);
    target.record(event::about_pod(pod, "Scheduled", &message, false, reporter, now)).await;
    Ok(written)
}

/// Writes finalizer, allocation and reservation of one claim.
async fn reserve(
    target: &Target,
    claim: &PlacedClaim,
    pod: &Value,
    node: &str,
    now: Timestamp,
) -> anyhow::Result<Value> {
    let kind = claim.generation.claim;
    let key = Key::of(&claim.document);
    let mut current = Value::clone(&claim.document);
    for _ in 0..ATTEMPTS {
        check_unchanged(&current, claim, &key)?;
        match write_once(target, claim, current, pod, node, now).await {
            Ok(document) => return Ok(document),
            Err(error) if write::is_conflict(&error) => {}
            Err(error) if write::is_not_found(&error) => anyhow::bail!("claim {key} got deleted in the meantime"),
            Err(error) => return Err(write::failed(format!("update claim {key}"), &error)),
        }
        current =
            target.get(kind, &key).await?.ok_or_else(|| anyhow::anyhow!("claim {key} got deleted in the meantime"))?;
    }
    anyhow::bail!("claim {key} keeps changing; try again")
}

/// The claim must still be what the decision rests on.
fn check_unchanged(current: &Value, claim: &PlacedClaim, key: &Key) -> anyhow::Result<()> {
    let allocated = convert::allocated_nodes(current).is_some();
    if meta::deletion_timestamp(current).is_some() || meta::uid(current) != meta::uid(&claim.document) {
        anyhow::bail!("claim {key} got deleted in the meantime");
    }
    match (&claim.allocation, allocated) {
        (Some(_), true) => anyhow::bail!("claim {key} got allocated elsewhere in the meantime"),
        (None, false) => anyhow::bail!("claim {key} got deallocated elsewhere in the meantime"),
        _ => Ok(()),
    }
}

async fn write_once(
    target: &Target,
    claim: &PlacedClaim,
    mut current: Value,
    pod: &Value,
    node: &str,
    now: Timestamp,
) -> Result<Value, kube::Error> {
    let kind = claim.generation.claim;
    let finalizer = claim.generation.finalizer;
    if claim.allocation.is_some() && !meta::finalizers(&current).any(|one| one == finalizer) {
        let mut finalizers: Vec<Value> = meta::finalizers(&current).map(Value::from).collect();
        finalizers.push(Value::from(finalizer));
        meta::set(&mut current, "finalizers", finalizers);
        current = target.replace(kind, current, "").await?;
    }
    let consumer = convert::Consumer { pod, node, now };
    let changed = convert::reserve(&mut current, claim.allocation.as_ref(), &consumer);
    if !changed {
        return Ok(current);
    }
    target.copy_configs(&mut current).await?;
    target.replace(kind, current, "status").await
}

/// Gives back what was reserved for a pod that could not be bound. The allocation stays: the claim may serve the next attempt.
async fn release(target: &Target, written: &[(cluster::Kind, Value)], pod: &Value) {
    for (kind, document) in written {
        let mut document = document.clone();
        if convert::unreserve(&mut document, pod)
            && let Err(error) = target.replace(*kind, document, "status").await
        {
            tracing::warn!(%error, "a reservation was not given back");
        }
    }
}

/// Writes why a pod has no node: its condition, and an Event. Nothing is written when the condition says so already.
pub async fn refuse(
    target: &Target,
    pod: &Value,
    reason: &str,
    message: &str,
    reporter: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    if let Some(patch) = event::unscheduled_condition(pod, reason, message, now) {
        target.patch_pod_status(&Key::of(pod), &patch).await?;
        target.record(event::about_pod(pod, "FailedScheduling", message, true, reporter, now)).await;
    }
    Ok(())
}

/// The pod as it is now; `None` when it is gone.
pub async fn reread(target: &Target, pod: &Value) -> anyhow::Result<Option<Value>> {
    target.get(kind::POD, &Key::of(pod)).await
}
