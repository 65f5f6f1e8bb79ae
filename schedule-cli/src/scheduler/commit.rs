//! Writes a decision, in the order in which the default scheduler does: claims, then the binding.

use api::convert;
use cluster::{Generation, Key, Kind, event::Remark, generation, kind, write};
use jiff::Timestamp;
use machinery::meta;
use serde_json::{Value, json};

use super::{
    claims::{ClaimToMake, Made},
    classic::{self, Move},
    condition,
    decision::{PlacedClaim, Placement, Refusals, Remedy},
    extended::PlacedExtended,
    preemption::Preemption,
    target::Target,
    volumes::SELECTED_NODE,
};

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

/// Writes a step of the negotiation with drivers of classic claims. Gives back what was written.
pub async fn negotiate(target: &Target, move_: &Move) -> anyhow::Result<Written> {
    let context = kind::POD_SCHEDULING_CONTEXT;
    let claim_kind = generation::EVOLUTION.claim;
    let updated = |kind: cluster::Kind, document: Value, subresource: &'static str| async move {
        let key = Key::of(&document);
        let written = target.replace(kind, document, subresource).await;
        written.map_err(|error| write::failed(format!("update {} {key}", kind.kind), &error))
    };
    match move_ {
        Move::Propose(document) => Ok(vec![(context, target.create(context, document.clone()).await?)]),
        Move::ProposeAgain(document) => Ok(vec![(context, updated(context, document.clone(), "").await?)]),
        Move::RequestDeallocation(claim) => {
            let mut claim = Value::clone(claim);
            claim["status"]["deallocationRequested"] = json!(true);
            claim["status"]["reservedFor"] = Value::Null;
            Ok(vec![(claim_kind, updated(claim_kind, claim, "status").await?)])
        }
        Move::Deallocate(claim) => {
            let mut claim = Value::clone(claim);
            convert::deallocate(&mut claim);
            claim["status"]["reservedFor"] = Value::Null;
            let mut claim = updated(claim_kind, claim, "status").await?;
            let finalizers: Vec<Value> = meta::finalizers(&claim)
                .filter(|one| *one != generation::EVOLUTION.finalizer)
                .map(Value::from)
                .collect();
            meta::set(&mut claim, "finalizers", finalizers);
            Ok(vec![(claim_kind, updated(claim_kind, claim, "").await?)])
        }
    }
}

/// Ends the negotiation about a pod that has its node.
async fn end_negotiation(target: &Target, pod: &Value) -> anyhow::Result<()> {
    let key = Key::of(pod);
    match target.get(kind::POD_SCHEDULING_CONTEXT, &key).await? {
        Some(context) => target.delete(kind::POD_SCHEDULING_CONTEXT, &key, meta::uid(&context)).await,
        None => Ok(()),
    }
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
        current = target.replace(kind, current, "").await?;
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

/// Gives back what was reserved for a pod that could not be bound: its reservations, and the devices and the claim that
/// only this attempt has given it.
pub async fn release(target: &Target, pod: &Value, placement: &Placement, written: &Written) {
    for (position, (kind, document)) in written.iter().enumerate() {
        let Some(generation) = Generation::of_claim(*kind) else { continue };
        let own = match placement.claims.get(position) {
            Some(claim) => claim.allocation.is_some(),
            None => placement.extended.as_ref().is_some_and(|extended| extended.made_before.is_none()),
        };
        let result = match placement.claims.get(position) {
            None if own => discard(target, generation, document).await,
            _ => give_back(target, generation, document, pod, own).await,
        };
        if let Err(error) = result {
            tracing::warn!(claim = %Key::of(document), "not given back: {error:#}");
        }
    }
}

/// Takes a pod's reservations out of claims. Their allocations stay.
pub async fn unreserve(target: &Target, pod: &Value, written: &Written) {
    for (kind, document) in written {
        let Some(generation) = Generation::of_claim(*kind) else { continue };
        if let Err(error) = give_back(target, generation, document, pod, false).await {
            tracing::warn!(claim = %Key::of(document), "not given back: {error:#}");
        }
    }
}

/// Takes a pod's reservation out of a claim, and with `own` also the allocation, unless others use it by now.
async fn give_back(
    target: &Target,
    generation: Generation,
    claim: &Value,
    pod: &Value,
    own: bool,
) -> anyhow::Result<()> {
    change(target, generation.claim, claim, |document| {
        let released = convert::unreserve(document, pod);
        (own && !convert::has_consumers(document) && convert::deallocate(document)) || released
    })
    .await?;
    if own { unprotect(target, generation, claim).await } else { Ok(()) }
}

/// Changes the status of a claim as it is by now. Nothing is done when it is gone or the change changes nothing.
async fn change(
    target: &Target,
    kind: Kind,
    claim: &Value,
    mut change: impl FnMut(&mut Value) -> bool,
) -> anyhow::Result<Option<Value>> {
    let key = Key::of(claim);
    let mut current = claim.clone();
    for _ in 0..ATTEMPTS {
        if meta::uid(&current) != meta::uid(claim) || !change(&mut current) {
            return Ok(None);
        }
        match target.replace(kind, current, "status").await {
            Ok(document) => return Ok(Some(document)),
            Err(error) if write::is_not_found(&error) => return Ok(None),
            Err(error) if write::is_conflict(&error) => {}
            Err(error) => return Err(write::failed(format!("update claim {key}"), &error)),
        }
        match target.get(kind, &key).await? {
            Some(document) => current = document,
            None => return Ok(None),
        }
    }
    anyhow::bail!("claim {key} keeps changing; try again")
}

/// Takes the finalizer off a claim that has no devices.
async fn unprotect(target: &Target, generation: Generation, claim: &Value) -> anyhow::Result<()> {
    let key = Key::of(claim);
    for _ in 0..ATTEMPTS {
        let Some(mut current) = target.get(generation.claim, &key).await? else { return Ok(()) };
        let protected = meta::finalizers(&current).any(|one| one == generation.finalizer);
        if !protected || convert::is_allocated(&current) || meta::uid(&current) != meta::uid(claim) {
            return Ok(());
        }
        let kept: Vec<Value> =
            meta::finalizers(&current).filter(|one| *one != generation.finalizer).map(Value::from).collect();
        meta::set(&mut current, "finalizers", kept);
        match target.replace(generation.claim, current, "").await {
            Ok(_) => return Ok(()),
            Err(error) if write::is_not_found(&error) => return Ok(()),
            Err(error) if write::is_conflict(&error) => {}
            Err(error) => return Err(write::failed(format!("update claim {key}"), &error)),
        }
    }
    Ok(())
}

/// Deletes a claim that was made for extended resources, with all it holds.
async fn discard(target: &Target, generation: Generation, claim: &Value) -> anyhow::Result<()> {
    change(target, generation.claim, claim, |document| {
        let released = convert::release(document, &|_| true);
        convert::deallocate(document) || released
    })
    .await?;
    unprotect(target, generation, claim).await?;
    target.delete(generation.claim, &Key::of(claim), meta::uid(claim)).await
}

/// What was done about a pod that has no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedied {
    /// Nothing: it waits.
    Nothing,
    /// It may be tried again at once.
    TryAgain,
}

/// Writes why no node takes a pod, and does what is to be done about it. Gives back claims that changed.
pub async fn refuse(
    target: &Target,
    pod: &Value,
    refusals: &Refusals,
    reporter: &str,
    now: Timestamp,
) -> anyhow::Result<(Remedied, Written)> {
    let nominate = match &refusals.remedy {
        Some(Remedy::Preempt(preemption)) => Some(json!(preemption.node)),
        _ => refusals.gives_up_nomination.then_some(Value::Null),
    };
    tell(target, pod, "Unschedulable", &refusals.message, nominate, reporter, now).await?;
    match &refusals.remedy {
        None => Ok((Remedied::Nothing, Vec::new())),
        Some(Remedy::Deallocate(kind, claim)) => {
            let changed = change(target, *kind, claim, |document| {
                let released = convert::release(document, &|reserved| reserved.is(pod));
                !convert::has_consumers(document) && (convert::deallocate(document) || released)
            })
            .await?;
            let written = changed.into_iter().map(|document| (*kind, document));
            Ok((Remedied::TryAgain, written.collect()))
        }
        Some(Remedy::Delete(claim)) => {
            discard(target, generation::GA, claim).await?;
            Ok((Remedied::TryAgain, Vec::new()))
        }
        Some(Remedy::Preempt(preemption)) => {
            preempt(target, pod, preemption, reporter, now).await?;
            Ok((Remedied::Nothing, Vec::new()))
        }
    }
}

/// Writes why a pod has no node: an Event, and its condition unless that says so already.
/// `nominate` also writes the node that is kept for it, or takes it away.
pub async fn tell(
    target: &Target,
    pod: &Value,
    reason: &str,
    message: &str,
    nominate: Option<Value>,
    reporter: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    let told = condition::cut(message, condition::NOTE_BYTES_MAX);
    target.record(pod, Remark::warning(reporter.to_owned(), "FailedScheduling", told), "Scheduling");
    let condition = condition::unscheduled(pod, reason, message, now);
    let mut patch = json!({});
    if let Some(condition) = condition {
        patch["conditions"] = json!([condition]);
    }
    if let Some(nominate) = nominate
        && pod["status"]["nominatedNodeName"] != nominate
    {
        patch["nominatedNodeName"] = nominate;
    }
    if patch.as_object().is_some_and(|patch| !patch.is_empty()) {
        target.patch_pod_status(&Key::of(pod), &patch).await?;
    }
    Ok(())
}

/// Makes the victims leave, and pods of less priority give up the node.
async fn preempt(
    target: &Target,
    pod: &Value,
    preemption: &Preemption,
    reporter: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    let message = format!("Preempted by pod {} on node {}", meta::uid(pod), preemption.node);
    for victim in &preemption.victims {
        let key = Key::of(victim);
        let condition = condition::disruption(victim, reporter, now);
        target.patch_pod_status(&key, &json!({"conditions": [condition]})).await?;
        target.delete(kind::POD, &key, meta::uid(victim)).await?;
        target.record(victim, Remark::normal(reporter.to_owned(), "Preempted", message.clone()), "Preempting");
    }
    for displaced in &preemption.displaced {
        target.patch_pod_status(displaced, &json!({"nominatedNodeName": null})).await?;
    }
    Ok(())
}

/// The pod as it is now; `None` when it is gone.
pub async fn reread(target: &Target, pod: &Value) -> anyhow::Result<Option<Value>> {
    target.get(kind::POD, &Key::of(pod)).await
}
