//! What somebody meant who wrote something else.

use schema::{Node, Schema};

/// How much two words must have in common, from 0 to 1.
const LIKENESS_MIN: f64 = 0.8;
/// Most names that are listed.
const NAMES_MAX: usize = 12;

/// The word that is most like another, if any is.
pub(super) fn word<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |one: &str| {
        let (written, one) = (written.to_lowercase(), one.to_lowercase());
        let within = one.starts_with(&written) || written.starts_with(&one);
        strsim::jaro_winkler(&written, &one).max(if within && written.len() > 3 { LIKENESS_MIN } else { 0.0 })
    };
    let known = known.into_iter().map(|one| (likeness(one), one)).filter(|(like, _)| *like >= LIKENESS_MIN);
    known.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, one)| one)
}

/// What to say of a field that there is not, at `spec.devices.requests[0].exactly.deviceClass`.
pub(super) fn field(schema: &Schema, path: &str) -> Option<String> {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut node = schema.root();
    for part in parent.split('.').filter(|part| !part.is_empty()) {
        node = step(node, part)?;
    }
    let known: Vec<&str> = node.properties().map(|(name, _)| name).collect();
    match word(name, known.iter().copied()) {
        Some(meant) => Some(format!("did you mean {meant}?")),
        None if known.is_empty() || known.len() > NAMES_MAX => None,
        None => Some(format!("there are: {}", known.join(", "))),
    }
}

/// `requests[0]`, `attributes[model]`: a member, and what is in it.
fn step<'s>(node: Node<'s>, part: &str) -> Option<Node<'s>> {
    let (name, inside) = part.split_once('[').map_or((part, None), |(name, inside)| (name, Some(inside)));
    let mut node = node.member(name)?;
    for index in inside.into_iter().flat_map(|inside| inside.split('[')) {
        let index = index.trim_end_matches(']');
        node = node.items().or_else(|| node.member(index))?;
    }
    Some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_is_meant() {
        let fields =
            ["deviceClassName", "selectors", "allocationMode", "count", "adminAccess", "tolerations", "capacity"];
        for (written, meant) in [
            ("deviceClass", Some("deviceClassName")),
            ("counts", Some("count")),
            ("selector", Some("selectors")),
            ("AdminAcces", Some("adminAccess")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(word(written, fields), meant, "{written}");
        }
    }
}
