//! Why a node cannot satisfy claims, as data. Computed on demand, after a failure.

use std::collections::BTreeMap;

use api::hub::{Amount, Claim, DeviceId, Environment, Node, Taint};
use machinery::quantity::Quantity;

use crate::{
    attempt::{Attempt, Obstacle, Offer, Place},
    clause::{self, Fact},
    constraint::Refusal,
    counter::Shortage,
    dialect::RunError,
    error::Error,
    index::Allocator,
    nano,
    plan::{ClaimPlan, Resolved, Want, claim_name},
    pool::PoolState,
    search::{Of, Search},
    selector::Failure,
    share::Misfit,
    usage::Usage,
};

/// Why a node cannot satisfy claims.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Name of the node.
    pub node: String,
    /// What stopped the attempt before, or instead of, a search.
    pub error: Option<Error>,
    /// Pools of the node that may not be used now.
    pub pools: Vec<UnusablePool>,
    /// Each request, or each alternative of it, taken alone.
    pub wants: Vec<WantExplanation>,
    /// Where the search came furthest: the want that failed, beside the devices that others had taken by then. `None`
    /// when there was no search.
    pub stuck: Option<WantExplanation>,
}

/// A pool that may not be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusablePool {
    /// `driver/pool`.
    pub pool: String,
    /// What is wrong with it.
    pub reason: String,
}

/// How many devices a want wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// This many.
    Exactly(i64),
    /// Every device that matches.
    All,
    /// As few as provide these totals.
    Totals(BTreeMap<String, Quantity>),
}

/// What stands in the way of one want.
#[derive(Clone, Debug, PartialEq)]
pub struct WantExplanation {
    /// `namespace/name` of the claim.
    pub claim: String,
    /// `request` or `request/alternative`.
    pub request: String,
    /// Name of the class.
    pub class: Option<String>,
    /// How many devices it wants.
    pub wanted: Wanted,
    /// Why it may have nothing, whatever there is.
    pub denied: Option<String>,
    /// Devices of the claims that were taken before this one was looked at, with the requests that took them.
    pub beside: Vec<(String, DeviceId)>,
    /// Devices that the node has.
    pub devices: usize,
    /// Devices of these that could be taken.
    pub fitting: usize,
    /// What stands in the way of the others; the most frequent first. Each device counts once.
    pub reasons: Vec<Reason>,
    /// The device with the fewest reasons against it, and all of these.
    pub nearest: Option<NearMiss>,
}

/// A cause and the devices that it keeps out.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// The cause.
    pub cause: Cause,
    /// How many devices.
    pub count: usize,
    /// The first few of them.
    pub examples: Vec<DeviceId>,
}

/// A device that nearly fits.
#[derive(Clone, Debug, PartialEq)]
pub struct NearMiss {
    /// The device.
    pub device: DeviceId,
    /// All that stands in its way.
    pub causes: Vec<Cause>,
}

/// Why a device cannot be taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// A part of a selector is false.
    Selector {
        /// `class NAME` or `claim NAMESPACE/NAME`.
        owner: String,
        /// Position among the selectors of the owner.
        index: usize,
        /// The part that is false; the whole expression where it has no parts.
        clause: String,
        /// What the part names of the device.
        facts: Vec<Fact>,
    },
    /// A selector cannot be compiled, or fails on the device.
    SelectorError {
        /// `class NAME` or `claim NAMESPACE/NAME`.
        owner: String,
        /// Position among the selectors of the owner.
        index: usize,
        /// The expression.
        expression: String,
        /// The error.
        error: String,
        /// Which byte of the expression it is about, where that can be told.
        at: Option<usize>,
    },
    /// None of the alternatives of the class holds.
    NoAlternative {
        /// Name of the class.
        class: String,
    },
    /// Allocated claims hold it.
    InUse {
        /// By `namespace/name`, where that is known.
        holder: Option<String>,
    },
    /// Another request of the same attempt took it.
    TakenBeside {
        /// `namespace/name` of its claim.
        claim: String,
    },
    /// It has a taint that is not tolerated.
    Tainted(Taint),
    /// A counter of its pool has too little left.
    Counter {
        /// Name of the counter set.
        set: String,
        /// Name of the counter.
        counter: String,
        /// What the device takes.
        wanted: Quantity,
        /// What is left.
        left: Quantity,
    },
    /// Devices of other compatibility groups use its counter set.
    Group {
        /// Name of the counter set.
        set: String,
    },
    /// The share that is asked for does not fit.
    Share(Misfit),
    /// A constraint refuses it.
    Constraint(Refusal),
    /// It cannot be reached from the node.
    Node,
    /// It needs a feature that is off.
    Disabled {
        /// Name of the feature gate.
        gate: &'static str,
    },
}

/// Most looks at devices for an explanation.
const LOOKS_MAX: u64 = 200_000;

/// Most examples that are kept of a reason.
const EXAMPLES_MAX: usize = 3;

impl Allocator {
    /// Explains why [`Allocator::allocate`] has no allocation, or fails, for the same input.
    pub fn explain(&self, node: &Node, claims: &[Claim], usage: &Usage) -> Explanation {
        let mut explanation =
            Explanation { node: node.name.clone(), error: None, pools: Vec::new(), wants: Vec::new(), stuck: None };
        if let Err(error) = self.explain_into(&mut explanation, node, claims, usage) {
            explanation.error = Some(error);
        }
        explanation
    }

    fn explain_into(
        &self,
        explanation: &mut Explanation,
        node: &Node,
        claims: &[Claim],
        usage: &Usage,
    ) -> Result<(), Error> {
        let views = self.views(node)?;
        for view in &views {
            let reason = match &view.state {
                PoolState::Complete => continue,
                PoolState::Incomplete { seen, wanted } => format!("is being updated: {seen} of {wanted} slices"),
                PoolState::Invalid(reason) => format!("is invalid: {reason}"),
            };
            explanation.pools.push(UnusablePool { pool: view.key.to_string(), reason });
        }
        let mut attempt = Attempt::new(self.features(), node, views.clone(), usage);
        let plans = self.plan(&mut attempt, claims)?;
        for (claim, request, alternative) in positions(&plans) {
            let of = (claim, request, alternative);
            explanation.wants.extend(self.want(&mut attempt, &plans, of));
        }
        let no_share = &mut String::new;
        let mut search = Search::new(&mut attempt, &plans, no_share);
        let (result, furthest) = search.run_recording(LOOKS_MAX);
        if let Some(of) = furthest.of {
            let mut attempt = Attempt::new(self.features(), node, views, usage);
            let plans = self.plan(&mut attempt, claims)?;
            for (of, place) in furthest.taken {
                if let Some(want) = want_at(&plans, of) {
                    attempt.derive(want, of, place)?;
                    // It was taken in this order before, so that it can be again.
                    let _ = attempt.take(want, of, place);
                }
            }
            explanation.stuck = self.want(&mut attempt, &plans, of);
        }
        result.map(|_| ())
    }

    /// What stands in the way of a want, beside what the attempt has taken.
    fn want(&self, attempt: &mut Attempt<'_>, plans: &[ClaimPlan<'_>], of: Of) -> Option<WantExplanation> {
        let want = want_at(plans, of)?;
        let mut reasons: Vec<Reason> = Vec::new();
        let mut nearest: Option<NearMiss> = None;
        let (mut devices, mut fitting) = (0, 0);
        let mut at = Place::default();
        while let Some(place) = attempt.next_place(at) {
            at = Place { device: place.device + 1, ..place };
            devices += 1;
            let causes = self.causes(attempt, plans, want, of, place);
            let (Some(first), Some(offer)) = (causes.first(), attempt.offer(place)) else {
                fitting += 1;
                continue;
            };
            match reasons.iter_mut().find(|reason| reason.cause == *first) {
                Some(reason) => {
                    reason.count += 1;
                    if reason.examples.len() < EXAMPLES_MAX {
                        reason.examples.push(offer.id());
                    }
                }
                None => reasons.push(Reason { cause: first.clone(), count: 1, examples: vec![offer.id()] }),
            }
            let nearer =
                |miss: &NearMiss| (causes.len(), distance(first)) < (miss.causes.len(), distance(&miss.causes[0]));
            if nearest.as_ref().is_none_or(nearer) {
                nearest = Some(NearMiss { device: offer.id(), causes });
            }
        }
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        Some(WantExplanation {
            claim: claim_name(want.claim),
            request: want.name.full(),
            class: want.ask.class.clone(),
            wanted: match &want.ask.amount {
                Amount::All => Wanted::All,
                Amount::Total { provides, .. } => Wanted::Totals(provides.clone()),
                _ => Wanted::Exactly(want.fewest()),
            },
            denied: want.denied().map(str::to_owned),
            beside: beside(attempt, plans),
            devices,
            fitting,
            reasons,
            nearest,
        })
    }

    /// All that stands in the way of a device; what the selectors say first.
    fn causes(
        &self,
        attempt: &mut Attempt<'_>,
        plans: &[ClaimPlan<'_>],
        want: &Want<'_>,
        of: Of,
        place: Place,
    ) -> Vec<Cause> {
        let Some(offer) = attempt.offer(place) else { return vec![Cause::Node] };
        let mut causes = self.selector_causes(attempt, want, offer);
        if attempt.check_free(want, of.0, place, offer.device).is_err() {
            causes.push(held(attempt, plans, place, offer));
        }
        let obstacle = |attempt: &Attempt<'_>, obstacle, offer: Offer<'_>| cause(attempt, want, place, offer, obstacle);
        if let Err(found) = attempt.check_share(want, place, offer.device) {
            causes.extend(obstacle(attempt, found, offer));
        }
        if let Err(found) = attempt.check_kind(want, offer.device) {
            causes.extend(obstacle(attempt, found, offer));
        }
        if causes.is_empty() && attempt.derive(want, of, place).is_ok() {
            match attempt.take(want, of, place) {
                Ok(()) => attempt.give_back(want, of.0),
                Err(found) => {
                    if let Some(offer) = attempt.offer(place) {
                        causes.extend(obstacle(attempt, found, offer));
                    }
                }
            }
        }
        causes
    }

    fn selector_causes(&self, attempt: &Attempt<'_>, want: &Want<'_>, offer: Offer<'_>) -> Vec<Cause> {
        for selector in &want.selectors {
            match offer.slice.matches(&selector.program, offer.index) {
                Ok(true) => {}
                Ok(false) => return self.false_clauses(want, selector, offer),
                Err(failure) => {
                    let (error, at) = match failure {
                        Failure::Compile(error) => (error, None),
                        Failure::Run(RunError { text, at }) => (text, at),
                    };
                    let expression = selector.program.selector.expression.clone().unwrap_or_default();
                    let (owner, index) = (want.owner_of(selector), selector.index);
                    return vec![Cause::SelectorError { owner, index, expression, error, at }];
                }
            }
        }
        match attempt.check_selected(want, offer) {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(Obstacle::BindingConditionsDisabled)) => {
                vec![Cause::Disabled { gate: "DRADeviceBindingConditions" }]
            }
            Ok(Err(Obstacle::NoGroup)) => {
                vec![Cause::NoAlternative { class: want.ask.class.clone().unwrap_or_default() }]
            }
            _ => vec![Cause::Node],
        }
    }

    /// The parts of a false selector that are false; the first alone where a later one fails without it.
    fn false_clauses(&self, want: &Want<'_>, selector: &Resolved, offer: Offer<'_>) -> Vec<Cause> {
        let source = &selector.program.selector;
        let expression = source.expression.as_deref().unwrap_or_default();
        let environment: Environment = source.environment;
        let driver = &offer.slice.slice.driver;
        let cause = |clause: &str| Cause::Selector {
            owner: want.owner_of(selector),
            index: selector.index,
            clause: clause.to_owned(),
            facts: clause::facts(clause, environment, driver, offer.device),
        };
        let mut causes = Vec::new();
        for part in clause::clauses(expression) {
            match self.evaluate(part, environment, driver, offer) {
                Ok(false) => causes.push(cause(part)),
                Ok(true) => {}
                Err(()) => break,
            }
        }
        if causes.is_empty() { vec![cause(expression)] } else { causes }
    }

    fn evaluate(&self, clause: &str, environment: Environment, driver: &str, offer: Offer<'_>) -> Result<bool, ()> {
        let selector = api::hub::Selector { expression: Some(clause.to_owned()), environment };
        crate::plan::Catalog::program(self, &selector).run(driver, offer.device).map_err(|_| ())
    }
}

/// The positions of all wants.
fn positions(plans: &[ClaimPlan<'_>]) -> Vec<Of> {
    let mut all = Vec::new();
    for (claim, plan) in plans.iter().enumerate() {
        for (request, plan) in plan.requests.iter().enumerate() {
            all.extend((0..plan.wants.len()).map(|alternative| (claim, request, alternative)));
        }
    }
    all
}

fn want_at<'p, 'a>(plans: &'p [ClaimPlan<'a>], of: Of) -> Option<&'p Want<'a>> {
    plans.get(of.0)?.requests.get(of.1)?.wants.get(of.2)
}

fn beside(attempt: &Attempt<'_>, plans: &[ClaimPlan<'_>]) -> Vec<(String, DeviceId)> {
    let named =
        |taken: &crate::attempt::Taken| Some((want_at(plans, taken.of)?.name.full(), attempt.offer(taken.place)?.id()));
    attempt.taken.iter().flatten().filter_map(named).collect()
}

/// Who holds a device that is not free.
fn held(attempt: &Attempt<'_>, plans: &[ClaimPlan<'_>], place: Place, offer: Offer<'_>) -> Cause {
    let taker = attempt.taken.iter().flatten().find(|taken| taken.place == place);
    match attempt.in_use(place, offer.device).filter(|usage| !usage.exclusive.is_empty()) {
        Some(usage) => Cause::InUse { holder: usage.holders().next().map(str::to_owned) },
        None => {
            let claim = taker.and_then(|taken| plans.get(taken.of.0)).map(|plan| claim_name(plan.claim));
            Cause::TakenBeside { claim: claim.unwrap_or_default() }
        }
    }
}

fn cause(attempt: &Attempt<'_>, want: &Want<'_>, place: Place, offer: Offer<'_>, obstacle: Obstacle) -> Option<Cause> {
    Some(match obstacle {
        Obstacle::InUse => Cause::InUse { holder: None },
        Obstacle::TakenHere => Cause::TakenBeside { claim: claim_name(want.claim) },
        Obstacle::BindingConditionsDisabled => Cause::Disabled { gate: "DRADeviceBindingConditions" },
        Obstacle::CountersDisabled if attempt.features.partitionable_devices => {
            Cause::Disabled { gate: "DRADeviceCompatibilityGroups" }
        }
        Obstacle::CountersDisabled => Cause::Disabled { gate: "DRAPartitionableDevices" },
        Obstacle::NoGroup => Cause::NoAlternative { class: want.ask.class.clone().unwrap_or_default() },
        Obstacle::Node => Cause::Node,
        Obstacle::Share(misfit) => Cause::Share(*misfit),
        Obstacle::Taint(position) => Cause::Tainted(offer.device.taints.get(position)?.clone()),
        Obstacle::Constraint(_, refusal) => Cause::Constraint(refusal),
        Obstacle::Counters(shortage) => {
            let table = &attempt.views().nth(place.pool)?.counters;
            match shortage {
                Shortage::Group { set } => Cause::Group { set: table.sets.get(set)?.clone() },
                Shortage::Counter { position, wanted, left } => {
                    let counter = table.counters.get(position)?;
                    Cause::Counter {
                        set: table.sets.get(counter.set)?.clone(),
                        counter: counter.name.clone(),
                        wanted: nano::quantity(wanted, counter.format),
                        left: nano::quantity(left, counter.format),
                    }
                }
            }
        }
        Obstacle::Selector(position) => {
            let selector = want.selectors.get(position)?;
            let expression = selector.program.selector.expression.clone().unwrap_or_default();
            let (owner, index) = (want.owner_of(selector), selector.index);
            Cause::Selector { owner, index, clause: expression, facts: Vec::new() }
        }
    })
}

/// How far a device is from fitting; what a person can change soon is near.
fn distance(cause: &Cause) -> usize {
    match cause {
        Cause::TakenBeside { .. } => 0,
        Cause::InUse { .. } => 1,
        Cause::Share(Misfit::Exhausted { .. }) | Cause::Counter { .. } | Cause::Group { .. } => 2,
        Cause::Tainted(_) => 3,
        Cause::Constraint(_) => 4,
        Cause::Selector { .. } => 5,
        Cause::NoAlternative { .. } | Cause::Share(_) => 6,
        Cause::SelectorError { .. } | Cause::Disabled { .. } | Cause::Node => 7,
    }
}
