//! What must hold among the devices of a claim, checked device by device.

use std::collections::{BTreeMap, HashMap};

use api::hub::{Attribute, Constraint, ConstraintRule, Device};
use machinery::quantity::Quantity;

use crate::error::Error;

/// A request, as constraints and configuration refer to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestName<'a> {
    pub(crate) request: &'a str,
    pub(crate) alternative: Option<&'a str>,
}

impl RequestName<'_> {
    /// `request` or `request/alternative`.
    pub(crate) fn full(&self) -> String {
        match self.alternative {
            Some(alternative) => format!("{}/{alternative}", self.request),
            None => self.request.to_owned(),
        }
    }

    /// True when a list of requests names this one, in full or by the request that it is an alternative of.
    pub(crate) fn is_in(&self, names: &[String]) -> bool {
        names.iter().any(|name| {
            *name == self.request
                || self.alternative.is_some_and(|alternative| {
                    name.strip_prefix(self.request).and_then(|rest| rest.strip_prefix('/')) == Some(alternative)
                })
        })
    }
}

/// A device, as constraints see it.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) driver: &'a str,
    pub(crate) device: &'a Device,
    /// Attributes that the request computed; they hide those of the device.
    pub(crate) derived: Option<&'a BTreeMap<String, Attribute>>,
}

impl<'a> Subject<'a> {
    /// The attribute under a name with a domain; attributes without one are in the domain of the driver.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        if let Some(attribute) = self.derived.and_then(|derived| derived.get(name)) {
            return Some(attribute);
        }
        self.device.attributes.get(name).or_else(|| {
            let (domain, id) = name.split_once('/')?;
            if domain == self.driver { self.device.attributes.get(id) } else { None }
        })
    }
}

/// One value, comparable with others of its type.
#[derive(Clone, Debug, PartialEq)]
enum Scalar {
    Int(i64),
    Bool(bool),
    String(String),
    Version(String),
    Quantity(Quantity),
}

/// The values of an attribute; `None` when there are none, or the type is not known, or lists are not wanted.
fn values(attribute: &Attribute, lists: bool) -> Option<Vec<Scalar>> {
    fn each<T: Clone>(values: &[T], scalar: fn(T) -> Scalar) -> Option<Vec<Scalar>> {
        (!values.is_empty()).then(|| values.iter().cloned().map(scalar).collect())
    }
    match attribute {
        Attribute::Int(value) => Some(vec![Scalar::Int(*value)]),
        Attribute::Bool(value) => Some(vec![Scalar::Bool(*value)]),
        Attribute::String(value) => Some(vec![Scalar::String(value.clone())]),
        Attribute::Version(value) => Some(vec![Scalar::Version(value.clone())]),
        Attribute::Quantity(value) => Some(vec![Scalar::Quantity(value.clone())]),
        _ if !lists => None,
        Attribute::Ints(values) => each(values, Scalar::Int),
        Attribute::Bools(values) => each(values, Scalar::Bool),
        Attribute::Strings(values) => each(values, Scalar::String),
        Attribute::Versions(values) => each(values, Scalar::Version),
        Attribute::Unknown => None,
    }
}

/// Why a constraint refuses a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The device lacks the attribute.
    AttributeMissing(String),
    /// The value differs from that of the devices chosen before.
    Mismatch(String),
    /// A device chosen before has the same value.
    NotDistinct(String),
}

/// The state of one constraint during an attempt.
pub(crate) struct Checker<'a> {
    requests: &'a [String],
    attribute: &'a str,
    lists: bool,
    rule: Rule,
}

enum Rule {
    /// What the devices taken so far have in common, after each of them; an empty list where the first had no values.
    Match(Vec<Vec<Scalar>>),
    /// The last device's values by name of the request, and how many devices there are. Upstream keeps one entry per
    /// request, whatever the number of its devices, and forgets it when the last of them is given back.
    Distinct { taken: usize, values: HashMap<String, Option<Vec<Scalar>>> },
}

impl<'a> Checker<'a> {
    /// The checkers of a claim.
    pub(crate) fn of_claim(claim: &str, constraints: &'a [Constraint], lists: bool) -> Result<Vec<Checker<'a>>, Error> {
        let checker = |(index, constraint): (usize, &'a Constraint)| {
            let (attribute, rule) = match &constraint.rule {
                ConstraintRule::Match(attribute) => (attribute, Rule::Match(Vec::new())),
                ConstraintRule::Distinct(attribute) => (attribute, Rule::Distinct { taken: 0, values: HashMap::new() }),
                ConstraintRule::Unknown => {
                    return Err(Error::EmptyConstraint { claim: claim.to_owned(), index });
                }
            };
            Ok(Checker { requests: &constraint.requests, attribute, lists, rule })
        };
        constraints.iter().enumerate().map(checker).collect()
    }

    /// True when the constraint is about devices of the request.
    pub(crate) fn concerns(&self, name: RequestName<'_>) -> bool {
        self.requests.is_empty() || name.is_in(self.requests)
    }

    /// Accepts a device for a request, and remembers it; or refuses it.
    pub(crate) fn add(&mut self, name: RequestName<'_>, subject: Subject<'_>) -> Result<(), Refusal> {
        if !self.concerns(name) {
            return Ok(());
        }
        let missing = || Refusal::AttributeMissing(self.attribute.to_owned());
        let attribute = subject.attribute(self.attribute).ok_or_else(missing)?;
        let new = values(attribute, self.lists);
        match &mut self.rule {
            Rule::Match(common) => {
                let mismatch = || Refusal::Mismatch(self.attribute.to_owned());
                let next = match common.last() {
                    None if new.is_none() && self.lists => return Err(mismatch()),
                    None => new.unwrap_or_default(),
                    Some(before) => {
                        let new = new.ok_or_else(mismatch)?;
                        before.iter().filter(|value| new.contains(value)).cloned().collect()
                    }
                };
                if next.is_empty() && !common.is_empty() {
                    return Err(mismatch());
                }
                common.push(next);
            }
            Rule::Distinct { taken, values } => {
                let disjoint = |old: &Option<Vec<Scalar>>| match (&new, old) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(new), Some(old)) => !old.iter().any(|value| new.contains(value)),
                };
                if *taken > 0 && !values.values().all(disjoint) {
                    return Err(Refusal::NotDistinct(self.attribute.to_owned()));
                }
                *taken += 1;
                values.insert(name.request.to_owned(), new);
            }
        }
        Ok(())
    }

    /// False when a device is refused whatever other devices there are.
    pub(crate) fn could_ever_add(&self, name: RequestName<'_>, subject: Subject<'_>) -> bool {
        !self.concerns(name) || subject.attribute(self.attribute).is_some()
    }

    /// False when a device is refused now, and would be after any others.
    pub(crate) fn could_add(&self, name: RequestName<'_>, subject: Subject<'_>) -> bool {
        if !self.concerns(name) {
            return true;
        }
        let Some(attribute) = subject.attribute(self.attribute) else { return false };
        match &self.rule {
            Rule::Match(common) => common.last().is_none_or(|before| {
                values(attribute, self.lists).is_some_and(|new| before.iter().any(|value| new.contains(value)))
            }),
            Rule::Distinct { .. } => true,
        }
    }

    /// Undoes the last [`Self::add`], which was for the same request.
    pub(crate) fn remove(&mut self, name: RequestName<'_>) {
        if !self.concerns(name) {
            return;
        }
        match &mut self.rule {
            Rule::Match(common) => {
                common.pop();
            }
            Rule::Distinct { taken, values } => {
                *taken = taken.saturating_sub(1);
                values.remove(name.request);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str) -> RequestName<'_> {
        match name.split_once('/') {
            Some((request, alternative)) => RequestName { request, alternative: Some(alternative) },
            None => RequestName { request: name, alternative: None },
        }
    }

    fn strings(values: &[&str]) -> Attribute {
        Attribute::Strings(values.iter().map(|value| (*value).to_owned()).collect())
    }

    /// Adds devices with these values, and tells which are accepted.
    fn accepted(rule: ConstraintRule, lists: bool, requests: &[&str], devices: &[(&str, Attribute)]) -> Vec<bool> {
        let requests = requests.iter().map(|name| (*name).to_owned()).collect();
        let constraints = [Constraint { requests, rule }];
        let mut checkers = Checker::of_claim("claim", &constraints, lists).unwrap();
        let add = |(name, attribute): &(&str, Attribute)| {
            let device = Device { attributes: [("a".to_owned(), attribute.clone())].into(), ..Device::default() };
            let subject = Subject { driver: "d", device: &device, derived: None };
            checkers[0].add(request(name), subject).is_ok()
        };
        devices.iter().map(add).collect()
    }

    #[test]
    fn match_compares_type_and_value() {
        let rule = || ConstraintRule::Match("d/a".into());
        let of = |lists, values: &[Attribute]| {
            let devices: Vec<_> = values.iter().map(|value| ("r", value.clone())).collect();
            accepted(rule(), lists, &[], &devices)
        };
        let string = |text: &str| Attribute::String(text.into());
        let version = |text: &str| Attribute::Version(text.into());
        assert_eq!(of(false, &[string("x"), string("x"), string("y")]), [true, true, false]);
        assert_eq!(of(false, &[string("1.0.0"), version("1.0.0")]), [true, false]);
        assert_eq!(of(false, &[strings(&["x"]), strings(&["x"])]), [true, false]);
        assert_eq!(of(true, &[strings(&["x", "y"]), strings(&["y", "z"]), string("y")]), [true, true, true]);
        assert_eq!(of(true, &[strings(&["x", "y"]), strings(&["y", "z"]), strings(&["z", "x"])]), [true, true, false]);
        assert_eq!(of(true, &[Attribute::Unknown]), [false]);
        assert_eq!(of(true, &[strings(&["1"]), Attribute::Ints(vec![1])]), [true, false]);
    }

    #[test]
    fn a_constraint_concerns_its_requests() {
        let rule = || ConstraintRule::Match("d/a".into());
        let devices = |names: [&'static str; 3]| names.map(|name| (name, Attribute::String(name.into())));
        assert_eq!(accepted(rule(), false, &["one"], &devices(["one", "two", "three"])), [true, true, true]);
        assert_eq!(accepted(rule(), false, &["one"], &devices(["one/a", "one/b", "two"])), [true, false, true]);
        assert_eq!(accepted(rule(), false, &["one/a"], &devices(["one/a", "one/b", "two/a"])), [true, true, true]);
    }

    #[test]
    fn distinct_remembers_one_device_per_request() {
        let rule = || ConstraintRule::Distinct("d/a".into());
        let of = |values: [&str; 3], names: [&'static str; 3]| {
            let devices: Vec<_> =
                names.iter().zip(values).map(|(name, v)| (*name, Attribute::String(v.into()))).collect();
            accepted(rule(), false, &[], &devices)
        };
        assert_eq!(of(["x", "x", "y"], ["a", "b", "c"]), [true, false, true]);
        assert_eq!(of(["x", "y", "x"], ["a", "b", "c"]), [true, true, false]);
        assert_eq!(of(["x", "y", "x"], ["a", "a", "a"]), [true, true, true]);
    }

    #[test]
    fn removing_restores_what_was_common() {
        let constraints = [Constraint { requests: Vec::new(), rule: ConstraintRule::Match("d/a".into()) }];
        let mut checkers = Checker::of_claim("claim", &constraints, true).unwrap();
        let device = |attribute| Device { attributes: [("a".to_owned(), attribute)].into(), ..Device::default() };
        let (first, second) = (device(strings(&["x", "y"])), device(strings(&["y"])));
        let third = device(strings(&["x"]));
        let subject = |device| Subject { driver: "d", device, derived: None };
        assert!(checkers[0].add(request("r"), subject(&first)).is_ok());
        assert!(checkers[0].add(request("r"), subject(&second)).is_ok());
        checkers[0].remove(request("r"));
        assert!(checkers[0].add(request("r"), subject(&third)).is_ok());
    }
}
