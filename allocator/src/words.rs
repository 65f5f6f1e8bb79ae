//! Causes in words: what is the case, and what would have to be.

use crate::{
    Refusal,
    cause::Cause,
    clause::{self, Fact},
    share::Misfit,
};

/// Most names in a list.
pub(crate) const NAMES_MAX: usize = 3;

/// Longest text of a clause that is quoted.
const CLAUSE_CHARS_MAX: usize = 120;

/// The first few of many names.
pub(crate) fn names<T: AsRef<str>>(all: &[T]) -> String {
    let text = |names: &[T]| names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match all.get(NAMES_MAX..) {
        Some(more) if !more.is_empty() => format!("{} and {} more", text(&all[..NAMES_MAX]), more.len()),
        _ => text(all),
    }
}

/// `1 device`, `2 devices`.
pub(crate) fn number(count: impl Into<i128>, what: &str) -> String {
    let count = count.into();
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

pub(crate) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn quoted(clause: &str) -> String {
    let line = clause.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(CLAUSE_CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}

fn fact(fact: &Fact) -> String {
    match &fact.value {
        Some(value) => format!("{} is {value}", fact.name),
        None => format!("{} is not set", fact.name),
    }
}

fn value(fact: &Fact) -> &str {
    fact.value.as_deref().unwrap_or("not set")
}

/// A clause that is false of devices: each with what it has, and how many devices have that.
pub(crate) fn selector(owner: &str, clause: &str, variants: &[(usize, &[Fact])]) -> String {
    let who = if owner.starts_with("class ") { owner } else { "selector" };
    let told = |join: &str, several: &dyn Fn(usize, &[Fact]) -> String| {
        let mut told: Vec<String> =
            variants.iter().take(NAMES_MAX).map(|(count, facts)| several(*count, facts)).collect();
        if variants.len() > NAMES_MAX {
            told.push(format!("{} others", variants.len() - NAMES_MAX));
        }
        told.join(join)
    };
    match (variants, clause::wish(clause)) {
        ([(_, [single])], Some(wish)) => format!("{}, {who} wants {wish}", fact(single)),
        ([(_, [single]), ..], Some(wish)) if variants.iter().all(|(_, facts)| facts.len() == 1) => {
            let values = told(" or ", &|count, facts| format!("{} ({count})", facts.first().map_or("", value)));
            format!("{} is {values}, {who} wants {wish}", single.name)
        }
        ([] | [(_, [])], _) => format!("{who} wants {}", quoted(clause)),
        ([(_, facts)], _) => format!("{}, {who} wants {}", facts_text(facts), quoted(clause)),
        _ => {
            let values = told("; ", &|count, facts| format!("{count}: {}", facts_text(facts)));
            format!("{who} wants {} ({values})", quoted(clause))
        }
    }
}

fn facts_text(facts: &[Fact]) -> String {
    facts.iter().take(NAMES_MAX).map(fact).collect::<Vec<_>>().join(" and ")
}

/// One cause, in a few words.
pub(crate) fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Selector { owner, clause, facts, .. } => selector(owner, clause, &[(1, facts)]),
        Cause::SelectorError { owner, index, error, .. } => {
            format!("selector #{index} of {owner} fails: {}", first_line(error))
        }
        Cause::NoAlternative { class } => format!("none of the alternatives of class {class} holds"),
        Cause::InUse { holder: Some(holder) } => format!("taken by {holder}"),
        Cause::InUse { holder: None } => "in use".to_owned(),
        Cause::TakenBeside { claim, request } => format!("taken already for request {request} of claim {claim}"),
        Cause::Tainted(taint) => {
            let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
            format!("tainted {} {}{value}", taint.effect, taint.key)
        }
        Cause::Counter { set, counter, wanted, left } => {
            format!("counter {counter} of {set} has {left} left, {wanted} wanted")
        }
        Cause::Group { set } => format!("devices of other compatibility groups use {set}"),
        Cause::Share { misfit, .. } => match misfit {
            Misfit::Undefined { capacity } => format!("no capacity {capacity}"),
            Misfit::Policy { capacity, wanted } => format!("{wanted} is no allowed share of {capacity}"),
            Misfit::Exhausted { capacity, wanted, left } => format!("{left} of {capacity} left, {wanted} wanted"),
        },
        Cause::Constraint(Refusal::AttributeMissing(name)) => {
            format!("no attribute {name}, which a constraint compares")
        }
        Cause::Constraint(Refusal::Mismatch(name)) => format!("{name} differs from that of the devices beside"),
        Cause::Constraint(Refusal::NotDistinct(name)) => format!("{name} is that of a device beside"),
        Cause::Node => "not reached from the node".to_owned(),
        Cause::Disabled { gate } => format!("needs the feature {gate}, which is off"),
    }
}

/// What would remove one cause.
pub(crate) fn remedy(cause: &Cause) -> String {
    match cause {
        Cause::Selector { owner, clause, facts, .. } => match (facts.as_slice(), clause::wish(clause)) {
            ([single], Some(wish)) => {
                format!("its {} were {wish}, as {owner} wants it (it is {})", single.name, value(single))
            }
            ([], _) => format!("{} held, as {owner} wants it", quoted(clause)),
            (facts, _) => format!("{} held, as {owner} wants it ({})", quoted(clause), facts_text(facts)),
        },
        Cause::SelectorError { owner, index, error, .. } => {
            format!("selector #{index} of {owner} could be evaluated: {}", first_line(error))
        }
        Cause::NoAlternative { class } => format!("an alternative of class {class} held"),
        Cause::InUse { holder: Some(holder) } => format!("{holder} gave it back"),
        Cause::InUse { holder: None } => "its holder gave it back".to_owned(),
        Cause::TakenBeside { claim, request } => format!("request {request} of claim {claim} did without it"),
        Cause::Tainted(taint) => {
            format!("the request tolerated {}:{}, or the taint were removed", taint.key, taint.effect)
        }
        Cause::Counter { set, counter, wanted, left } => {
            format!("others left {wanted} instead of {left} of {counter} in {set}")
        }
        Cause::Group { set } => format!("the users of {set} gave it back"),
        Cause::Share { misfit, instead } => match misfit {
            Misfit::Undefined { capacity } if instead.is_empty() => format!("it published the capacity {capacity}"),
            Misfit::Undefined { capacity } => {
                format!("it published the capacity {capacity}, or the request named one that it has: {instead}")
            }
            Misfit::Policy { capacity, wanted } => {
                format!("the request for {capacity} were one that its policy allows ({instead}), not {wanted}")
            }
            Misfit::Exhausted { capacity, wanted, left } => {
                format!("at most {left} of {capacity} were requested, not {wanted}, or others gave some back")
            }
        },
        Cause::Constraint(Refusal::AttributeMissing(name)) => format!("it published the attribute {name}"),
        Cause::Constraint(Refusal::Mismatch(name)) => format!("its {name} were that of the devices beside"),
        Cause::Constraint(Refusal::NotDistinct(name)) => {
            format!("its {name} were another than that of any device beside")
        }
        Cause::Node => "it were reached from this node".to_owned(),
        Cause::Disabled { gate } => format!("the feature {gate} were on"),
    }
}
