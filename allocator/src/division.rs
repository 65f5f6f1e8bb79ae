//! How the devices that fit divide over the values of an attribute that a constraint compares.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use api::hub::{Attribute, ConstraintRule};

use crate::{
    attempt::{Attempt, Place},
    clause,
    plan::{ClaimPlan, Number, Want, claim_name},
    search::Of,
};

/// A constraint that no devices meet, although each request by itself has enough of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    /// `namespace/name` of the claim.
    pub claim: String,
    /// Name of the attribute.
    pub attribute: String,
    /// The values must differ; else they must be the same.
    pub distinct: bool,
    /// The requests that it is about, and how many devices each wants.
    pub wanted: Vec<(String, i64)>,
    /// The values that there are; that of most devices first.
    pub values: Vec<ValueShare>,
}

/// A value of the attribute, and the devices that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueShare {
    /// As text.
    pub value: String,
    /// How many devices for each request.
    pub devices: Vec<usize>,
    /// How many different devices.
    pub together: usize,
}

/// Where the devices are that fit a want taken alone.
pub(crate) type Fitting = HashMap<Of, Vec<Place>>;

/// The constraints that cannot be met.
pub(crate) fn all(attempt: &Attempt<'_>, plans: &[ClaimPlan<'_>], fitting: &Fitting) -> Vec<Division> {
    let mut divisions = Vec::new();
    for (claim, plan) in plans.iter().enumerate() {
        for constraint in &plan.claim.constraints {
            let (attribute, distinct) = match &constraint.rule {
                ConstraintRule::Match(attribute) => (attribute, false),
                ConstraintRule::Distinct(attribute) => (attribute, true),
                ConstraintRule::Unknown => continue,
            };
            let concerned = |want: &Want<'_>| constraint.requests.is_empty() || want.name.is_in(&constraint.requests);
            let wants = wants_of(claim, plan, &concerned);
            divisions.extend(wants.and_then(|wants| divide(attempt, &wants, fitting, attribute, distinct)));
        }
    }
    divisions
}

/// The wants that a constraint is about; `None` where there are alternatives, or all devices are wanted.
fn wants_of<'p, 'a>(
    claim: usize,
    plan: &'p ClaimPlan<'a>,
    concerned: &dyn Fn(&Want<'_>) -> bool,
) -> Option<Vec<(Of, &'p Want<'a>, i64)>> {
    let mut wants = Vec::new();
    for (position, request) in plan.requests.iter().enumerate() {
        match request.wants.as_slice() {
            [want] if concerned(want) => match want.number {
                Number::Exact(count) => wants.push(((claim, position, 0), want, count)),
                _ => return None,
            },
            several if several.iter().any(concerned) => return None,
            _ => {}
        }
    }
    Some(wants)
}

fn divide(
    attempt: &Attempt<'_>,
    wants: &[(Of, &Want<'_>, i64)],
    fitting: &Fitting,
    attribute: &str,
    distinct: bool,
) -> Option<Division> {
    let (_, first, _) = wants.first()?;
    let enough = |of: &Of, count: i64| i64::try_from(fitting.get(of).map_or(0, Vec::len)).is_ok_and(|has| has >= count);
    if !wants.iter().all(|(of, _, count)| enough(of, *count)) {
        return None;
    }
    let mut places: BTreeMap<String, Vec<BTreeSet<Place>>> = BTreeMap::new();
    for (position, (of, ..)) in wants.iter().enumerate() {
        for place in fitting.get(of).into_iter().flatten() {
            let offer = attempt.offer(*place)?;
            for value in attempt.subject(*of, *place, offer).attribute(attribute).map(values).unwrap_or_default() {
                let of_value = places.entry(value).or_insert_with(|| vec![BTreeSet::new(); wants.len()]);
                of_value[position].insert(*place);
            }
        }
    }
    let total = wants.iter().map(|(.., count)| *count).fold(0, i64::saturating_add);
    let reaches = |number: usize, wanted: i64| i64::try_from(number).is_ok_and(|number| number >= wanted);
    let share = |(value, places): (String, Vec<BTreeSet<Place>>)| ValueShare {
        value,
        devices: places.iter().map(BTreeSet::len).collect(),
        together: places.iter().flatten().collect::<BTreeSet<_>>().len(),
    };
    let mut values: Vec<ValueShare> = places.into_iter().map(share).collect();
    let serves = |share: &ValueShare| {
        let of_each = share.devices.iter().zip(wants).all(|(has, (.., wanted))| reaches(*has, *wanted));
        of_each && reaches(share.together, total)
    };
    let met = if distinct { reaches(values.len(), total) } else { values.iter().any(serves) };
    if met {
        return None;
    }
    values.sort_by_key(|share| std::cmp::Reverse(share.together));
    Some(Division {
        claim: claim_name(first.claim),
        attribute: attribute.to_owned(),
        distinct,
        wanted: wants.iter().map(|(_, want, count)| (want.name.full(), *count)).collect(),
        values,
    })
}

/// The values of an attribute as text; several for a list.
fn values(attribute: &Attribute) -> Vec<String> {
    let one = |one: Attribute| clause::text(&one);
    match attribute {
        Attribute::Ints(values) => values.iter().map(|value| one(Attribute::Int(*value))).collect(),
        Attribute::Bools(values) => values.iter().map(|value| one(Attribute::Bool(*value))).collect(),
        Attribute::Strings(values) | Attribute::Versions(values) => values.clone(),
        single => vec![clause::text(single)],
    }
}
