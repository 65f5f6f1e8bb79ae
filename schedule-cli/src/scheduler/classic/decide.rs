//! Where a pod with classic claims goes, or what has to be done first.

use std::cmp::Reverse;

use serde_json::Value;

use super::{Negotiation, Obstacle, Step};
use crate::scheduler::{
    Options,
    claims::PodClaim,
    decision::{Decision, NodeRefusal, Refusals, obstructed, refuse_with},
    queue::Hope,
    refusal::{self, NO_NODES, Plugin, Refusal, Tally},
    search::{Devices, Search},
    world::World,
};

/// Decides about a pod with `classic` claims and perhaps `others`.
pub(in crate::scheduler) fn decide(
    pod: &Value,
    classic: Vec<PodClaim>,
    others: Vec<PodClaim>,
    world: &World,
    options: &Options,
) -> Decision {
    let order: Vec<String> = cluster::claim_references(pod).into_iter().map(|reference| reference.entry).collect();
    let hope = || Hope::of(&[Plugin::Devices].into(), world.node_count() == 0);
    let negotiation = match Negotiation::read(pod, classic, world, &options.features) {
        Ok(negotiation) => negotiation,
        Err(Obstacle::Everywhere(reason)) => {
            let message = refusal::before_nodes(world.node_count(), &reason);
            return refuse_with(Refusals { message, hope: hope(), ..Refusals::default() });
        }
        Err(Obstacle::Driver(reason)) => {
            return Decision::Await(refusal::before_nodes(world.node_count(), &reason));
        }
    };
    let search = match Search::new(pod, others, world, options) {
        Ok(search) => search,
        Err(obstacle) => return obstructed(obstacle, world),
    };
    let mut tally = Tally::of(world.node_count());
    let (mut refused, mut fitting) = (Vec::new(), Vec::new());
    for node in world.nodes() {
        let answer = search.examine(node, world).and_then(|worth| match negotiation.refusal(node, world) {
            Ok(None) => Ok(Ok((worth, search.devices_on(node, world)))),
            Ok(Some(reason)) => Err(vec![Refusal::hard(Plugin::Devices, reason)]),
            Err(error) => Ok(Err(error)),
        });
        let refusals = match answer {
            Ok(Err(error)) | Ok(Ok((_, Devices::Broken(error)))) => return Decision::Fail(error),
            Ok(Ok((worth, Devices::Found(found)))) => {
                fitting.push((Reverse(worth), node.name(), found));
                continue;
            }
            Ok(Ok((_, Devices::Refused(refusal)))) => vec![refusal],
            Err(refusals) => refusals,
        };
        refusals.iter().for_each(|refusal| tally.add(refusal));
        let reasons = refusals.into_iter().map(|refusal| refusal.reason).collect();
        refused.push(NodeRefusal { node: node.name().to_owned(), reasons, details: Vec::new(), devices: Vec::new() });
    }
    // The node that was selected before is worth keeping while it fits.
    let selected = negotiation.selected();
    fitting.sort_by_key(|(worth, name, _)| (Some(*name) != selected, *worth, name.to_owned()));
    let names: Vec<&str> = fitting.iter().map(|(_, name, _)| *name).collect();
    let Some(node) = names.first().copied() else {
        if let Some(step) = negotiation.recover(pod, world) {
            return step.into();
        }
        let message = if world.node_count() == 0 { NO_NODES.to_owned() } else { tally.sentence() };
        let hope = Hope::of(tally.plugins(), world.node_count() == 0);
        return refuse_with(Refusals { message, nodes: refused, hope, ..Refusals::default() });
    };
    if let Some(step) = negotiation.propose(pod, node, &names) {
        return step.into();
    }
    let Some((_, _, found)) = fitting.into_iter().next() else { return Decision::Yield };
    match negotiation.place(node, world) {
        Ok(claims) => {
            let mut placement = search.place(node, found, world);
            placement.claims.extend(claims);
            placement.claims.sort_by_key(|claim| order.iter().position(|entry| *entry == claim.entry));
            Decision::Place(placement)
        }
        Err(error) => Decision::Fail(error),
    }
}

impl From<Step> for Decision {
    fn from(step: Step) -> Self {
        match step {
            Step::Move(move_) => Self::Negotiate(move_),
            Step::Await(message) => Self::Await(message),
        }
    }
}
