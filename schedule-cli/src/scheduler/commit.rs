//! Writes a decision, in the order in which the default scheduler does: claims, then the binding.

mod negotiate;
mod refuse;
mod release;

use api::convert;
use cluster::{Key, Kind, event::Remark, generation, kind, write};
use jiff::Timestamp;
use machinery::meta;
use serde_json::{Value, json};

use super::{
    claims::{ClaimToMake, Made},
    classic,
    decision::{PlacedClaim, Placement},
    extended::PlacedExtended,
    target::Target,
    volumes::SELECTED_NODE,
};
use negotiate::end_negotiation;
pub use negotiate::negotiate;
pub use refuse::{Remedied, refuse, tell};
pub use release::{release, unreserve};

/// How often a write that met a newer object is tried again.
const ATTEMPTS: usize = 5;

/// Objects as they were written.
pub type Written = Vec<(Kind, Value)>;

/// Makes the claims that templates ask for and records them in the pod's status. Gives back the claims that are new.
pub async fn make_claims(target: &Target, pod: &Value, missing: &[ClaimToMake]) -> anyhow::Result<Written> {
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

/// Gives the pod its claims. Gives them back as they are now.
///
/// # Errors
/// Something changed in between, or a write failed; what was reserved for the pod is given back.
pub async fn reserve(target: &Target, pod: &Value, placement: &Placement, now: Timestamp) -> anyhow::Result<Written> {
    let mut written = Vec::new();
    match reserve_all(target, pod, placement, now, &mut written).await {
        Ok(()) => Ok(written),
        Err(error) => {
            release(target, pod, placement, &written).await;
            Err(error)
        }
    }
}

async fn reserve_all(
    target: &Target,
    pod: &Value,
    placement: &Placement,
    now: Timestamp,
    written: &mut Written,
) -> anyhow::Result<()> {
    for claim in &placement.claims {
        let document = reserve_claim(target, claim, pod, &placement.node, now).await?;
        written.push((claim.generation.claim, document));
    }
    if let Some(extended) = &placement.extended {
        reserve_extended(target, extended, pod, &placement.node, now, written).await?;
    }
    for placed in &placement.volumes {
        match &placed.volume {
            Some(volume) => keep_volume(target, volume, &placed.claim).await?,
            None => {
                let claim = Key::of(&placed.claim);
                target.annotate(kind::PERSISTENT_VOLUME_CLAIM, &claim, SELECTED_NODE, &placement.node).await?;
            }
        }
    }
    Ok(())
}

/// Keeps a volume for a claim; the binder does the rest. Refused when the volume has changed.
async fn keep_volume(target: &Target, volume: &Value, claim: &Value) -> anyhow::Result<()> {
    let mut volume = volume.clone();
    volume["spec"]["claimRef"] = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta::namespace(claim),
        "name": meta::name(claim), "uid": meta::uid(claim), "resourceVersion": meta::resource_version(claim),
    });
    let key = Key::of(&volume);
    let kept = target.replace(kind::PERSISTENT_VOLUME, volume, "").await;
    kept.map(drop).map_err(|error| write::failed(format!("update volume {key}"), &error))
}

/// Makes the claim for extended resources, gives it to the pod and records it there.
async fn reserve_extended(
    target: &Target,
    extended: &PlacedExtended,
    pod: &Value,
    node: &str,
    now: Timestamp,
    written: &mut Written,
) -> anyhow::Result<()> {
    let kind = generation::GA.claim;
    let document = match &extended.made_before {
        Some(claim) => Value::clone(claim),
        None => target.create(kind, extended.claim(pod)).await?,
    };
    let claim = PlacedClaim {
        entry: String::new(),
        generation: generation::GA,
        document: document.into(),
        allocation: extended.allocation.clone(),
        structured: None,
    };
    written.push((kind, Value::clone(&claim.document)));
    let reserved = reserve_claim(target, &claim, pod, node, now).await?;
    let status = extended.status(meta::name(&reserved));
    if let Some(last) = written.last_mut() {
        last.1 = reserved;
    }
    target.patch_pod_status(&Key::of(pod), &status).await
}

/// Binds the pod to its node.
///
/// # Errors
/// The server does not allow it; what was reserved for the pod is given back.
pub async fn bind(
    target: &Target,
    pod: &Value,
    placement: &Placement,
    written: &Written,
    reporter: &str,
) -> anyhow::Result<()> {
    if let Err(error) = target.bind(pod, &placement.node).await {
        release(target, pod, placement, written).await;
        return Err(error);
    }
    let message = format!("Successfully assigned {} to {}", Key::of(pod), placement.node);
    target.record(pod, Remark::normal(reporter.to_owned(), "Scheduled", message), "Binding");
    if placement.claims.iter().any(classic::is_negotiated)
        && let Err(error) = end_negotiation(target, pod).await
    {
        // It ends with the pod, then.
        tracing::warn!("the PodSchedulingContext of {} was not deleted: {error:#}", Key::of(pod));
    }
    Ok(())
}

/// Says which node a pod waits for (KEP-5278).
pub async fn nominate(target: &Target, pod: &Value, node: &str) -> anyhow::Result<()> {
    target.patch_pod_status(&Key::of(pod), &json!({"nominatedNodeName": node})).await
}

/// Says that binding waits for devices.
pub fn tell_of_waiting(target: &Target, pod: &Value, node: &str, reporter: &str) {
    let message = format!("waiting for binding conditions for device on node {node}");
    target.record(pod, Remark::normal(reporter.to_owned(), "BindingConditionsPending", message), "Scheduling");
}

/// Writes finalizer, allocation and reservation of one claim.
async fn reserve_claim(
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
    let allocated = convert::is_allocated(current);
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
        target.rewrite(kind, &mut current).await?;
    }
    let consumer = convert::Consumer { pod, node, now };
    let changed = match &claim.structured {
        Some(status) => {
            current["status"] = status.clone();
            convert::reserve(&mut current, None, &consumer)
        }
        None => convert::reserve(&mut current, claim.allocation.as_ref(), &consumer),
    };
    if !changed {
        return Ok(current);
    }
    target.copy_configs(&mut current).await?;
    target.replace(kind, current, "status").await
}

/// The pod as it is now; `None` when it is gone.
pub async fn reread(target: &Target, pod: &Value) -> anyhow::Result<Option<Value>> {
    target.get(kind::POD, &Key::of(pod)).await
}
