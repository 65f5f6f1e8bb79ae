//! Scheduling pods one after the other, for commands that end.

use std::sync::Arc;

use cluster::{Key, kind, write::failed};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Options, commit,
    decision::{self, Decision, Refusals},
    pod::{self, Standing},
    target::Target,
    world::World,
};

/// What became of one pod.
#[derive(Clone, Debug)]
pub struct Report {
    /// Namespace and name.
    pub pod: Key,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a pod.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It has a node now.
    Scheduled {
        /// Name of the node.
        node: String,
        /// Its claims: entry and devices, as `request=pool/device`.
        claims: Vec<(String, Vec<String>)>,
    },
    /// It had a node, has ended, or is being deleted.
    Settled {
        /// Name of the node, if it has one.
        node: Option<String>,
        /// Its claims, as when it is scheduled.
        claims: Vec<(String, Vec<String>)>,
    },
    /// No node takes it.
    Unschedulable(Refusals),
    /// It waits for something that a scheduler cannot give.
    Waiting(String),
    /// Something is wrong with it, or a write failed.
    Failed(String),
}

/// Rounds of making claims and deciding again before a pod is given up: each round makes every claim that is missing.
const ROUNDS: usize = 3;

/// Decides about one pod and writes the decision.
pub async fn schedule(world: &mut World, target: &Target, options: &Options, key: &Key) -> Report {
    let outcome =
        attempt(world, target, options, key).await.unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
    Report { pod: key.clone(), outcome }
}

async fn attempt(world: &mut World, target: &Target, options: &Options, key: &Key) -> anyhow::Result<Outcome> {
    for _ in 0..ROUNDS {
        let document = world.objects().get(kind::POD, key).cloned();
        let document = document.ok_or_else(|| anyhow::anyhow!("pod {key} not found"))?;
        match pod::standing(&document, &options.scheduler_name) {
            Standing::Waiting => {}
            Standing::Gated(gates) => return Ok(Outcome::Waiting(format!("scheduling gates: {}", gates.join(", ")))),
            Standing::Settled => return Ok(settled(world, &document)),
            Standing::Foreign => {
                let name = document["spec"]["schedulerName"].as_str().unwrap_or_default();
                return Ok(Outcome::Waiting(format!("it asks for scheduler {name}")));
            }
        }
        let decision = decision::decide(&document, world, options.preference);
        match carry_out(world, target, options, &document, decision).await? {
            Some(outcome) => return Ok(outcome),
            None => refresh(world, target, &document).await?,
        }
    }
    Ok(Outcome::Failed("its claims keep disappearing".to_owned()))
}

/// Writes a decision. `None`: claims were made, and the pod has to be looked at again.
async fn carry_out(
    world: &mut World,
    target: &Target,
    options: &Options,
    document: &Arc<Value>,
    decision: Decision,
) -> anyhow::Result<Option<Outcome>> {
    let (reporter, now) = (options.scheduler_name.as_str(), Timestamp::now());
    match decision {
        Decision::MakeClaims(missing) => {
            for (kind, made) in commit::make_claims(target, document, &missing).await? {
                world.note(kind, &made);
            }
            Ok(None)
        }
        Decision::Place(placement) => {
            world.assume(document, &placement);
            let written = commit::commit(target, document, &placement, reporter, now).await;
            world.settle(document, &placement, written.as_deref().ok());
            written?;
            refresh(world, target, document).await?;
            let claims = placement.claims.iter().map(|claim| (claim.entry.clone(), devices(world, claim))).collect();
            Ok(Some(Outcome::Scheduled { node: placement.node, claims }))
        }
        Decision::Refuse(refusals) => {
            commit::refuse(target, document, "Unschedulable", &refusals.message, reporter, now).await?;
            Ok(Some(Outcome::Unschedulable(refusals)))
        }
        Decision::Wait(message) => {
            commit::refuse(target, document, "Unschedulable", &message, reporter, now).await?;
            Ok(Some(Outcome::Waiting(message)))
        }
        Decision::Fail(message) => {
            commit::refuse(target, document, "SchedulerError", &message, reporter, now).await?;
            Ok(Some(Outcome::Failed(message)))
        }
    }
}

/// Reads the pod again, after writing to it.
async fn refresh(world: &mut World, target: &Target, document: &Value) -> anyhow::Result<()> {
    if let Some(fresh) = commit::reread(target, document).await? {
        world.note(kind::POD, &fresh);
    }
    Ok(())
}

/// What a pod has that was scheduled before.
fn settled(world: &World, document: &Value) -> Outcome {
    let claims = match super::claims::of_pod(document, world.objects()) {
        super::claims::PodClaims::Ready(claims) => claims,
        _ => Vec::new(),
    };
    let claims = claims.into_iter().map(|claim| {
        let placed = decision::PlacedClaim {
            entry: claim.entry,
            generation: claim.generation,
            document: claim.document,
            allocation: None,
        };
        let devices = devices(world, &placed);
        (placed.entry, devices)
    });
    Outcome::Settled { node: pod::node_name(document).map(str::to_owned), claims: claims.collect() }
}

fn devices(world: &World, claim: &decision::PlacedClaim) -> Vec<String> {
    let held = world.objects().get(claim.generation.claim, &Key::of(&claim.document));
    let results = held.and_then(|document| api::convert::allocated_devices(document).ok()).unwrap_or_default();
    results.iter().map(|result| format!("{}={}/{}", result.request, result.id.pool, result.id.device)).collect()
}

/// The cluster as it is now.
///
/// # Errors
/// The server does not answer.
pub async fn read(client: &kube::Client, options: &Options) -> anyhow::Result<World> {
    let served = kind::served(client, kind::SCHEDULING).await;
    let kinds = served.map_err(|error| failed("reach the server", &error))?;
    let lists = futures::future::try_join_all(kinds.iter().map(|kind| cluster::list(client, *kind)));
    let mut world = World::new(options.features);
    for change in lists.await.map_err(|error| failed("list objects", &error))? {
        world.apply(&change);
    }
    Ok(world)
}

/// The pods that want a node, those that go first in front.
pub fn waiting(world: &World, options: &Options, namespace: Option<&str>) -> Vec<Key> {
    let mut queue = super::queue::Queue::default();
    let all = world.objects().all(kind::POD);
    let wanted = all.filter(|document| namespace.is_none_or(|one| machinery::meta::namespace(document) == one));
    for document in wanted {
        if pod::standing(document, &options.scheduler_name) == Standing::Waiting {
            queue.push(document);
        }
    }
    std::iter::from_fn(|| queue.pop()).collect()
}
