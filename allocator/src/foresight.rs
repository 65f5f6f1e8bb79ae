//! What can be known about a search as a whole, once it turns out to be long: that it is in vain, and which devices are
//! as good as each other.
//!
//! Knowing must not change the answer. Upstream's search meets the errors of selectors, and of constraints on all
//! devices, where it happens to look; so nothing is concluded when there are such errors anywhere.

use api::hub::{Attribute, ConstraintRule, Device};

use crate::{
    attempt::{Attempt, Place},
    constraint::Subject,
    counter::Consumption,
    nano::Nano,
    plan::{ClaimPlan, Number, Want},
    pool::PoolState,
    rivalry::{Rival, all_can_be_served},
    search::Of,
};

/// What a look at all devices and all wants shows.
pub(crate) enum Foresight {
    /// Nothing may be concluded.
    None,
    /// A request cannot be satisfied even alone, or not all of them can be.
    Hopeless,
    /// Devices can be compared.
    Comparable(Comparison),
}

/// Compares devices.
pub(crate) struct Comparison {
    /// By pool and device: which wants select it.
    selected: Vec<Vec<Vec<bool>>>,
    /// Attributes that constraints look at.
    attributes: Vec<String>,
}

impl Foresight {
    /// Looks at every device for every want.
    pub(crate) fn new(attempt: &Attempt<'_>, claims: &[ClaimPlan<'_>]) -> Self {
        let mut attributes = Vec::new();
        for plan in claims {
            let all = |want: &Want<'_>| matches!(want.number, Number::All(_));
            let derives = |want: &Want<'_>| !want.derived.is_empty();
            if !plan.claim.constraints.is_empty() && wants_of(plan).any(|want| all(want) || derives(want)) {
                return Self::None;
            }
            for constraint in &plan.claim.constraints {
                match &constraint.rule {
                    ConstraintRule::Match(attribute) => attributes.push(attribute.clone()),
                    _ => return Self::None,
                }
            }
        }
        let Some(selected) = selected(attempt, claims) else { return Self::None };
        let comparison = Comparison { selected, attributes };
        let hopeless = comparison.is_hopeless(attempt, claims) || comparison.is_short(attempt, claims);
        if hopeless { Self::Hopeless } else { Self::Comparable(comparison) }
    }
}

fn wants_of<'p, 'a>(plan: &'p ClaimPlan<'a>) -> impl Iterator<Item = &'p Want<'a>> {
    plan.requests.iter().flat_map(|request| &request.wants)
}

/// Which wants select which devices; `None` when a selector has an error.
fn selected(attempt: &Attempt<'_>, claims: &[ClaimPlan<'_>]) -> Option<Vec<Vec<Vec<bool>>>> {
    let wants: Vec<&Want<'_>> = claims.iter().flat_map(wants_of).collect();
    let mut pools = Vec::new();
    for (pool, view) in attempt.views().enumerate() {
        let mut devices = Vec::new();
        let usable = if view.state == PoolState::Complete { view.devices.len() } else { 0 };
        for device in 0..usable {
            let offer = attempt.offer(Place { pool, device })?;
            let mut bits = Vec::with_capacity(wants.len());
            for want in &wants {
                bits.push(attempt.check_selected(want, offer).ok()?.is_ok());
            }
            devices.push(bits);
        }
        pools.push(devices);
    }
    Some(pools)
}

impl Comparison {
    /// True when some request has no alternative for which the node has enough devices, with nothing else taken.
    fn is_hopeless(&self, attempt: &Attempt<'_>, claims: &[ClaimPlan<'_>]) -> bool {
        let mut number = 0;
        for (claim, plan) in claims.iter().enumerate() {
            for (request, plan) in plan.requests.iter().enumerate() {
                let mut hopeless = true;
                for (alternative, want) in plan.wants.iter().enumerate() {
                    let of = (claim, request, alternative);
                    hopeless &= want.denied().is_some() || !self.suffices(attempt, want, of, number);
                    number += 1;
                }
                if hopeless {
                    return true;
                }
            }
        }
        false
    }

    /// Whether there are enough devices for the want of this number.
    fn suffices(&self, attempt: &Attempt<'_>, want: &Want<'_>, of: Of, number: usize) -> bool {
        let takeable = |place: Place| attempt.could_ever_take(want, of, place);
        if let Number::All(places) = &want.number {
            return !places.is_empty() && places.iter().all(|place| takeable(*place));
        }
        let selected = self.places().filter(|(place, bits)| selects(want, number, *place, bits));
        let wanted = fewest(want);
        selected.filter(|(place, _)| takeable(*place)).take(wanted).count() >= wanted
    }

    /// True when there are fewer devices than all requests need together, whichever each of them takes.
    fn is_short(&self, attempt: &Attempt<'_>, claims: &[ClaimPlan<'_>]) -> bool {
        let places: Vec<(Place, &Vec<bool>)> = self.places().collect();
        let mut number = 0;
        let mut rivals = Vec::new();
        for (claim, plan) in claims.iter().enumerate() {
            for (request, plan) in plan.requests.iter().enumerate() {
                let mut needs = usize::MAX;
                let mut takes = vec![false; places.len()];
                for (alternative, want) in plan.wants.iter().enumerate() {
                    // Access for monitoring takes nothing away.
                    needs = if want.admin_access() { 0 } else { needs.min(fewest(want)) };
                    for (takes, (place, bits)) in takes.iter_mut().zip(&places) {
                        let of = (claim, request, alternative);
                        *takes |= selects(want, number, *place, bits) && attempt.could_ever_take(want, of, *place);
                    }
                    number += 1;
                }
                let candidates = (0..places.len()).filter(|place| takes[*place]);
                rivals.push(Rival { needs, candidates: candidates.collect() });
            }
        }
        let is_exclusive = |device: &usize| !attempt.has_shares(places[*device].0);
        rivals.retain(|rival| rival.needs > 0 && rival.candidates.iter().all(is_exclusive));
        !all_can_be_served(&rivals, places.len())
    }

    fn places(&self) -> impl Iterator<Item = (Place, &Vec<bool>)> {
        self.selected.iter().enumerate().flat_map(|(pool, devices)| {
            devices.iter().enumerate().map(move |(device, bits)| (Place { pool, device }, bits))
        })
    }

    /// True when nothing in this attempt can depend on which of two devices is taken. Both must be untouched by it.
    pub(crate) fn alike(&self, attempt: &Attempt<'_>, a: Place, b: Place) -> bool {
        let bits = |place: Place| self.selected.get(place.pool)?.get(place.device);
        if a.pool != b.pool || bits(a) != bits(b) || attempt.touches(a) || attempt.touches(b) {
            return false;
        }
        let (Some(first), Some(second)) = (attempt.offer(a), attempt.offer(b)) else { return false };
        let attributes = |device, driver| -> Vec<Option<&Attribute>> {
            let subject = Subject { driver, device, derived: None };
            self.attributes.iter().map(|name| subject.attribute(name)).collect()
        };
        same_shape(first.device, second.device)
            && attempt.same_usage(a, first.device, second.device)
            && attributes(first.device, &first.slice.slice.driver)
                == attributes(second.device, &second.slice.slice.driver)
    }
}

/// Whether the want of this number means the device.
fn selects(want: &Want<'_>, number: usize, place: Place, selected_by: &[bool]) -> bool {
    match &want.number {
        Number::All(places) => places.contains(&place),
        _ => selected_by.get(number).copied().unwrap_or_default(),
    }
}

fn fewest(want: &Want<'_>) -> usize {
    usize::try_from(want.fewest()).unwrap_or_default()
}

/// Equal in all that counts besides attributes and nodes.
fn same_shape(a: &Device, b: &Device) -> bool {
    a.capacity == b.capacity
        && a.consumes == b.consumes
        && a.taints == b.taints
        && a.allow_multiple_allocations == b.allow_multiple_allocations
        && a.provides == b.provides
}

/// How many more devices can be taken at most, given that each takes from counters; learned device by device.
#[derive(Default)]
pub(crate) struct Allowance {
    /// Devices without counters.
    free: usize,
    /// By pool and counter set.
    sets: Vec<((usize, usize), SetAllowance)>,
}

struct SetAllowance {
    devices: usize,
    /// What every device takes at least, by counter.
    least: Vec<(usize, Nano)>,
}

impl Allowance {
    /// Counts a device that takes this from the counters of its pool.
    pub(crate) fn count(&mut self, pool: usize, consumption: Option<&Consumption>) {
        let first = consumption.and_then(|consumption| Some((consumption, consumption.groups.first()?.0)));
        let Some((consumption, set)) = first else {
            self.free += 1;
            return;
        };
        match self.sets.iter_mut().find(|(key, _)| *key == (pool, set)) {
            None => {
                let allowance = SetAllowance { devices: 1, least: consumption.amounts.clone() };
                self.sets.push(((pool, set), allowance));
            }
            Some((_, allowance)) => {
                allowance.devices += 1;
                let amount = |position: usize| {
                    consumption.amounts.iter().filter(|(other, _)| *other == position).map(|(_, amount)| *amount).min()
                };
                allowance.least.retain_mut(|(position, least)| {
                    amount(*position).is_some_and(|amount| {
                        *least = amount.min(*least);
                        true
                    })
                });
            }
        }
    }

    /// How many of the counted devices can be taken at most; `left` is what a counter of a pool has left.
    pub(crate) fn total(&self, left: impl Fn(usize, usize) -> Option<Nano>) -> usize {
        let of_set = |((pool, _), allowance): &((usize, usize), SetAllowance)| {
            let bound = |(position, least): &(usize, Nano)| {
                let left = left(*pool, *position).filter(|_| *least > 0)?;
                usize::try_from(left.max(0) / least).ok()
            };
            allowance.least.iter().filter_map(bound).min().unwrap_or(usize::MAX).min(allowance.devices)
        };
        self.sets.iter().map(of_set).fold(self.free, usize::saturating_add)
    }
}
