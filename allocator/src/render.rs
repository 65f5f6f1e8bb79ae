//! Explanations as text for people: one line for events and conditions, several lines on demand.

use std::fmt::Write;

use crate::{
    Refusal,
    clause::{self, Fact},
    explain::{Cause, Explanation, Reason, WantExplanation, Wanted},
    share::Misfit,
};

/// Most reasons of one want in a line.
const REASONS_MAX: usize = 4;

/// Most names in a list.
const NAMES_MAX: usize = 3;

/// Longest text of a clause that is quoted.
const CLAUSE_CHARS_MAX: usize = 120;

/// Why the node cannot satisfy the claims, in one line:
/// `request gpu: 12 of 16 devices: model is L4, selector wants A100; 3 taken by ns/claim-x`.
pub fn short(explanation: &Explanation) -> String {
    if let Some(error) = &explanation.error {
        return first_line(&error.to_string()).to_owned();
    }
    let mut text = match focus(explanation) {
        Some(want) => want_line(want),
        None => "nothing stands in the way".to_owned(),
    };
    for pool in explanation.pools.iter().take(NAMES_MAX) {
        let _ = write!(text, "; pool {} {}", pool.pool, pool.reason);
    }
    text
}

/// Why the nodes cannot satisfy the claims, in one line: nodes with the same reason together, most nodes first.
pub fn short_of_nodes<'a>(explanations: impl IntoIterator<Item = &'a Explanation>) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for explanation in explanations {
        let text = short(explanation);
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, nodes)) => nodes.push(&explanation.node),
            None => groups.push((text, vec![&explanation.node])),
        }
    }
    groups.sort_by_key(|(_, nodes)| std::cmp::Reverse(nodes.len()));
    let total = groups.len();
    let mut lines: Vec<String> = groups
        .iter()
        .take(REASONS_MAX)
        .map(|(text, nodes)| match nodes.as_slice() {
            [node] => format!("{node}: {text}"),
            nodes => format!("{} nodes: {text}", nodes.len()),
        })
        .collect();
    if total > REASONS_MAX {
        lines.push(format!("{} more reasons", total - REASONS_MAX));
    }
    lines.join(". ")
}

/// Everything that is known, in lines.
pub fn long(explanation: &Explanation) -> String {
    let mut text = format!("{}:\n", explanation.node);
    if let Some(error) = &explanation.error {
        indent(&mut text, "  ", &error.to_string());
    }
    for pool in &explanation.pools {
        let _ = writeln!(text, "  pool {} {}", pool.pool, pool.reason);
    }
    for want in &explanation.wants {
        want_lines(&mut text, want);
    }
    if let Some(stuck) = explanation.stuck.as_ref().filter(|stuck| !stuck.beside.is_empty()) {
        text.push_str("  together:\n");
        want_lines(&mut text, stuck);
    }
    text
}

/// The want to talk about: the first that cannot be satisfied even alone, or else where the search came furthest.
fn focus(explanation: &Explanation) -> Option<&WantExplanation> {
    let request = |want: &WantExplanation| {
        let name = want.request.split('/').next().unwrap_or_default().to_owned();
        (want.claim.clone(), name)
    };
    let satisfiable = |want: &WantExplanation| want.denied.is_none() && lacks(want) == 0;
    let hopeless = |want: &&WantExplanation| {
        let of_request = |other: &&WantExplanation| request(other) == request(want);
        !explanation.wants.iter().filter(of_request).any(satisfiable)
    };
    explanation.wants.iter().find(hopeless).or(explanation.stuck.as_ref())
}

/// How many devices are missing at least.
fn lacks(want: &WantExplanation) -> i64 {
    let fitting = i64::try_from(want.fitting).unwrap_or(i64::MAX);
    match want.wanted {
        Wanted::Exactly(count) => (count - fitting).max(0),
        Wanted::All => i64::from(fitting == 0 || want.reasons.iter().any(|reason| !is_choice(&reason.cause))),
        Wanted::Totals(_) => i64::from(fitting == 0),
    }
}

/// True when the want does not mean the device at all.
fn is_choice(cause: &Cause) -> bool {
    matches!(cause, Cause::Selector { .. } | Cause::NoAlternative { .. } | Cause::Node | Cause::Disabled { .. })
}

fn want_line(want: &WantExplanation) -> String {
    let mut text = format!("request {}: ", want.request);
    if let Some(denied) = &want.denied {
        text.push_str(denied);
        return text;
    }
    if let [(request, device), more @ ..] = want.beside.as_slice() {
        let _ = write!(text, "beside {device} for {request}");
        if !more.is_empty() {
            let _ = write!(text, " and {} more", more.len());
        }
        text.push_str(", ");
    }
    if want.devices == 0 {
        text.push_str("the node has no devices");
        return text;
    }
    match &want.wanted {
        Wanted::Exactly(count) if want.fitting > 0 => {
            let _ = write!(text, "{count} wanted, {} fit; ", want.fitting);
        }
        Wanted::All if want.fitting > 0 => text.push_str("all wanted; "),
        Wanted::Totals(totals) if want.fitting > 0 => {
            let totals: Vec<_> = totals.iter().map(|(name, amount)| format!("{amount} {name}")).collect();
            let _ = write!(text, "{} wanted in total, {} devices fit; ", totals.join(" and "), want.fitting);
        }
        _ => {}
    }
    let lines = merged(want);
    for (position, (count, cause)) in lines.iter().take(REASONS_MAX).enumerate() {
        let _ = match position {
            0 => write!(text, "{count} of {} devices: {cause}", want.devices),
            _ => write!(text, "; {count} {cause}"),
        };
    }
    if lines.len() > REASONS_MAX {
        let _ = write!(text, "; {} more reasons", lines.len() - REASONS_MAX);
    }
    if lines.is_empty() {
        let _ = write!(text, "no combination of the {} devices satisfies the claim", want.devices);
    }
    text
}

/// The reasons as text, those of several holders together.
fn merged(want: &WantExplanation) -> Vec<(usize, String)> {
    let shown = |reason: &&Reason| want.wanted != Wanted::All || want.fitting == 0 || !is_choice(&reason.cause);
    let (held, others): (Vec<&Reason>, Vec<&Reason>) =
        want.reasons.iter().filter(shown).partition(|reason| matches!(&reason.cause, Cause::InUse { holder: Some(_) }));
    let mut lines: Vec<(usize, String)> = others.iter().map(|reason| (reason.count, cause(&reason.cause))).collect();
    let holders: Vec<&str> = held
        .iter()
        .filter_map(|reason| match &reason.cause {
            Cause::InUse { holder } => holder.as_deref(),
            _ => None,
        })
        .collect();
    if !holders.is_empty() {
        let count = held.iter().map(|reason| reason.count).sum();
        lines.push((count, format!("taken by {}", names(&holders))));
    }
    lines.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    lines
}

fn names(names: &[&str]) -> String {
    match names.get(NAMES_MAX..) {
        Some(more) if !more.is_empty() => format!("{} and {} more", names[..NAMES_MAX].join(", "), more.len()),
        _ => names.join(", "),
    }
}

fn want_lines(text: &mut String, want: &WantExplanation) {
    let wanted = match &want.wanted {
        Wanted::Exactly(count) => format!("{count}"),
        Wanted::All => "all".to_owned(),
        Wanted::Totals(totals) => {
            totals.iter().map(|(name, amount)| format!("{amount} {name}")).collect::<Vec<_>>().join(" and ")
        }
    };
    let class = want.class.as_ref().map(|class| format!(" of class {class}")).unwrap_or_default();
    let (request, claim) = (&want.request, &want.claim);
    let _ = writeln!(text, "  request {request} of claim {claim} wants {wanted}{class}:");
    if let Some(denied) = &want.denied {
        let _ = writeln!(text, "    {denied}");
    }
    for (request, device) in &want.beside {
        let _ = writeln!(text, "    request {request} has {device}");
    }
    let _ = writeln!(text, "    {} of {} devices fit", want.fitting, want.devices);
    for reason in &want.reasons {
        let examples: Vec<String> = reason.examples.iter().map(ToString::to_string).collect();
        let more = if reason.count > examples.len() { ", …" } else { "" };
        let _ = writeln!(text, "    {}: {} ({}{more})", reason.count, cause(&reason.cause), examples.join(", "));
        if let Cause::SelectorError { expression, error, at, .. } = &reason.cause {
            indent(text, "       ", &selector_error(expression, error, *at));
        }
    }
    if lacks(want) == 0 {
        return;
    }
    if let Some(nearest) = &want.nearest {
        let _ = writeln!(text, "    nearest is {}, which would fit if", nearest.device);
        for cause in &nearest.causes {
            let _ = writeln!(text, "      {}", remedy(cause));
        }
    }
}

fn indent(text: &mut String, by: &str, lines: &str) {
    for line in lines.lines() {
        let _ = writeln!(text, "{by}{line}");
    }
}

/// An expression with a caret under what an error is about, where that can be told, and the error. An error of compilation
/// shows its place itself.
pub fn selector_error(expression: &str, error: &str, at: Option<usize>) -> String {
    if error.contains('\n') {
        return error.to_owned();
    }
    let Some((before, after)) = at.and_then(|at| expression.split_at_checked(at)) else {
        return format!("{expression}\n{error}");
    };
    // The place of a member is that of the point before it.
    let name = after.trim_start_matches(['.', '?']);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + (after.len() - name.len());
    let (line, rest) = expression.split_at(expression.len() - after.find('\n').map_or(0, |end| after.len() - end));
    format!("{line}\n{}^ {error}{rest}", " ".repeat(column))
}

fn first_line(text: &str) -> &str {
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

/// One cause, in a few words.
pub fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Selector { owner, clause, facts, .. } => {
            let who = if owner.starts_with("class ") { owner } else { "selector" };
            match (facts.as_slice(), clause::wish(clause)) {
                ([single], Some(wish)) => format!("{}, {who} wants {wish}", fact(single)),
                ([], _) => format!("{who} wants {}", quoted(clause)),
                (facts, _) => {
                    let facts: Vec<String> = facts.iter().take(NAMES_MAX).map(fact).collect();
                    format!("{}, {who} wants {}", facts.join(" and "), quoted(clause))
                }
            }
        }
        Cause::SelectorError { owner, index, error, .. } => {
            format!("selector #{index} of {owner} fails: {}", first_line(error))
        }
        Cause::NoAlternative { class } => format!("none of the alternatives of class {class} holds"),
        Cause::InUse { holder: Some(holder) } => format!("taken by {holder}"),
        Cause::InUse { holder: None } => "in use".to_owned(),
        Cause::TakenBeside { claim } => format!("taken by another request of claim {claim}"),
        Cause::Tainted(taint) => {
            let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
            format!("tainted {} {}{value}", taint.effect, taint.key)
        }
        Cause::Counter { set, counter, wanted, left } => {
            format!("counter {counter} of {set} has {left} left, {wanted} wanted")
        }
        Cause::Group { set } => format!("devices of other compatibility groups use {set}"),
        Cause::Share(Misfit::Undefined { capacity }) => format!("no capacity {capacity}"),
        Cause::Share(Misfit::Policy { capacity, wanted }) => format!("{wanted} is no allowed share of {capacity}"),
        Cause::Share(Misfit::Exhausted { capacity, wanted, left }) => {
            format!("{left} of {capacity} left, {wanted} wanted")
        }
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
pub fn remedy(cause: &Cause) -> String {
    match cause {
        Cause::Selector { owner, clause, facts, .. } => {
            let now: Vec<String> = facts.iter().map(fact).collect();
            let now = if now.is_empty() { String::new() } else { format!(" (now {})", now.join(", ")) };
            format!("{} held, which {owner} wants{now}", quoted(clause))
        }
        Cause::SelectorError { owner, index, error, .. } => {
            format!("selector #{index} of {owner} could be evaluated: {}", first_line(error))
        }
        Cause::NoAlternative { class } => format!("an alternative of class {class} held"),
        Cause::InUse { holder: Some(holder) } => format!("{holder} gave it back"),
        Cause::InUse { holder: None } => "its holder gave it back".to_owned(),
        Cause::TakenBeside { claim } => format!("claim {claim} did not want it twice"),
        Cause::Tainted(taint) => {
            format!("the request tolerated {}:{}, or the taint were removed", taint.key, taint.effect)
        }
        Cause::Counter { set, counter, wanted, left } => {
            format!("others left {wanted} instead of {left} of {counter} in {set}")
        }
        Cause::Group { set } => format!("the users of {set} gave it back"),
        Cause::Share(Misfit::Undefined { capacity }) => format!("it published the capacity {capacity}"),
        Cause::Share(Misfit::Policy { capacity, wanted }) => {
            format!("the request for {capacity} were one that its policy allows, not {wanted}")
        }
        Cause::Share(Misfit::Exhausted { capacity, wanted, left }) => {
            format!("at most {left} of {capacity} were requested, not {wanted}, or others gave some back")
        }
        Cause::Constraint(Refusal::AttributeMissing(name)) => format!("it published the attribute {name}"),
        Cause::Constraint(Refusal::Mismatch(name)) => format!("its {name} were that of the devices beside"),
        Cause::Constraint(Refusal::NotDistinct(name)) => {
            format!("its {name} were another than that of any device beside")
        }
        Cause::Node => "it were reached from this node".to_owned(),
        Cause::Disabled { gate } => format!("the feature {gate} were on"),
    }
}
