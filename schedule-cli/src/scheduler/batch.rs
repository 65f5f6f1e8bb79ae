//! Scheduling pods one after the other, for commands that end.

use std::{sync::Arc, time::Duration};

use cluster::{Change, Key, Kind, generation, kind, write::failed};
use futures::{StreamExt, stream::BoxStream};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Move, Options,
    binding::{self, Readiness},
    commit::{self, Remedied},
    decision::{self, Decision, Placement, Refusals},
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
    Unschedulable(Box<Refusals>),
    /// It waits for something that a scheduler cannot give.
    Waiting(String),
    /// A move was made, and the next one is for another command.
    Moved(Move),
    /// Something is wrong with it, or a write failed.
    Failed(String),
}

/// Rounds of making claims and deciding again before a pod is given up: each round makes every claim that is missing.
const ROUNDS: usize = 3;
/// Moves of a negotiation with drivers before a pod is given up.
const MOVES_MAX: usize = 1000;

/// Decides about one pod and writes the decision.
pub async fn schedule(world: &mut World, target: &Target, options: &Options, key: &Key) -> Report {
    let outcome =
        attempt(world, target, options, key).await.unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
    Report { pod: key.clone(), outcome }
}

async fn attempt(world: &mut World, target: &Target, options: &Options, key: &Key) -> anyhow::Result<Outcome> {
    let mut drivers = Drivers::new(options);
    let (mut rounds, mut moves) = (0, 0);
    while rounds < ROUNDS && moves < MOVES_MAX {
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
        let decision = decision::decide(&document, world, options);
        match &decision {
            Decision::Negotiate(move_) => {
                moves += 1;
                for (kind, written) in commit::negotiate(target, move_).await? {
                    world.note(kind, &written);
                }
                if options.step {
                    return Ok(Outcome::Moved(move_.clone()));
                }
                continue;
            }
            Decision::Await(_) if !options.step && drivers.answer(world, target).await => continue,
            _ => {}
        }
        rounds += 1;
        match carry_out(world, target, options, &document, decision).await? {
            Some(outcome) => return Ok(outcome),
            None => refresh(world, target, &document).await?,
        }
    }
    Ok(Outcome::Failed("its claims keep disappearing".to_owned()))
}

/// Writes a decision. `None`: claims changed, and the pod has to be looked at again.
async fn carry_out(
    world: &mut World,
    target: &Target,
    options: &Options,
    document: &Arc<Value>,
    decision: Decision,
) -> anyhow::Result<Option<Outcome>> {
    let (reporter, now) = (options.scheduler_name.as_str(), (options.now)());
    match decision {
        Decision::MakeClaims(missing) => {
            for (kind, made) in commit::make_claims(target, document, &missing).await? {
                world.note(kind, &made);
            }
            Ok(None)
        }
        Decision::Place(placement) => {
            place(world, target, options, document, &placement).await?;
            refresh(world, target, document).await?;
            let claims = placement.claims.iter().map(|claim| (claim.entry.clone(), devices(world, claim)));
            let extended = placement.extended.iter().map(|extended| {
                let results = extended.allocation.iter().flat_map(|allocation| &allocation.results);
                ("extended-resources".to_owned(), results.map(device).collect())
            });
            Ok(Some(Outcome::Scheduled { claims: claims.chain(extended).collect(), node: placement.node }))
        }
        Decision::Refuse(refusals) => {
            let (remedied, written) = commit::refuse(target, document, &refusals, reporter, now).await?;
            written.iter().for_each(|(kind, document)| world.note(*kind, document));
            if remedied == Remedied::TryAgain {
                return Ok(None);
            }
            Ok(Some(Outcome::Unschedulable(refusals)))
        }
        Decision::Negotiate(_) => Ok(None),
        Decision::Wait(message) | Decision::Await(message) => {
            commit::tell(target, document, "Unschedulable", &message, None, reporter, now).await?;
            Ok(Some(Outcome::Waiting(message)))
        }
        Decision::Yield => Ok(Some(Outcome::Waiting("its claim is being allocated for another pod".to_owned()))),
        Decision::Fail(message) => {
            commit::tell(target, document, "SchedulerError", &message, None, reporter, now).await?;
            Ok(Some(Outcome::Failed(message)))
        }
    }
}

/// Gives the pod its claims and its node, and waits until its devices are ready.
async fn place(
    world: &mut World,
    target: &Target,
    options: &Options,
    document: &Arc<Value>,
    placement: &Placement,
) -> anyhow::Result<()> {
    let reporter = options.scheduler_name.as_str();
    world.assume(document, placement);
    let mut written = match commit::reserve(target, document, placement, (options.now)()).await {
        Ok(written) => written,
        Err(error) => {
            world.give_up(document, placement);
            return Err(error);
        }
    };
    world.settle_claims(document, placement, &written);
    let result = async {
        if written.iter().any(|(_, claim)| binding::has_conditions(claim)) {
            commit::tell_of_waiting(target, document, &placement.node, reporter);
            await_devices(target, options, &mut written).await?;
        }
        let node = target.get(kind::NODE, &Key::new("", placement.node.as_str())).await?;
        anyhow::ensure!(node.is_some(), "node {} is gone", placement.node);
        Ok(())
    };
    if let Err(error) = result.await {
        commit::release(target, document, placement, &written).await;
        world.unplace(machinery::meta::uid(document));
        return Err(error);
    }
    let bound = commit::bind(target, document, placement, &written, reporter).await;
    if bound.is_err() {
        world.unplace(machinery::meta::uid(document));
    }
    bound
}

/// How long to wait between two looks at devices that are not ready.
const PAUSE: Duration = Duration::from_millis(200);

async fn await_devices(target: &Target, options: &Options, written: &mut commit::Written) -> anyhow::Result<()> {
    loop {
        let mut waits = false;
        for (_, claim) in &*written {
            match binding::readiness(claim, (options.now)(), options.binding_timeout) {
                Readiness::Ready => {}
                Readiness::Waiting => waits = true,
                Readiness::Failed(why) => anyhow::bail!(why),
            }
        }
        // In memory nobody makes devices ready: to be told so is all that is wanted.
        if !waits || matches!(target, Target::Memory(_)) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
        for (kind, claim) in &mut *written {
            let key = Key::of(claim);
            *claim = target.get(*kind, &key).await?.ok_or_else(|| anyhow::anyhow!("claim {key} is gone"))?;
        }
    }
}

/// What drivers do meanwhile.
struct Drivers {
    changes: Option<BoxStream<'static, Change>>,
    deadline: Instant,
}

/// Where drivers of classic claims answer.
const ANSWERS: [Kind; 2] = [kind::POD_SCHEDULING_CONTEXT, generation::EVOLUTION.claim];

impl Drivers {
    fn new(options: &Options) -> Self {
        Self { changes: None, deadline: Instant::now() + options.driver_patience }
    }

    /// Waits until something changes. False: nobody is there, or it took too long.
    async fn answer(&mut self, world: &mut World, target: &Target) -> bool {
        let Target::Cluster(writer, _) = target else { return false };
        let changes = self.changes.get_or_insert_with(|| cluster::watch(writer.client().clone(), &ANSWERS).boxed());
        match tokio::time::timeout_at(self.deadline, changes.next()).await {
            Ok(Some(change)) => {
                world.apply(&change);
                true
            }
            _ => false,
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
            structured: None,
        };
        let devices = devices(world, &placed);
        (placed.entry, devices)
    });
    Outcome::Settled { node: pod::node_name(document).map(str::to_owned), claims: claims.collect() }
}

fn devices(world: &World, claim: &decision::PlacedClaim) -> Vec<String> {
    let held = world.objects().get(claim.generation.claim, &Key::of(&claim.document));
    let results = held.and_then(|document| api::convert::allocated_devices(document).ok()).unwrap_or_default();
    results.iter().map(device).collect()
}

fn device(result: &api::hub::DeviceResult) -> String {
    format!("{}={}/{}", result.request, result.id.pool, result.id.device)
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
