//! What claims get, once their devices are found.

use std::collections::BTreeSet;

use api::hub::{
    Allocation, AllocationConfig, Claim, ConfigSource, Device, DeviceResult, NodeScope, NodeSelector, NodeSelectorTerm,
};

use crate::{
    attempt::{Attempt, Offer, Taken},
    constraint::RequestName,
    error::Error,
    features::Release,
    node_selector,
    plan::{ClaimPlan, Want},
    search::Surroundings,
};

/// The result of an attempt that met no error.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// One allocation for each claim, in their order; `None` when the node does not have the devices.
    pub allocations: Option<Vec<Allocation>>,
    /// How good the chosen alternatives are: for every request with alternatives, 8 for the first, 7 for the second,
    /// and so on. Nodes with more are preferred.
    pub score: i64,
    /// How often a device was looked for: upstream's `allocateOne` calls.
    pub effort: u64,
}

/// Requests by position, and the gathered classes by position through which they got devices.
type Members = BTreeSet<(usize, usize)>;

/// Most alternatives of a request, hence the best score of one.
const ALTERNATIVES_MAX: i64 = 8;

/// The allocation of one claim, and its score.
pub(crate) fn allocation(
    attempt: &Attempt<'_>,
    plan: &ClaimPlan<'_>,
    taken: &[Taken],
    surroundings: &mut dyn Surroundings,
) -> Result<(Allocation, i64), Error> {
    let mut results = Vec::with_capacity(taken.len());
    let mut chosen: Vec<usize> = vec![0; plan.requests.len()];
    let mut members = Members::default();
    for taken in taken {
        if let Some(chosen) = chosen.get_mut(taken.of.1) {
            *chosen = taken.of.2;
        }
        let want = plan.requests.get(taken.of.1).and_then(|request| request.wants.get(taken.of.2));
        if let (Some(want), Some(offer)) = (want, attempt.offer(taken.place)) {
            results.push(result(attempt, want, offer, taken, surroundings));
            if let Some(member) = attempt.member_that_selects(want, offer)? {
                members.insert((taken.of.1, member));
            }
        }
    }
    let wants: Vec<&Want<'_>> =
        plan.requests.iter().zip(&chosen).filter_map(|(request, chosen)| request.wants.get(*chosen)).collect();
    let prioritized = plan.requests.iter().zip(&chosen).filter(|(request, _)| request.prioritized);
    let score = prioritized.map(|(_, chosen)| ALTERNATIVES_MAX - i64::try_from(*chosen).unwrap_or(ALTERNATIVES_MAX));
    let offers = taken.iter().filter_map(|taken| attempt.offer(taken.place));
    let node_selector = where_usable(offers, &attempt.node.name)
        .map_err(|problem| Error::NodeSelector { claim: plan.claim.name.clone(), problem })?;
    let config = config(plan.claim, &wants, &members, attempt.features.release);
    Ok((Allocation { results, config, node_selector }, score.sum()))
}

fn result(
    attempt: &Attempt<'_>,
    want: &Want<'_>,
    offer: Offer<'_>,
    taken: &Taken,
    surroundings: &mut dyn Surroundings,
) -> DeviceResult {
    let conditions = |of: fn(&Device) -> &Option<Vec<String>>| {
        if attempt.features.binding_conditions { of(offer.device).clone() } else { None }
    };
    let skip = attempt.features.optional_node_operations;
    DeviceResult {
        request: want.name.full(),
        id: offer.id(),
        admin_access: want.admin_access(),
        tolerations: want.ask.tolerations.clone(),
        share_id: taken.share.as_ref().map(|_| surroundings.share_id()),
        consumed_capacity: taken.share.clone().filter(|consumed| !consumed.is_empty()),
        binding_conditions: conditions(|device| &device.binding_conditions),
        binding_failure_conditions: conditions(|device| &device.binding_failure_conditions),
        skip_node_operations: if skip { offer.slice.slice.skip_node_operations.clone() } else { Vec::new() },
    }
}

/// A class, or a class by position that it gathers.
type Source<'a> = (&'a str, Option<usize>);

/// Configuration that applies: that of classes, each once, then that of the claim.
fn config(claim: &Claim, wants: &[&Want<'_>], members: &Members, release: Release) -> Vec<AllocationConfig> {
    let mut all: Vec<AllocationConfig> = Vec::new();
    let mut classes: Vec<(Source<'_>, std::ops::Range<usize>)> = Vec::new();
    for (request, want) in wants.iter().enumerate() {
        let Some(class) = &want.class else { continue };
        let gathered = members.range((request, 0)..=(request, usize::MAX)).map(|(_, member)| *member);
        let gathered = gathered.filter_map(|member| Some((Some(member), &class.any_of.get(member)?.config)));
        for (member, configs) in std::iter::once((None, &class.config)).chain(gathered) {
            let name = want.name.full();
            if let Some((_, range)) = classes.iter().find(|(known, _)| *known == (&*class.name, member)) {
                for config in all.get_mut(range.clone()).into_iter().flatten() {
                    config.requests.push(name.clone());
                }
                continue;
            }
            let start = all.len();
            all.extend(configs.iter().map(|opaque| AllocationConfig {
                source: ConfigSource::Class,
                requests: vec![name.clone()],
                opaque: opaque.clone(),
            }));
            classes.push(((&class.name, member), start..all.len()));
        }
    }
    let names: Vec<RequestName<'_>> = wants.iter().map(|want| want.name).collect();
    for config in &claim.config {
        let matching = names.iter().filter(|name| name.is_in(&config.requests)).count();
        // Before 1.37 a configuration is repeated for each request that it names.
        let copies = match matching {
            _ if config.requests.is_empty() => 1,
            _ if release >= Release::V1_37 => matching.min(1),
            _ => matching,
        };
        let copy = || AllocationConfig {
            source: ConfigSource::Claim,
            requests: config.requests.clone(),
            opaque: config.opaque.clone(),
        };
        all.extend(std::iter::repeat_with(copy).take(copies));
    }
    if release >= Release::V1_37 {
        for config in &mut all {
            if names.iter().all(|name| name.is_in(&config.requests)) {
                config.requests.clear();
            }
        }
    }
    all
}

/// Where all of the devices can be used; `None` for everywhere.
fn where_usable<'a>(offers: impl Iterator<Item = Offer<'a>>, node: &str) -> Result<Option<NodeSelector>, String> {
    let mut term = NodeSelectorTerm::default();
    for offer in offers {
        let scope = offer.slice.scope_of(offer.device);
        if offer.device.binds_to_node || matches!(scope, NodeScope::Node(_)) {
            return Ok(Some(node_selector::only(node)));
        }
        let NodeScope::Selector(selector) = scope else { continue };
        match selector.terms.as_slice() {
            [] => {}
            [more] => {
                merge(&mut term.match_fields, &more.match_fields);
                merge(&mut term.match_expressions, &more.match_expressions);
            }
            terms => return Err(format!("unsupported ResourceSlice.NodeSelector with {} terms", terms.len())),
        }
    }
    let everywhere = term == NodeSelectorTerm::default();
    Ok((!everywhere).then(|| NodeSelector { terms: vec![term] }))
}

fn merge(into: &mut Vec<api::hub::NodeRequirement>, more: &[api::hub::NodeRequirement]) {
    for requirement in more {
        if !into.iter().any(|known| node_selector::same_requirement(known, requirement)) {
            into.push(requirement.clone());
        }
    }
}
