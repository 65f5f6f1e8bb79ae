//! The negotiation with drivers of classic claims.

use api::convert;
use cluster::{Key, generation, kind, write};
use machinery::meta;
use serde_json::{Value, json};

use super::{
    super::{classic::Move, target::Target},
    Written,
};

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
pub(super) async fn end_negotiation(target: &Target, pod: &Value) -> anyhow::Result<()> {
    let key = Key::of(pod);
    match target.get(kind::POD_SCHEDULING_CONTEXT, &key).await? {
        Some(context) => target.delete(kind::POD_SCHEDULING_CONTEXT, &key, meta::uid(&context)).await,
        None => Ok(()),
    }
}
