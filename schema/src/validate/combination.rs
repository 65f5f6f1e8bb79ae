//! `anyOf`, `oneOf`, `allOf` and `not`.

use serde_json::Value;

use super::{Outcome, check_schema, place::Place};
use crate::{
    rules::Rules,
    tree::{Node, NodeId},
};

pub(super) fn check(
    value: &Value,
    old: Option<&Value>,
    node: Node<'_>,
    rules: &Rules,
    place: &Place<'_>,
    outcome: &mut Outcome,
) {
    let run = |id: &NodeId| check_schema(value, old, node.nested(*id), place);
    any_of(&rules.any_of, run, place, outcome);
    one_of(&rules.one_of, run, place, outcome);
    all_of(&rules.all_of, run, place, outcome);
    if rules.not.as_ref().is_some_and(|not| run(not).is_valid()) {
        outcome.add(place.unplaced("must not validate the schema (not)"));
    }
}

fn any_of(branches: &[NodeId], run: impl Fn(&NodeId) -> Outcome, place: &Place<'_>, outcome: &mut Outcome) {
    let mut best: Option<Outcome> = None;
    for branch in branches {
        let result = run(branch);
        if result.is_valid() {
            outcome.merge(result);
            return;
        }
        if best.as_ref().is_none_or(|best| result.checks > best.checks) {
            best = Some(result);
        }
    }
    if let Some(best) = best {
        outcome.add(place.unplaced("must validate at least one schema (anyOf)"));
        outcome.merge(best);
    }
}

fn one_of(branches: &[NodeId], run: impl Fn(&NodeId) -> Outcome, place: &Place<'_>, outcome: &mut Outcome) {
    if branches.is_empty() {
        return;
    }
    let mut valid = 0;
    let mut kept: Option<Outcome> = None;
    for branch in branches {
        let result = run(branch);
        if result.is_valid() {
            valid += 1;
            if valid == 1 {
                kept = Some(result);
            }
        } else if valid == 0 && kept.as_ref().is_none_or(|best| result.checks > best.checks) {
            kept = Some(result);
        }
    }
    if valid != 1 {
        let found =
            if valid == 0 { "Found none valid".to_owned() } else { format!("Found {valid} valid alternatives") };
        outcome.add(place.unplaced(&format!("must validate one and only one schema (oneOf). {found}")));
    }
    outcome.merge(kept.unwrap_or_default());
}

fn all_of(branches: &[NodeId], run: impl Fn(&NodeId) -> Outcome, place: &Place<'_>, outcome: &mut Outcome) {
    let mut valid = 0;
    for branch in branches {
        let result = run(branch);
        valid += usize::from(result.is_valid());
        outcome.merge(result);
    }
    if valid != branches.len() {
        let none = if valid == 0 { ". None validated" } else { "" };
        outcome.add(place.unplaced(&format!("must validate all the schemas (allOf){none}")));
    }
}
