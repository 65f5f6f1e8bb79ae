//! Why a device cannot be taken for a request.

use api::hub::{Device, Taint};
use machinery::quantity::Quantity;

use crate::{
    attempt::{Attempt, Obstacle, Offer, Place},
    clause::Fact,
    constraint::Refusal,
    counter::Shortage,
    nano,
    plan::{ClaimPlan, Want, claim_name, want_at},
    share::{self, Misfit},
};

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
        /// What the device has, where the expression names something that it lacks.
        known: Vec<String>,
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
    /// Another request of the same attempt took it, or the same request.
    TakenBeside {
        /// `namespace/name` of its claim.
        claim: String,
        /// `request` or `request/alternative`.
        request: String,
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
    Share {
        /// Why.
        misfit: Misfit,
        /// What could be asked for instead: capacities of the device, or what a policy allows.
        instead: String,
    },
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

/// Who holds a device that is not free.
pub(crate) fn held(attempt: &Attempt<'_>, plans: &[ClaimPlan<'_>], place: Place, offer: Offer<'_>) -> Cause {
    let taker = attempt.taken.iter().flatten().find(|taken| taken.place == place);
    match attempt.in_use(place, offer.device).filter(|usage| !usage.exclusive.is_empty()) {
        Some(usage) => Cause::InUse { holder: usage.holders().next().map(str::to_owned) },
        None => {
            let taker = taker.and_then(|taken| want_at(plans, taken.of));
            let claim = taker.map(|want| claim_name(want.claim)).unwrap_or_default();
            Cause::TakenBeside { claim, request: taker.map(|want| want.name.full()).unwrap_or_default() }
        }
    }
}

/// The cause that an obstacle is, for a want and the device at a place.
pub(crate) fn of(
    attempt: &Attempt<'_>,
    want: &Want<'_>,
    place: Place,
    offer: Offer<'_>,
    obstacle: Obstacle,
) -> Option<Cause> {
    Some(match obstacle {
        Obstacle::InUse => Cause::InUse { holder: None },
        Obstacle::TakenHere => Cause::TakenBeside { claim: claim_name(want.claim), request: want.name.full() },
        Obstacle::BindingConditionsDisabled => Cause::Disabled { gate: "DRADeviceBindingConditions" },
        Obstacle::CountersDisabled if attempt.features.partitionable_devices => {
            Cause::Disabled { gate: "DRADeviceCompatibilityGroups" }
        }
        Obstacle::CountersDisabled => Cause::Disabled { gate: "DRAPartitionableDevices" },
        Obstacle::NoGroup => Cause::NoAlternative { class: want.ask.class.clone().unwrap_or_default() },
        Obstacle::Node => Cause::Node,
        Obstacle::Share(misfit) => {
            let instead = match &*misfit {
                Misfit::Undefined { .. } => offer.device.capacity.keys().cloned().collect::<Vec<_>>().join(", "),
                Misfit::Policy { capacity, .. } => {
                    let policy = offer.device.capacity.get(capacity).and_then(|capacity| capacity.policy.as_deref());
                    policy.map(share::allowed).unwrap_or_default()
                }
                Misfit::Exhausted { .. } => String::new(),
            };
            Cause::Share { misfit: *misfit, instead }
        }
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

impl Cause {
    /// How far the device is from fitting the want; what a person can change soon is near.
    pub(crate) fn distance(&self, want: &Want<'_>) -> usize {
        match self {
            // That it is there is known; what is missing is another one.
            Self::TakenBeside { claim, request } => {
                let own = *request == want.name.full() && *claim == claim_name(want.claim);
                if own { 9 } else { 0 }
            }
            Self::InUse { .. } => 1,
            Self::Share { misfit: Misfit::Exhausted { .. }, .. } | Self::Counter { .. } | Self::Group { .. } => 2,
            Self::Tainted(_) => 3,
            Self::Constraint(_) => 4,
            Self::Selector { .. } | Self::Share { .. } => 5,
            Self::NoAlternative { .. } => 6,
            Self::SelectorError { .. } | Self::Disabled { .. } | Self::Node => 7,
        }
    }

    /// True when the class does not mean the device.
    pub(crate) fn is_of_class(&self) -> bool {
        match self {
            Self::Selector { owner, .. } => owner.starts_with("class "),
            Self::NoAlternative { .. } => true,
            _ => false,
        }
    }

    /// True when the want does not mean the device at all.
    pub(crate) fn is_choice(&self) -> bool {
        matches!(self, Self::Selector { .. } | Self::NoAlternative { .. } | Self::Node | Self::Disabled { .. })
    }
}

/// What a device has, for people whose selector names something else.
pub(crate) fn known(device: &Device) -> Vec<String> {
    device.attributes.keys().chain(device.capacity.keys()).cloned().collect()
}
