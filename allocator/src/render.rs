//! Explanations as text for people: one line for events and conditions, several lines on demand.

use std::{collections::BTreeMap, fmt::Write};

use api::hub::DeviceId;
use machinery::quantity::Quantity;

use crate::{
    cause::Cause,
    clause::Fact,
    division::{Division, ValueShare},
    error::{Error, RequestProblem},
    explain::{Explanation, Reason, UnusablePool, WantExplanation, Wanted},
    words::{self, NAMES_MAX, first_line, names, number},
};

/// Most reasons of one want in a line.
const REASONS_MAX: usize = 4;

/// Most reasons of one want in lines.
const LINES_MAX: usize = 16;

/// Why the node cannot satisfy the claims, in one line:
/// `request gpu: 12 of 16 devices: model is L4, selector wants A100; 3 taken by ns/claim-x`.
pub fn short(explanation: &Explanation) -> String {
    match &explanation.error {
        None | Some(Error::InvalidPools) => {}
        Some(error) => return first_line(&error.to_string()).to_owned(),
    }
    let mut text = match hopeless(explanation) {
        Some(want) => want_line(want),
        None => match (explanation.too_few, explanation.divisions.first(), &explanation.stuck) {
            (Some(too_few), ..) => too_few_line(too_few),
            (None, Some(division), _) => division_line(division),
            (None, None, Some(stuck)) => want_line(stuck),
            (None, None, None) => "nothing stands in the way".to_owned(),
        },
    };
    for UnusablePool { pool, reason } in explanation.pools.iter().take(NAMES_MAX) {
        let _ = write!(text, "; pool {pool} {reason}");
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

/// Everything that is known, in lines; the name of the node is left to who prints it.
pub fn long(explanation: &Explanation) -> String {
    let mut text = String::new();
    let wants = || explanation.wants.iter().chain(&explanation.stuck);
    let shown_below =
        wants().flat_map(|want| &want.reasons).any(|reason| matches!(&reason.cause, Cause::SelectorError { .. }));
    match &explanation.error {
        Some(Error::InvalidPools) => {}
        Some(error) if !shown_below => {
            indent(&mut text, "  ", &error.to_string());
            if let Some(advice) = advice(error) {
                let _ = writeln!(text, "    {advice}");
            }
        }
        _ => {}
    }
    for UnusablePool { pool, reason } in &explanation.pools {
        let _ = writeln!(text, "  pool {pool} {reason}; until its driver has seen to that, none of its devices counts");
    }
    for want in &explanation.wants {
        want_lines(&mut text, want);
    }
    if explanation.pools.is_empty() && explanation.wants.iter().any(|want| want.devices == 0) {
        text.push_str("  nothing publishes devices for this node; does a driver run there?\n");
    }
    if explanation.error.is_none() && hopeless(explanation).is_none() {
        together(&mut text, explanation);
    }
    text
}

/// What stands in the way of all requests together, where none of them is in vain alone.
fn together(text: &mut String, explanation: &Explanation) {
    if let Some(too_few) = explanation.too_few {
        let _ = writeln!(text, "  {}", too_few_line(too_few));
        return;
    }
    for division in &explanation.divisions {
        division_lines(text, division);
    }
    if let Some(stuck) = explanation.stuck.as_ref().filter(|stuck| !stuck.beside.is_empty())
        && explanation.divisions.is_empty()
    {
        text.push_str("  together:\n");
        want_lines(text, stuck);
    }
}

fn too_few_line((wanted, fitting): (i64, usize)) -> String {
    format!("all requests together want {}, and the node has {fitting} for them", number(wanted, "device"))
}

/// What to do about an error.
fn advice(error: &Error) -> Option<&'static str> {
    match error {
        Error::TooManyDevices { .. } => Some("several claims together may hold more"),
        Error::Request { problem, .. } => match problem {
            RequestProblem::PrioritizedListDisabled
            | RequestProblem::ConsumableCapacityDisabled
            | RequestProblem::AdminAccessDisabled => Some("--feature-gates switches features on"),
            RequestProblem::ConstraintRefuses(_) => Some("all devices are wanted, and a constraint refuses this one"),
            _ => None,
        },
        _ => None,
    }
}

/// The first want that cannot be satisfied even alone.
fn hopeless(explanation: &Explanation) -> Option<&WantExplanation> {
    let request = |want: &WantExplanation| {
        let name = want.request.split('/').next().unwrap_or_default().to_owned();
        (want.claim.clone(), name)
    };
    let satisfiable = |want: &WantExplanation| want.denied.is_none() && lacks(want) == 0;
    explanation.wants.iter().find(|want| {
        let of_request = |other: &&WantExplanation| request(other) == request(want);
        !explanation.wants.iter().filter(of_request).any(satisfiable)
    })
}

/// How many devices are missing at least.
fn lacks(want: &WantExplanation) -> i64 {
    let fitting = i64::try_from(want.fitting).unwrap_or(i64::MAX);
    match want.wanted {
        Wanted::Exactly(count) => (count - fitting).max(0),
        Wanted::All => i64::from(fitting == 0 || want.reasons.iter().any(|reason| !reason.cause.is_choice())),
        Wanted::Totals { ref wanted, ref provided } => {
            let short = |(name, wanted): (&String, &Quantity)| provided.get(name).is_none_or(|has| has < wanted);
            i64::from(fitting == 0 || wanted.iter().any(short))
        }
    }
}

/// A reason, or several that are told together.
struct Line<'a> {
    count: usize,
    text: String,
    examples: Vec<&'a DeviceId>,
    error: Option<&'a Cause>,
}

/// The reasons against the devices that the class means, or against all where it means none: those of several holders
/// together where that is wanted, and those of one part of a selector. And how many devices the class means.
fn lines(want: &WantExplanation, holders_together: bool) -> (Vec<Line<'_>>, usize) {
    let aside: usize = want.reasons.iter().filter(|one| one.cause.is_of_class()).map(|one| one.count).sum();
    let meant = if aside < want.devices { want.devices - aside } else { want.devices };
    let shown = |reason: &&Reason| {
        let of_all = want.wanted == Wanted::All && want.fitting > 0 && reason.cause.is_choice();
        !of_all && (meant == want.devices || !reason.cause.is_of_class())
    };
    let mut groups: Vec<Vec<&Reason>> = Vec::new();
    for reason in want.reasons.iter().filter(shown) {
        let known =
            groups.iter_mut().find(|group| group.first().is_some_and(|one| alike(one, reason, holders_together)));
        match known {
            Some(group) => group.push(reason),
            None => groups.push(vec![reason]),
        }
    }
    let mut lines: Vec<Line<'_>> = groups.iter().filter_map(|group| line(group)).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.count));
    (lines, meant)
}

/// Whether two reasons are told together.
fn alike(one: &Reason, other: &Reason, holders_together: bool) -> bool {
    match (&one.cause, &other.cause) {
        (Cause::InUse { holder: Some(_) }, Cause::InUse { holder: Some(_) }) => holders_together,
        (Cause::Selector { owner, index, clause, .. }, Cause::Selector { owner: of, index: at, clause: part, .. }) => {
            owner == of && index == at && clause == part
        }
        _ => false,
    }
}

fn line<'a>(group: &[&'a Reason]) -> Option<Line<'a>> {
    let first = group.first()?;
    let text = match &first.cause {
        Cause::Selector { owner, clause, .. } => {
            let variant = |reason: &&'a Reason| match &reason.cause {
                Cause::Selector { facts, .. } => (reason.count, facts.as_slice()),
                _ => (reason.count, &[][..]),
            };
            let variants: Vec<(usize, &[Fact])> = group.iter().map(variant).collect();
            words::selector(owner, clause, &variants)
        }
        Cause::InUse { holder: Some(_) } => {
            let holder = |reason: &&'a Reason| match &reason.cause {
                Cause::InUse { holder } => holder.as_deref(),
                _ => None,
            };
            format!("taken by {}", names(&group.iter().filter_map(holder).collect::<Vec<_>>()))
        }
        cause => words::cause(cause),
    };
    Some(Line {
        count: group.iter().map(|reason| reason.count).sum(),
        text,
        examples: group.iter().flat_map(|reason| &reason.examples).take(NAMES_MAX).collect(),
        error: Some(&first.cause).filter(|cause| matches!(cause, Cause::SelectorError { .. })),
    })
}

fn totals(wanted: &BTreeMap<String, Quantity>) -> String {
    wanted.iter().map(|(name, amount)| format!("{amount} {name}")).collect::<Vec<_>>().join(" and ")
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
    let (lines, meant) = lines(want, true);
    match &want.wanted {
        Wanted::Exactly(count) if lines.is_empty() && lacks(want) > 0 => {
            let _ = write!(text, "{count} wanted, the node has {meant}");
            return text;
        }
        Wanted::Exactly(count) if want.fitting > 0 => {
            let _ = write!(text, "{count} wanted, {} fit; ", want.fitting);
        }
        Wanted::All if want.fitting > 0 => text.push_str("all wanted; "),
        Wanted::Totals { wanted, provided } if lines.is_empty() && lacks(want) > 0 => {
            let _ = write!(text, "{} wanted in total, all devices provide {}", totals(wanted), totals(provided));
            return text;
        }
        Wanted::Totals { wanted, .. } if want.fitting > 0 => {
            let _ = write!(text, "{} wanted in total, {} devices fit; ", totals(wanted), want.fitting);
        }
        _ => {}
    }
    for (position, line) in lines.iter().take(REASONS_MAX).enumerate() {
        let _ = match position {
            0 => write!(text, "{} of {}: {}", line.count, number(meant as i128, "device"), line.text),
            _ => write!(text, "; {} {}", line.count, line.text),
        };
    }
    if lines.len() > REASONS_MAX {
        let _ = write!(text, "; {} more reasons", lines.len() - REASONS_MAX);
    }
    if lines.is_empty() {
        let _ = write!(text, "no combination of the {} satisfies the claim", number(meant as i128, "device"));
    }
    text
}

fn want_lines(text: &mut String, want: &WantExplanation) {
    let wanted = match &want.wanted {
        Wanted::Exactly(count) => format!("{count}"),
        Wanted::All => "all".to_owned(),
        Wanted::Totals { wanted, .. } => totals(wanted),
    };
    let class = want.class.as_ref().map(|class| format!(" of class {class}")).unwrap_or_default();
    let (lines, meant) = lines(want, false);
    let fit = match &want.denied {
        Some(denied) => denied.clone(),
        None if want.devices == 0 => "the node has no devices".to_owned(),
        None => format!("{} of {} fit", want.fitting, number(meant as i128, "device")),
    };
    let _ = writeln!(text, "  request {} of claim {} wants {wanted}{class}: {fit}", want.request, want.claim);
    for (request, device) in &want.beside {
        let _ = writeln!(text, "    request {request} has {device}");
    }
    for line in lines.iter().take(LINES_MAX) {
        let examples: Vec<String> = line.examples.iter().map(ToString::to_string).collect();
        let more = if line.count > examples.len() { ", …" } else { "" };
        match line.error {
            Some(Cause::SelectorError { owner, index, expression, error, at, known }) => {
                let (count, examples) = (line.count, examples.join(", "));
                let _ = writeln!(text, "    {count}: selector #{index} of {owner} fails ({examples}{more})");
                indent(text, "       ", &selector_error(expression, error, *at));
                if let (false, Some(device)) = (known.is_empty(), line.examples.first()) {
                    let _ = writeln!(text, "       {device} has {}", known.join(", "));
                    let _ = writeln!(text, "       has(…) or .?name.orValue(…) guard against what a device lacks");
                }
            }
            _ => {
                let _ = writeln!(text, "    {}: {} ({}{more})", line.count, line.text, examples.join(", "));
            }
        }
    }
    if lines.len() > LINES_MAX {
        let _ = writeln!(text, "    and {} more reasons", lines.len() - LINES_MAX);
    }
    if meant < want.devices {
        let others = want.devices - meant;
        let _ = writeln!(
            text,
            "    {} of the node {} not of that class",
            number(others as i128, "other device"),
            if others == 1 { "is" } else { "are" }
        );
    }
    match &want.wanted {
        Wanted::Totals { provided, .. } if want.fitting > 0 => {
            let _ = writeln!(text, "    together these provide {}", totals(provided));
        }
        _ => help_lines(text, want),
    }
}

/// What would make it fit.
fn help_lines(text: &mut String, want: &WantExplanation) {
    let missing = lacks(want);
    if missing == 0 || want.denied.is_some() || want.devices == 0 {
        return;
    }
    let fails = |cause: &Cause| matches!(cause, Cause::SelectorError { .. });
    match &want.nearest {
        Some(nearest) if !nearest.causes.first().is_some_and(fails) => {
            let more = if missing > 1 { format!("{missing} more are needed; ") } else { String::new() };
            let _ = writeln!(text, "    {more}nearest is {}, which would fit if", nearest.device);
            for cause in &nearest.causes {
                let _ = writeln!(text, "      {}", words::remedy(cause));
            }
        }
        None if want.fitting > 0 => {
            let few = format!("at most {} were wanted", want.fitting);
            let _ = writeln!(text, "    it would fit if {few}, or the node had {missing} more");
        }
        _ => {}
    }
}

/// The rule of a constraint, as it is written.
fn rule(division: &Division) -> String {
    let name = if division.distinct { "distinctAttribute" } else { "matchAttribute" };
    format!("{name} {}", division.attribute)
}

fn division_line(division: &Division) -> String {
    format!("{}: {}", rule(division), division_facts(division))
}

fn division_facts(division: &Division) -> String {
    let total: i64 = division.wanted.iter().map(|(_, count)| *count).fold(0, i64::saturating_add);
    if division.distinct {
        let values: Vec<&String> = division.values.iter().map(|share| &share.value).collect();
        return format!("{total} different values wanted, there are {}: {}", values.len(), names(&values));
    }
    let of_value = |share: &ValueShare| {
        let requests = || division.wanted.iter().zip(&share.devices);
        let enough = |((_, wanted), has): (&(String, i64), &usize)| i64::try_from(*has).is_ok_and(|has| has >= *wanted);
        let of_request =
            |((request, wanted), has): (&(String, i64), &usize)| format!("{has} of {wanted} for {request}");
        if division.wanted.len() == 1 || requests().all(enough) {
            return format!("{} has {} of {total}", share.value, share.together);
        }
        format!("{} has {}", share.value, requests().map(of_request).collect::<Vec<_>>().join(" and "))
    };
    let mut values: Vec<String> = division.values.iter().take(REASONS_MAX).map(of_value).collect();
    if division.values.len() > REASONS_MAX {
        values.push(format!("{} more values", division.values.len() - REASONS_MAX));
    }
    format!("no value has enough devices: {}", values.join("; "))
}

fn division_lines(text: &mut String, division: &Division) {
    let _ = writeln!(text, "  constraint {} of claim {}:", rule(division), division.claim);
    let _ = writeln!(text, "    {}", division_facts(division));
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
