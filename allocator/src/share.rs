//! Shares of devices that several claims use: what a share consumes, and whether it fits (KEP-5075).

use std::collections::BTreeMap;

use api::hub::{Capacity, CapacityRange, RequestPolicy};
use machinery::quantity::{Format, Quantity};

use crate::{
    features::{Features, Release},
    nano::{self, Nano, nano},
};

/// What is asked for, by capacity name.
pub(crate) type Asked = BTreeMap<String, Quantity>;

/// How policies compute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arithmetic {
    /// In thousandths, where all of a range can be said in them; else in whole numbers, to which fractions are rounded up.
    fractional: bool,
    /// What is rounded to a step is written as the step is; before 1.37 always with binary suffixes.
    written_as_step: bool,
}

impl Arithmetic {
    pub(crate) fn of(features: &Features) -> Self {
        Self { fractional: features.fractional_capacity_range, written_as_step: features.release >= Release::V1_37 }
    }

    /// The amounts with which it computes in a range.
    fn grain(self, range: &CapacityRange) -> impl Fn(&Quantity) -> Nano + use<> {
        let in_thousandths = |quantity: &Quantity| nano(quantity) % (nano::ONE / 1000) == 0;
        let bounds = [Some(&range.min), range.max.as_ref(), range.step.as_ref()];
        let fine = self.fractional && bounds.into_iter().flatten().all(in_thousandths);
        move |quantity| if fine { nano(quantity) } else { Nano::from(quantity.value()) * nano::ONE }
    }
}

/// Why a share does not fit.
#[derive(Clone, Debug, PartialEq)]
pub enum Misfit {
    /// The device has no capacity of this name.
    Undefined {
        /// Name of the capacity.
        capacity: String,
    },
    /// What would be consumed is no value that the policy allows.
    Policy {
        /// Name of the capacity.
        capacity: String,
        /// What would be consumed.
        wanted: Quantity,
    },
    /// Too little is left.
    Exhausted {
        /// Name of the capacity.
        capacity: String,
        /// What would be consumed.
        wanted: Quantity,
        /// What is left.
        left: Quantity,
    },
}

/// Whether a share fits beside what is `in_use`, by capacity name.
pub(crate) fn fits(
    asked: &Asked,
    capacities: &BTreeMap<String, Capacity>,
    in_use: impl Fn(&str) -> Nano,
    arithmetic: Arithmetic,
) -> Result<(), Box<Misfit>> {
    if let Some(name) = asked.keys().find(|name| !capacities.contains_key(*name)) {
        return Err(Box::new(Misfit::Undefined { capacity: name.clone() }));
    }
    for (name, capacity) in capacities {
        let wanted = consumed(asked.get(name), capacity, arithmetic);
        if capacity.policy.as_deref().is_some_and(|policy| !allows(policy, &wanted, arithmetic)) {
            return Err(Box::new(Misfit::Policy { capacity: name.clone(), wanted }));
        }
        let left = nano(&capacity.value).saturating_sub(in_use(name));
        if nano(&wanted) > left {
            let left = nano::quantity(left.max(0), capacity.value.format());
            return Err(Box::new(Misfit::Exhausted { capacity: name.clone(), wanted, left }));
        }
    }
    Ok(())
}

/// What a share takes of every capacity of its device.
pub(crate) fn consumption(asked: &Asked, capacities: &BTreeMap<String, Capacity>, arithmetic: Arithmetic) -> Asked {
    capacities.iter().map(|(name, capacity)| (name.clone(), consumed(asked.get(name), capacity, arithmetic))).collect()
}

/// What a share takes of one capacity: what is asked for, rounded up to what the policy allows; the default or
/// everything when nothing is asked for.
fn consumed(asked: Option<&Quantity>, capacity: &Capacity, arithmetic: Arithmetic) -> Quantity {
    let policy = capacity.policy.as_deref();
    let Some(asked) = asked else {
        return policy.and_then(|policy| policy.default.as_ref()).unwrap_or(&capacity.value).clone();
    };
    match policy {
        Some(RequestPolicy { valid_range: Some(range), .. }) => rounded_to_step(asked, range, arithmetic),
        Some(policy) => policy.valid_values.iter().find(|value| asked <= *value).unwrap_or(asked).clone(),
        None => asked.clone(),
    }
}

fn rounded_to_step(asked: &Quantity, range: &CapacityRange, arithmetic: Arithmetic) -> Quantity {
    if *asked < range.min {
        return range.min.clone();
    }
    let Some(step) = &range.step else { return asked.clone() };
    let amount = arithmetic.grain(range);
    let (min, size) = (amount(&range.min), amount(step));
    if size <= 0 {
        return asked.clone();
    }
    let steps = nano::ceil_div(amount(asked) - min, size);
    let format = if arithmetic.written_as_step { step.format() } else { Format::BinarySi };
    nano::quantity(min + steps * size, format)
}

/// True when the policy allows a share of this size. Its default is always allowed.
fn allows(policy: &RequestPolicy, wanted: &Quantity, arithmetic: Arithmetic) -> bool {
    if policy.default.as_ref() == Some(wanted) {
        return true;
    }
    if let Some(range) = &policy.valid_range {
        let in_steps = range.step.as_ref().is_none_or(|step| {
            let amount = arithmetic.grain(range);
            let size = amount(step);
            size <= 0 || (amount(wanted) - amount(&range.min)) % size == 0
        });
        return in_steps && range.max.as_ref().is_none_or(|max| wanted <= max);
    }
    policy.valid_values.is_empty() || policy.valid_values.contains(wanted)
}

/// What a policy allows, in words.
pub(crate) fn allowed(policy: &RequestPolicy) -> String {
    let Some(range) = &policy.valid_range else {
        return policy.valid_values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    };
    let max = range.max.as_ref().map(|max| format!(" to {max}")).unwrap_or_default();
    let step = range.step.as_ref().map(|step| format!(" in steps of {step}")).unwrap_or_default();
    let from = if max.is_empty() { "from " } else { "" };
    format!("{from}{}{max}{step}", range.min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(minor: u32) -> Arithmetic {
        Arithmetic::of(&Features::of_minor(minor))
    }

    fn q(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    fn range(min: &str, max: Option<&str>, step: Option<&str>) -> RequestPolicy {
        let range = CapacityRange { min: q(min), max: max.map(q), step: step.map(q) };
        RequestPolicy { default: Some(q(min)), valid_values: Vec::new(), valid_range: Some(range) }
    }

    #[test]
    fn requests_are_rounded_up_to_what_the_policy_allows() {
        let values =
            RequestPolicy { default: Some(q("2")), valid_values: vec![q("2"), q("3"), q("8")], valid_range: None };
        for (policy, asked, expected) in [
            (None, None, Ok("10")),
            (None, Some("3"), Ok("3")),
            (Some(range("2", Some("6"), Some("2"))), None, Ok("2")),
            (Some(range("2", Some("6"), Some("2"))), Some("1"), Ok("2")),
            (Some(range("2", Some("6"), Some("2"))), Some("3"), Ok("4")),
            (Some(range("2", Some("6"), Some("2"))), Some("4"), Ok("4")),
            (Some(range("2", Some("6"), Some("2"))), Some("7"), Err("8")),
            (Some(range("2", None, None)), Some("7"), Ok("7")),
            (Some(range("2", None, Some("0"))), Some("7"), Ok("7")),
            (Some(values.clone()), Some("4"), Ok("8")),
            (Some(values.clone()), Some("9"), Err("9")),
            (Some(values), None, Ok("2")),
        ] {
            let capacity = Capacity { value: q("10"), policy: policy.map(Box::new) };
            let capacities = [("memory".to_owned(), capacity)].into();
            let asked: Asked = asked.map(|text| ("memory".to_owned(), q(text))).into_iter().collect();
            let wanted = consumption(&asked, &capacities, of(36))["memory"].clone();
            match (fits(&asked, &capacities, |_| 0, of(36)), expected) {
                (Ok(()), Ok(expected)) => assert_eq!(wanted, q(expected)),
                (Err(misfit), Err(expected)) => {
                    assert_eq!(*misfit, Misfit::Policy { capacity: "memory".into(), wanted: q(expected) });
                }
                other => panic!("{other:?} for {asked:?} of {capacities:?}"),
            }
        }
    }

    #[test]
    fn fractions_are_kept_since_1_37() {
        let capacity = Capacity { value: q("10"), policy: Some(Box::new(range("500m", None, Some("250m")))) };
        let asked = q("600m");
        assert_eq!(consumed(Some(&asked), &capacity, of(37)), q("750m"));
        assert_eq!(consumed(Some(&asked), &capacity, of(36)), q("1"));
        let off = Features { fractional_capacity_range: false, ..Features::of_minor(37) };
        assert_eq!(consumed(Some(&asked), &capacity, Arithmetic::of(&off)), q("1"));
        // Not all of the range can be said in thousandths.
        let capacity = Capacity { policy: Some(Box::new(range("500m", Some("1500u"), Some("250m")))), ..capacity };
        assert_eq!(consumed(Some(&asked), &capacity, of(37)), q("1"));
    }

    #[test]
    fn what_is_in_use_counts() {
        let capacities = [("memory".to_owned(), Capacity { value: q("10Gi"), policy: None })].into();
        let asked: Asked = [("memory".to_owned(), q("4Gi"))].into();
        let used = |text: &str| nano(&q(text));
        assert_eq!(fits(&asked, &capacities, |_| used("6Gi"), of(36)), Ok(()));
        let expected = Misfit::Exhausted { capacity: "memory".into(), wanted: q("4Gi"), left: q("3Gi") };
        assert_eq!(fits(&asked, &capacities, |_| used("7Gi"), of(36)), Err(Box::new(expected)));
        let unknown: Asked = [("cores".to_owned(), q("1"))].into();
        let expected = Misfit::Undefined { capacity: "cores".into() };
        assert_eq!(fits(&unknown, &capacities, |_| 0, of(36)), Err(Box::new(expected)));
    }
}
