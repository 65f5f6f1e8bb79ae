//! Which attributes and capacities of a device a selector names.

use crate::ast::{Expr, Kind, Literal, operator};
use crate::device::Selector;

/// Something of a device that a selector names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName {
    /// `attributes` or `capacity`.
    pub of: &'static str,
    /// The domain.
    pub domain: String,
    /// The name within the domain.
    pub id: String,
}

impl Selector {
    /// The attributes and capacities that the expression names by constant domains and names, each once, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<DeviceName> {
        let mut names = Vec::new();
        walk(self.root(), &mut names);
        names.sort();
        names.dedup();
        names
    }
}

fn walk(expr: &Expr, names: &mut Vec<DeviceName>) {
    if let Some(((of, domain), id)) = member(expr).and_then(|(group, id)| Some((domain(group)?, id))) {
        names.push(DeviceName { of, domain: domain.to_owned(), id: id.to_owned() });
        return;
    }
    match &expr.kind {
        Kind::Ident(_) | Kind::Literal(_) | Kind::Invalid => {}
        Kind::Select(select) => walk(&select.operand, names),
        Kind::Call(call) => call.target.iter().chain(&call.args).for_each(|part| walk(part, names)),
        Kind::List(items) => items.iter().for_each(|item| walk(&item.value, names)),
        Kind::Map(entries) => entries.iter().for_each(|entry| {
            walk(&entry.key, names);
            walk(&entry.value, names);
        }),
        Kind::Struct(_, fields) => fields.iter().for_each(|field| walk(&field.value, names)),
        Kind::Comprehension(fold) => {
            [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result]
                .into_iter()
                .for_each(|part| walk(part, names));
        }
    }
}

/// `device.attributes["domain"]`: which of the two maps, and the domain.
fn domain(expr: &Expr) -> Option<(&'static str, &str)> {
    let (group, domain) = member(expr)?;
    let (device, field) = member(group)?;
    let of = ["attributes", "capacity"].into_iter().find(|of| *of == field)?;
    matches!(&device.kind, Kind::Ident(name) if name == "device").then_some((of, domain))
}

/// An operand and its member by a constant name: `a.b`, `a["b"]`, `a.?b`, `a[?"b"]`, or whether it has one.
fn member(expr: &Expr) -> Option<(&Expr, &str)> {
    match &expr.kind {
        Kind::Select(select) => Some((&select.operand, &select.field)),
        Kind::Call(call) => {
            let (container, key) = match (call.function.as_str(), call.args.as_slice()) {
                (operator::INDEX | operator::OPT_INDEX | operator::OPT_SELECT, [container, key]) => (container, key),
                (operator::IN, [key, container]) => (container, key),
                _ => return None,
            };
            match &key.kind {
                Kind::Literal(Literal::String(name)) => Some((container, name)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::device::{Features, SelectorCompiler};

    #[test]
    fn names_are_found_in_every_spelling() {
        let compiler = SelectorCompiler::for_stored(Features::default());
        for (expression, expected) in [
            (r#"device.driver == "d""#, &[][..]),
            (r#"device.attributes["d"].model == "A100""#, &["attributes d/model"]),
            (r#"device.attributes["d"]["model"] == device.attributes["d"].model"#, &["attributes d/model"]),
            (
                r#"has(device.attributes["d"].a) && device.attributes["d"].?b.orValue(true)"#,
                &["attributes d/a", "attributes d/b"],
            ),
            (r#""a" in device.attributes["d"]"#, &["attributes d/a"]),
            (r#""d" in device.attributes"#, &[]),
            (r#"device.capacity["d"].memory.compareTo(quantity("1Gi")) > 0"#, &["capacity d/memory"]),
            (r#"[1].all(i, device.attributes["d"].cores > i)"#, &["attributes d/cores"]),
            (r#"cel.bind(a, device.attributes["d"], a.model == "x")"#, &[]),
        ] {
            let selector = compiler.compile(expression).expect(expression);
            let names = selector.names().into_iter().map(|name| format!("{} {}/{}", name.of, name.domain, name.id));
            assert_eq!(names.collect::<Vec<_>>(), expected, "{expression}");
        }
    }
}
