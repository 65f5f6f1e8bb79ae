//! Gives back what a pod got, when it could not be bound.

use api::convert;
use cluster::{Generation, Key, Kind, write};
use machinery::meta;
use serde_json::Value;

use super::{
    super::{decision::Placement, target::Target},
    ATTEMPTS, Written,
};

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
            tell_of_failure(document, &error);
        }
    }
}

/// Takes a pod's reservations out of claims. Their allocations stay.
pub async fn unreserve(target: &Target, pod: &Value, written: &Written) {
    for (kind, document) in written {
        let Some(generation) = Generation::of_claim(*kind) else { continue };
        if let Err(error) = give_back(target, generation, document, pod, false).await {
            tell_of_failure(document, &error);
        }
    }
}

/// Says that a claim was not given back; of a server that is gone its watches tell once for all.
fn tell_of_failure(claim: &Value, error: &anyhow::Error) {
    let claim = Key::of(claim);
    if write::is_unreachable(error) {
        tracing::debug!(%claim, "not given back: {error:#}");
    } else {
        tracing::warn!(%claim, "not given back: {error:#}");
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
pub(super) async fn change(
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
pub(super) async fn discard(target: &Target, generation: Generation, claim: &Value) -> anyhow::Result<()> {
    change(target, generation.claim, claim, |document| {
        let released = convert::release(document, &|_| true);
        convert::deallocate(document) || released
    })
    .await?;
    unprotect(target, generation, claim).await?;
    target.delete(generation.claim, &Key::of(claim), meta::uid(claim)).await
}
