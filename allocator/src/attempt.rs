//! The state of one attempt: what the node offers, and what was taken so far.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use api::hub::{Attribute, CounterConsumption, Device, DeviceId, Environment, Node};

use crate::{
    constraint::{Checker, Refusal, Subject},
    counter::{Consumption, Ledger, Shortage},
    dialect::RunError,
    error::Error,
    features::{Features, Release},
    nano::{Nano, nano},
    plan::{Number, Resolved, Want, claim_name},
    pool::{PoolState, View},
    search::Of,
    selector::Failure,
    share::{self, Arithmetic, Misfit},
    slice::IndexedSlice,
    taint,
    usage::{DeviceUsage, PoolUsage, Usage},
};

/// What follows an error about an attribute that a device lacks, since 1.37.
const MISSING_KEY_HINT: &str = ". consider using CEL optional chaining (.? followed by orValue()) or guarding the \
                                check with has() for optional fields";

/// A device that the node offers: position of its pool, position in the pool. Ordered as devices are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) pool: usize,
    pub(crate) device: usize,
}

/// What is known of a device at a place.
#[derive(Clone, Copy)]
pub(crate) struct Offer<'a> {
    pub(crate) slice: &'a Arc<IndexedSlice>,
    /// Position in the slice.
    pub(crate) index: usize,
    pub(crate) device: &'a Device,
}

impl Offer<'_> {
    pub(crate) fn id(&self) -> DeviceId {
        self.slice.id_of(self.device)
    }
}

/// A pool that the node sees.
struct Offered<'a> {
    view: Arc<View>,
    usage: Option<&'a PoolUsage>,
    /// What is left of its counters; made when the first device that takes from them is looked at.
    ledger: Option<Ledger>,
}

/// What this attempt took of one device.
#[derive(Default)]
struct Hold {
    /// Claims that took all of it.
    claims: Vec<usize>,
    /// Number of shares that were taken.
    shares: usize,
    /// What the shares consume, by capacity name.
    capacity: BTreeMap<String, Nano>,
}

/// A device that was taken for a want of a claim.
pub(crate) struct Taken {
    pub(crate) place: Place,
    /// Position of the claim, of the request in it, of the alternative in that.
    pub(crate) of: Of,
    /// A share was taken, which consumes this.
    pub(crate) share: Option<share::Asked>,
    took_counters: bool,
}

/// Why a device cannot be taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Obstacle {
    /// An allocated claim holds it.
    InUse,
    /// A claim of this attempt took it.
    TakenHere,
    /// It has binding conditions, while the feature is off.
    BindingConditionsDisabled,
    /// The selector at this position of the want is false, or fails in an environment where that means no match.
    Selector(usize),
    /// None of the groups of selectors of its class holds.
    NoGroup,
    /// It cannot be reached from the node.
    Node,
    /// A share of it does not fit.
    Share(Box<Misfit>),
    /// It takes from counters, while the feature is off.
    CountersDisabled,
    /// The counters of the pool do not suffice.
    Counters(Shortage),
    /// It has the taint at this position, which is not tolerated.
    Taint(usize),
    /// The constraint at this position refuses it.
    Constraint(usize, Refusal),
}

/// The state of one attempt.
pub(crate) struct Attempt<'a> {
    pub(crate) features: &'a Features,
    pub(crate) node: &'a Node,
    pools: Vec<Offered<'a>>,
    holds: HashMap<Place, Hold>,
    /// Attributes that were computed, by want and device.
    derived: HashMap<(Of, Place), BTreeMap<String, Attribute>>,
    /// By claim.
    pub(crate) checkers: Vec<Vec<Checker<'a>>>,
    /// By claim, in the order in which they were taken.
    pub(crate) taken: Vec<Vec<Taken>>,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(features: &'a Features, node: &'a Node, views: Vec<Arc<View>>, usage: &'a Usage) -> Self {
        let offered = |view: Arc<View>| Offered { usage: usage.of_pool(&view.key), view, ledger: None };
        Self {
            features,
            node,
            pools: views.into_iter().map(offered).collect(),
            holds: HashMap::new(),
            derived: HashMap::new(),
            checkers: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// The pools, in the order in which they are searched.
    pub(crate) fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        self.pools.iter().map(|offered| &offered.view)
    }

    /// The device at a place.
    pub(crate) fn offer(&self, place: Place) -> Option<Offer<'_>> {
        let (slice, index, device) = self.pools.get(place.pool)?.view.at(place.device)?;
        Some(Offer { slice, index, device })
    }

    /// The place of the first device at `from` or behind, in a pool that may be used.
    pub(crate) fn next_place(&self, from: Place) -> Option<Place> {
        let first = self.pools.get(from.pool)?;
        if first.view.state == PoolState::Complete && from.device < first.view.devices.len() {
            return Some(from);
        }
        let usable =
            |offered: &Offered<'_>| offered.view.state == PoolState::Complete && !offered.view.devices.is_empty();
        let behind = self.pools.iter().skip(from.pool + 1).position(usable)?;
        Some(Place { pool: from.pool + 1 + behind, device: 0 })
    }

    pub(crate) fn in_use(&self, place: Place, device: &Device) -> Option<&'a DeviceUsage> {
        self.pools.get(place.pool)?.usage?.get(&device.name)
    }

    /// True when several claims may take shares of the device.
    fn shareable(&self, device: &Device) -> bool {
        self.features.consumable_capacity && device.allow_multiple_allocations
    }

    /// Whether several requests can have shares of the device at a place.
    pub(crate) fn has_shares(&self, place: Place) -> bool {
        self.offer(place).is_some_and(|offer| self.shareable(offer.device))
    }

    /// Whether the device is free for a claim of this attempt.
    pub(crate) fn check_free(
        &self,
        want: &Want<'_>,
        claim: usize,
        place: Place,
        device: &Device,
    ) -> Result<(), Obstacle> {
        let hold = self.holds.get(&place);
        if want.admin_access() {
            let own = hold.is_some_and(|hold| hold.claims.contains(&claim));
            return if own { Err(Obstacle::TakenHere) } else { Ok(()) };
        }
        if self.in_use(place, device).is_some_and(|usage| !usage.exclusive.is_empty()) {
            return Err(Obstacle::InUse);
        }
        if hold.is_some_and(|hold| !hold.claims.is_empty()) {
            return Err(Obstacle::TakenHere);
        }
        Ok(())
    }

    /// Whether the device is one that the want selects, in use or not.
    pub(crate) fn check_selected(&self, want: &Want<'_>, offer: Offer<'_>) -> Result<Result<(), Obstacle>, Error> {
        let conditions = offer.device.binding_conditions.as_ref();
        if !self.features.binding_conditions && conditions.is_some_and(|conditions| !conditions.is_empty()) {
            return Ok(Err(Obstacle::BindingConditionsDisabled));
        }
        for (position, selector) in want.selectors.iter().enumerate() {
            if !self.selects(want, selector, offer)? {
                return Ok(Err(Obstacle::Selector(position)));
            }
        }
        if !want.any_of.is_empty() && self.member_that_selects(want, offer)?.is_none() {
            return Ok(Err(Obstacle::NoGroup));
        }
        let targets = offer.slice.device_targets(offer.index, self.node).map_err(Error::DeviceNodes)?;
        Ok(if targets { Ok(()) } else { Err(Obstacle::Node) })
    }

    /// The first class among those that the want's class gathers that selects the device.
    pub(crate) fn member_that_selects(&self, want: &Want<'_>, offer: Offer<'_>) -> Result<Option<usize>, Error> {
        'members: for (position, member) in want.any_of.iter().enumerate() {
            for selector in member {
                if !self.selects(want, selector, offer)? {
                    continue 'members;
                }
            }
            return Ok(Some(position));
        }
        Ok(None)
    }

    /// Computes the attributes that the want derives from a device that it selects, once.
    pub(crate) fn derive(&mut self, want: &Want<'_>, of: Of, place: Place) -> Result<(), Error> {
        if want.derived.is_empty() || self.derived.contains_key(&(of, place)) {
            return Ok(());
        }
        let Some(offer) = self.offer(place) else { return Ok(()) };
        let mut attributes = BTreeMap::new();
        for (name, derivation) in &want.derived {
            let error = |device, problem| Error::Selector {
                owner: format!("claim {}", claim_name(want.claim)),
                selector: format!("derived attribute {name}"),
                device,
                problem,
            };
            let derivation = match &**derivation {
                Ok(derivation) => derivation,
                Err(text) => return Err(error(None, format!("CEL compile error: {text}"))),
            };
            let value = derivation.value(&offer.slice.slice.driver, offer.device);
            let value =
                value.map_err(|text| error(Some(offer.id().to_string()), format!("CEL runtime error: {text}")))?;
            attributes.insert((*name).to_owned(), value);
        }
        self.derived.insert((of, place), attributes);
        Ok(())
    }

    /// The device as constraints see it for a want.
    pub(crate) fn subject<'o>(&'o self, of: Of, place: Place, offer: Offer<'o>) -> Subject<'o> {
        let derived = self.derived.get(&(of, place));
        Subject { driver: &offer.slice.slice.driver, device: offer.device, derived }
    }

    fn selects(&self, want: &Want<'_>, selector: &Resolved, offer: Offer<'_>) -> Result<bool, Error> {
        let error = |device, problem| Error::Selector {
            owner: want.owner_of(selector),
            selector: format!("selector #{}", selector.index),
            device,
            problem,
        };
        match offer.slice.matches(&selector.program, offer.index) {
            Ok(matches) => Ok(matches),
            Err(Failure::Compile(text)) => Err(error(None, format!("CEL compile error: {text}"))),
            Err(Failure::Run(RunError { text, .. }))
                if selector.program.selector.environment == Environment::Device =>
            {
                if self.features.release < Release::V1_37 {
                    return Err(error(None, format!("CEL runtime error: {text}")));
                }
                let hint = if text.contains("no such key:") { MISSING_KEY_HINT } else { "" };
                Err(error(Some(offer.id().to_string()), format!("CEL runtime error: {text}{hint}")))
            }
            Err(Failure::Run(_)) => Ok(false),
        }
    }

    /// Whether a share as asked for is left of the device; any device has to have what is asked for.
    pub(crate) fn check_share(&self, want: &Want<'_>, place: Place, device: &Device) -> Result<(), Obstacle> {
        self.check_share_beside(want, place, device, self.holds.get(&place))
    }

    fn check_share_beside(
        &self,
        want: &Want<'_>,
        place: Place,
        device: &Device,
        hold: Option<&Hold>,
    ) -> Result<(), Obstacle> {
        if !self.features.consumable_capacity {
            return Ok(());
        }
        let usage = self.in_use(place, device);
        let consumed = |name: &str| {
            let before = usage.map(|usage| usage.consumed(name)).unwrap_or_default();
            let here = hold.and_then(|hold| hold.capacity.get(name)).copied().unwrap_or_default();
            before.saturating_add(here)
        };
        share::fits(&want.ask.capacity, &device.capacity, consumed, Arithmetic::of(self.features))
            .map_err(Obstacle::Share)
    }

    /// Whether the device is one that the features and tolerations allow.
    pub(crate) fn check_kind(&self, want: &Want<'_>, device: &Device) -> Result<(), Obstacle> {
        let grouped = |consumption: &CounterConsumption| !consumption.compatibility_groups.is_empty();
        if !device.consumes.is_empty()
            && (!self.features.partitionable_devices
                || (!self.features.compatibility_groups && device.consumes.iter().any(grouped)))
        {
            return Err(Obstacle::CountersDisabled);
        }
        if self.features.device_taints
            && let Some(blocking) = taint::blocking_taint(&device.taints, &want.ask.tolerations)
        {
            let position = device.taints.iter().position(|taint| std::ptr::eq(taint, blocking));
            return Err(Obstacle::Taint(position.unwrap_or_default()));
        }
        Ok(())
    }

    /// False when the device cannot be taken now, nor after others were taken for the same want.
    pub(crate) fn could_take(&self, want: &Want<'_>, of: Of, place: Place) -> bool {
        let Some(offer) = self.offer(place) else { return false };
        let subject = self.subject(of, place, offer);
        self.check_share(want, place, offer.device).is_ok()
            && self.check_kind(want, offer.device).is_ok()
            && self.checkers.get(of.0).into_iter().flatten().all(|checker| checker.could_add(want.name, subject))
    }

    /// False when the selected device cannot be taken for the want, whatever else is taken.
    pub(crate) fn could_ever_take(&self, want: &Want<'_>, of: Of, place: Place) -> bool {
        let Some(offer) = self.offer(place) else { return false };
        let device = offer.device;
        let held = self.in_use(place, device).is_some_and(|usage| !usage.exclusive.is_empty());
        let subject = self.subject(of, place, offer);
        (want.admin_access() || !held)
            && self.check_share_beside(want, place, device, None).is_ok()
            && self.check_kind(want, device).is_ok()
            && self.checkers.get(of.0).into_iter().flatten().all(|checker| checker.could_ever_add(want.name, subject))
    }

    /// True when something of the device is taken by this attempt.
    pub(crate) fn touches(&self, place: Place) -> bool {
        self.holds.get(&place).is_some_and(|hold| !hold.claims.is_empty() || hold.shares > 0)
    }

    /// True when two devices of the pool of a place are in use in the same way.
    pub(crate) fn same_usage(&self, place: Place, a: &Device, b: &Device) -> bool {
        match (self.in_use(place, a), self.in_use(place, b)) {
            (None, None) => true,
            (Some(a), Some(b)) => a.is_like(b),
            _ => false,
        }
    }

    /// What the device would take from the counters of its pool; `None` for nothing.
    pub(crate) fn consumption(&self, place: Place) -> Option<&Consumption> {
        let device = self.offer(place)?.device;
        if !self.features.partitionable_devices || device.consumes.is_empty() || self.is_shared(place, device) {
            return None;
        }
        self.pools.get(place.pool)?.view.counters.by_device.get(&device.name)
    }

    /// What is left of a counter, once something was taken from those of the pool.
    pub(crate) fn counter_left(&self, pool: usize, position: usize) -> Option<Nano> {
        self.pools.get(pool)?.ledger.as_ref()?.left(position)
    }

    /// True when there are shares of the device, here or before.
    fn is_shared(&self, place: Place, device: &Device) -> bool {
        self.shareable(device)
            && (self.in_use(place, device).is_some_and(DeviceUsage::is_shared)
                || self.holds.get(&place).is_some_and(|hold| hold.shares > 0))
    }

    /// Takes a selected device, if nothing stands in the way. `of` is the position of the want.
    pub(crate) fn take(&mut self, want: &Want<'_>, of: Of, place: Place) -> Result<(), Obstacle> {
        let Some(offered) = self.pools.get(place.pool) else { return Err(Obstacle::Node) };
        let view = offered.view.clone();
        let Some((slice, _, device)) = view.at(place.device) else { return Err(Obstacle::Node) };
        self.check_free(want, of.0, place, device)?;
        // What all devices have left is looked at last: a constraint that refuses one of them is an error before.
        let of_all = matches!(want.number, Number::All(_));
        if !of_all {
            self.check_share(want, place, device)?;
        }
        self.check_kind(want, device)?;
        let took_counters = self.take_counters(place, &view, device)?;
        let subject = Subject { driver: &slice.slice.driver, device, derived: self.derived.get(&(of, place)) };
        let checkers = self.checkers.get_mut(of.0).map(Vec::as_mut_slice).unwrap_or_default();
        if let Err(obstacle) = add_to_constraints(checkers, want, subject) {
            self.give_back_counters(place, &view, device, took_counters);
            return Err(obstacle);
        }
        if of_all && let Err(obstacle) = self.check_share(want, place, device) {
            for checker in self.checkers.get_mut(of.0).into_iter().flatten() {
                checker.remove(want.name);
            }
            self.give_back_counters(place, &view, device, took_counters);
            return Err(obstacle);
        }
        let hold = self.holds.entry(place).or_default();
        let share = if self.features.consumable_capacity && device.allow_multiple_allocations {
            let consumed = share::consumption(&want.ask.capacity, &device.capacity, Arithmetic::of(self.features));
            hold.shares += 1;
            for (name, amount) in &consumed {
                let total = hold.capacity.entry(name.clone()).or_default();
                *total = total.saturating_add(nano(amount));
            }
            Some(consumed)
        } else {
            hold.claims.push(of.0);
            None
        };
        if let Some(taken) = self.taken.get_mut(of.0) {
            taken.push(Taken { place, of, share, took_counters });
        }
        Ok(())
    }

    /// Takes from the counters of the pool what the device needs; once for a device with shares. False when nothing
    /// was needed.
    fn take_counters(&mut self, place: Place, view: &View, device: &Device) -> Result<bool, Obstacle> {
        if !self.features.partitionable_devices || device.consumes.is_empty() {
            return Ok(false);
        }
        if self.is_shared(place, device) {
            return Ok(false);
        }
        let grouped = self.features.compatibility_groups;
        let Some(offered) = self.pools.get_mut(place.pool) else { return Ok(false) };
        let Some(consumption) = view.counters.by_device.get(&device.name) else { return Ok(false) };
        let usage = offered.usage;
        let ledger = offered.ledger.get_or_insert_with(|| {
            Ledger::new(&view.counters, usage.into_iter().flat_map(|usage| usage.keys().map(String::as_str)))
        });
        ledger.take(consumption, grouped).map(|()| true).map_err(Obstacle::Counters)
    }

    fn give_back_counters(&mut self, place: Place, view: &View, device: &Device, took: bool) {
        let ledger = self.pools.get_mut(place.pool).and_then(|offered| offered.ledger.as_mut());
        if took && let (Some(ledger), Some(consumption)) = (ledger, view.counters.by_device.get(&device.name)) {
            ledger.give_back(consumption);
        }
    }

    /// Gives back the device that was taken last for a claim.
    pub(crate) fn give_back(&mut self, want: &Want<'_>, claim: usize) {
        let Some(taken) = self.taken.get_mut(claim).and_then(Vec::pop) else { return };
        for checker in self.checkers.get_mut(claim).into_iter().flatten() {
            checker.remove(want.name);
        }
        if let Some(hold) = self.holds.get_mut(&taken.place) {
            match &taken.share {
                None => {
                    hold.claims.pop();
                }
                Some(consumed) => {
                    hold.shares = hold.shares.saturating_sub(1);
                    for (name, amount) in consumed {
                        if let Some(total) = hold.capacity.get_mut(name) {
                            *total = total.saturating_sub(nano(amount));
                        }
                    }
                }
            }
        }
        if let Some(view) = self.pools.get(taken.place.pool).map(|offered| offered.view.clone())
            && let Some((_, _, device)) = view.at(taken.place.device)
        {
            self.give_back_counters(taken.place, &view, device, taken.took_counters);
        }
    }
}

/// Adds a device to all constraints, or to none.
fn add_to_constraints(checkers: &mut [Checker<'_>], want: &Want<'_>, subject: Subject<'_>) -> Result<(), Obstacle> {
    for position in 0..checkers.len() {
        if let Err(refusal) = checkers[position].add(want.name, subject) {
            for checker in &mut checkers[..position] {
                checker.remove(want.name);
            }
            return Err(Obstacle::Constraint(position, refusal));
        }
    }
    Ok(())
}
