//! Why a node cannot satisfy claims, as data. Computed on demand, after a failure.

use std::collections::{BTreeMap, BTreeSet};

use api::hub::{Amount, Claim, DeviceId, Environment, Node};
use machinery::quantity::{Format, Quantity};

use crate::{
    attempt::{Attempt, Obstacle, Offer, Place},
    cause::{self, Cause},
    clause,
    dialect::RunError,
    division::{self, Division, Fitting},
    error::Error,
    index::Allocator,
    plan::{ClaimPlan, Resolved, Want, claim_name, want_at},
    pool::PoolState,
    search::{Of, Search},
    selector::Failure,
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
    /// All requests together want more devices than fit any of them: so many, and so many.
    pub too_few: Option<(i64, usize)>,
    /// Constraints that no devices meet which fit otherwise.
    pub divisions: Vec<Division>,
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
    Totals {
        /// The totals.
        wanted: BTreeMap<String, Quantity>,
        /// What all devices that fit provide of them.
        provided: BTreeMap<String, Quantity>,
    },
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

/// Most looks at devices for an explanation.
const LOOKS_MAX: u64 = 200_000;

/// Most examples that are kept of a reason.
const EXAMPLES_MAX: usize = 3;

impl Allocator {
    /// Explains why [`Allocator::allocate`] has no allocation, or fails, for the same input.
    pub fn explain(&self, node: &Node, claims: &[Claim], usage: &Usage) -> Explanation {
        let mut explanation = Explanation {
            node: node.name.clone(),
            error: None,
            pools: Vec::new(),
            wants: Vec::new(),
            too_few: None,
            divisions: Vec::new(),
            stuck: None,
        };
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
        let mut fitting = Fitting::default();
        for of in positions(&plans) {
            let (want, places) = self.want(&mut attempt, &plans, of);
            explanation.wants.push(want);
            fitting.insert(of, places);
        }
        explanation.too_few = too_few(&attempt, &plans, &fitting);
        explanation.divisions = division::all(&attempt, &plans, &fitting);
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
            explanation.stuck = Some(self.want(&mut attempt, &plans, of).0);
        }
        result.map(|_| ())
    }

    /// What stands in the way of a want, beside what the attempt has taken; and where the devices are that fit.
    fn want(&self, attempt: &mut Attempt<'_>, plans: &[ClaimPlan<'_>], of: Of) -> (WantExplanation, Vec<Place>) {
        let want = &plans[of.0].requests[of.1].wants[of.2];
        let mut reasons: Vec<Reason> = Vec::new();
        let mut nearest: Option<(usize, NearMiss)> = None;
        let mut devices = 0;
        let mut fitting = Vec::new();
        let mut at = Place::default();
        while let Some(place) = attempt.next_place(at) {
            at = Place { device: place.device + 1, ..place };
            devices += 1;
            let causes = self.causes(attempt, plans, want, of, place);
            let (Some(first), Some(offer)) = (causes.first(), attempt.offer(place)) else {
                fitting.push(place);
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
            let of_class = causes.iter().any(Cause::is_of_class);
            let far = usize::from(of_class) * 1000 + causes.len() * 10 + first.distance(want);
            if nearest.as_ref().is_none_or(|(known, _)| far < *known) {
                nearest = Some((far, NearMiss { device: offer.id(), causes }));
            }
        }
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        let explanation = WantExplanation {
            claim: claim_name(want.claim),
            request: want.name.full(),
            class: want.ask.class.clone(),
            wanted: match &want.ask.amount {
                Amount::All => Wanted::All,
                Amount::Total { provides, .. } => {
                    let provided = provides.keys().map(|name| (name.clone(), provided(attempt, &fitting, name)));
                    Wanted::Totals { wanted: provides.clone(), provided: provided.collect() }
                }
                _ => Wanted::Exactly(want.fewest()),
            },
            denied: want.denied().map(str::to_owned),
            beside: beside(attempt, plans),
            devices,
            fitting: fitting.len(),
            reasons,
            nearest: nearest.map(|(_, miss)| miss),
        };
        (explanation, fitting)
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
            causes.push(cause::held(attempt, plans, place, offer));
        }
        let obstacle =
            |attempt: &Attempt<'_>, obstacle, offer: Offer<'_>| cause::of(attempt, want, place, offer, obstacle);
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
                    let lacks = error.starts_with("no such key");
                    let known = if lacks { cause::known(offer.device) } else { Vec::new() };
                    return vec![Cause::SelectorError { owner, index, expression, error, at, known }];
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

/// Whether the requests want more devices together than there are for them, each device being for one request only.
fn too_few(attempt: &Attempt<'_>, plans: &[ClaimPlan<'_>], fitting: &Fitting) -> Option<(i64, usize)> {
    let mut wanted: i64 = 0;
    for request in plans.iter().flat_map(|plan| &plan.requests) {
        match request.wants.as_slice() {
            [want] if !want.admin_access() => wanted = wanted.saturating_add(want.fewest()),
            _ => return None,
        }
    }
    let places: BTreeSet<Place> = fitting.values().flatten().copied().collect();
    let few = i64::try_from(places.len()).is_ok_and(|few| few < wanted);
    (few && !places.iter().any(|place| attempt.has_shares(*place))).then_some((wanted, places.len()))
}

/// What the devices at these places provide of a resource together.
fn provided(attempt: &Attempt<'_>, places: &[Place], name: &str) -> Quantity {
    let of = |place: &Place| attempt.offer(*place)?.device.provides.get(name).cloned();
    places.iter().filter_map(of).reduce(|all, one| all.add(&one)).unwrap_or_else(|| Quantity::new(0, Format::DecimalSi))
}

fn beside(attempt: &Attempt<'_>, plans: &[ClaimPlan<'_>]) -> Vec<(String, DeviceId)> {
    let named =
        |taken: &crate::attempt::Taken| Some((want_at(plans, taken.of)?.name.full(), attempt.offer(taken.place)?.id()));
    attempt.taken.iter().flatten().filter_map(named).collect()
}
