//! The parts of a selector that a person can act on: its conjuncts, and the attributes that each of them names.

use api::hub::{Attribute, Device, Environment};

/// Most conjuncts that are told apart.
const CLAUSES_MAX: usize = 32;

/// The conjuncts of an expression: what stands between `&&` outside of brackets and quotes. An expression with `||` or
/// `?` outside of brackets is one clause.
pub(crate) fn clauses(expression: &str) -> Vec<&str> {
    let mut clauses = Vec::new();
    let (mut start, mut depth) = (0_usize, 0_i64);
    let mut quote: Option<char> = None;
    let mut escaped = false;
    let mut previous = ' ';
    for (position, c) in expression.char_indices() {
        if let Some(open) = quote {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == open => quote = None,
                _ => {}
            }
            continue;
        }
        match c {
            '"' | '\'' => quote = Some(c),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '&' if depth == 0 && previous == '&' => {
                clauses.push(expression[start..position.saturating_sub(1)].trim());
                start = position + 1;
                previous = ' ';
                continue;
            }
            '|' if depth == 0 && previous == '|' => return vec![expression.trim()],
            '?' if depth == 0 && previous != '.' && previous != '[' => return vec![expression.trim()],
            _ => {}
        }
        previous = c;
    }
    clauses.push(expression[start..].trim());
    if clauses.len() > CLAUSES_MAX { vec![expression.trim()] } else { clauses }
}

/// Something of a device that a clause names, and what the device has there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    /// Name, without the domain.
    pub name: String,
    /// The value as text; `None` when the device has none.
    pub value: Option<String>,
}

/// What a clause names of a device, each once, in order.
pub(crate) fn facts(clause: &str, environment: Environment, driver: &str, device: &Device) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    let mut rest = clause;
    while let Some(position) = rest.find("device.") {
        let boundary =
            rest[..position].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.');
        rest = &rest[position + "device.".len()..];
        if !boundary {
            continue;
        }
        if let Some((fact, behind)) = fact(rest, environment, driver, device) {
            rest = behind;
            if !facts.contains(&fact) {
                facts.push(fact);
            }
        }
    }
    facts
}

fn fact<'t>(text: &'t str, environment: Environment, driver: &str, device: &Device) -> Option<(Fact, &'t str)> {
    let (field, rest) = identifier(text)?;
    let known = |name: &str, value: Option<String>| Fact { name: name.to_owned(), value };
    match (environment, field) {
        (Environment::AttributeMap, name) => Some((known(name, attribute(device, driver, name, name)), rest)),
        (_, "driver" | "driverName") => Some((known("driver", Some(driver.to_owned())), rest)),
        (Environment::Device, "allowMultipleAllocations") => {
            Some((known(field, Some(device.allow_multiple_allocations.to_string())), rest))
        }
        (Environment::Device, "attributes" | "capacity") => {
            let (domain, rest) = index(rest)?;
            let (name, rest) = index(rest).or_else(|| identifier(rest.trim_start_matches(['.', '?'])))?;
            let full = format!("{domain}/{name}");
            let bare = if domain == driver { name } else { &full };
            let value = if field == "capacity" {
                device.capacity.get(&full).or_else(|| device.capacity.get(bare)).map(|c| c.value.to_string())
            } else {
                attribute(device, driver, &full, bare)
            };
            Some((known(name, value), rest))
        }
        (Environment::TypedAttributes, _) => {
            let (name, rest) = index(rest)?;
            let bare = name.strip_prefix(driver).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
            Some((known(bare, attribute(device, driver, name, bare)), rest))
        }
        _ => None,
    }
}

/// `["text"]` or `['text']`, with or without the question mark of optionals, and what is behind it.
fn index(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix("[?").or_else(|| text.strip_prefix('['))?;
    let quote = inside.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    let (name, rest) = inside[1..].split_once(quote)?;
    Some((name, rest.strip_prefix(']')?))
}

fn identifier(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn attribute(device: &Device, driver: &str, full: &str, bare: &str) -> Option<String> {
    let qualified = || device.attributes.get(&format!("{driver}/{bare}"));
    device.attributes.get(full).or_else(|| device.attributes.get(bare)).or_else(qualified).map(text)
}

/// The value of an attribute, as people write it.
pub(crate) fn text(attribute: &Attribute) -> String {
    fn list<T: ToString>(values: &[T]) -> String {
        format!("[{}]", values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
    match attribute {
        Attribute::Int(value) => value.to_string(),
        Attribute::Bool(value) => value.to_string(),
        Attribute::String(value) | Attribute::Version(value) => value.clone(),
        Attribute::Quantity(value) => value.to_string(),
        Attribute::Ints(values) => list(values),
        Attribute::Bools(values) => list(values),
        Attribute::Strings(values) | Attribute::Versions(values) => list(values),
        Attribute::Unknown => "unknown".to_owned(),
    }
}

/// What a clause wants of the one thing that it names, in short; `None` when it is not of a simple form.
///
/// `device.attributes["d"].model == "A100"` wants `A100`, a comparison with a quantity wants `>= 40Gi`.
pub(crate) fn wish(clause: &str) -> Option<String> {
    if clause.matches("device.").count() != 1 {
        return None;
    }
    if let Some((_, rest)) = clause.split_once(".compareTo(") {
        let (operand, comparison) = rest.split_once("))")?;
        let (_, text) = operand.split_once('(')?;
        let operator = comparison.trim().strip_suffix('0')?.trim();
        let simple = [">=", "<=", ">", "<", "=="].contains(&operator);
        return simple.then(|| format!("{operator} {}", unquoted(text)));
    }
    if let Some(wish) = called(clause) {
        return Some(wish);
    }
    for operator in ["==", "!=", ">=", "<=", ">", "<"] {
        let Some((left, right)) = clause.split_once(operator) else { continue };
        let right = right.trim();
        if !left.trim_start().starts_with("device.") || right.contains(['(', '[', '&', '|', '?', '+']) {
            return None;
        }
        let value = unquoted(right);
        return Some(if operator == "==" { value.to_owned() } else { format!("{operator} {value}") });
    }
    let name = clause.trim();
    let negated = name.strip_prefix('!').unwrap_or(name);
    let plain = negated.starts_with("device.") && !negated.contains(['(', ' ']);
    plain.then(|| if negated.len() == name.len() { "true" } else { "false" }.to_owned())
}

/// What a call wants that is the last of its clause: `.isGreaterThan(semver("2.0.0"))`, `.startsWith("A")`; or a
/// membership: `in ["A100", "H100"]`.
fn called(clause: &str) -> Option<String> {
    if let Some((_, list)) = clause.split_once(" in ").filter(|(left, _)| left.trim_start().starts_with("device."))
        && let Some(inside) = list.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        && !inside.contains(['[', '(', '.'])
    {
        return Some(format!("one of {}", inside.split(',').map(unquoted).collect::<Vec<_>>().join(", ")));
    }
    let before = clause.trim().strip_suffix(')').filter(|text| text.starts_with("device."))?;
    for (call, words) in [
        (".isGreaterThan(", "> "),
        (".isLessThan(", "< "),
        (".startsWith(", "something that starts with "),
        (".endsWith(", "something that ends with "),
        (".contains(", "something that contains "),
        (".matches(", "something that matches "),
    ] {
        let Some((_, operand)) = before.split_once(call) else { continue };
        let value = ["semver(", "quantity("].iter().find_map(|kind| operand.strip_prefix(kind)?.strip_suffix(')'));
        let value = value.unwrap_or(operand).trim();
        let is_text = value.len() >= 2 && value.starts_with(['"', '\'']) && value.ends_with(['"', '\'']);
        return (is_text && !value[1..value.len() - 1].contains(['"', '\'']))
            .then(|| format!("{words}{}", unquoted(value)));
    }
    None
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_split_at_conjunctions() {
        for (expression, expected) in [
            ("a", &["a"][..]),
            ("a && b&&c", &["a", "b", "c"]),
            ("f(a && b) && c", &["f(a && b)", "c"]),
            (r#"a == "x && y" && b"#, &[r#"a == "x && y""#, "b"]),
            (r#"a == "\" && " && b"#, &[r#"a == "\" && ""#, "b"]),
            ("a && b || c", &["a && b || c"]),
            ("a ? b : c && d", &["a ? b : c && d"]),
            ("a.?b.orValue(1) == 1 && c[?d]", &["a.?b.orValue(1) == 1", "c[?d]"]),
            ("(a || b) && c", &["(a || b)", "c"]),
            ("ü && ö", &["ü", "ö"]),
            ("", &[""]),
            ("&&&&", &["", "", ""]),
            ("a &&& b", &["a", "& b"]),
        ] {
            assert_eq!(clauses(expression), expected, "{expression}");
        }
    }

    #[test]
    fn clauses_name_facts() {
        let attribute = |text: &str| Attribute::String(text.into());
        let device = Device {
            attributes: [("model".to_owned(), attribute("L4")), ("x.org/kind".to_owned(), attribute("k"))].into(),
            ..Device::default()
        };
        let names = |clause: &str, environment| -> Vec<(String, Option<String>)> {
            facts(clause, environment, "d.org", &device).into_iter().map(|fact| (fact.name, fact.value)).collect()
        };
        let model = || vec![("model".to_owned(), Some("L4".to_owned()))];
        assert_eq!(names(r#"device.attributes["d.org"].model == "A100""#, Environment::Device), model());
        assert_eq!(names(r#"device.attributes['d.org']["model"] == "A100""#, Environment::Device), model());
        assert_eq!(names(r#"device.attributes["d.org"].?model.orValue("") == """#, Environment::Device), model());
        assert_eq!(names(r#"device.stringAttributes["d.org/model"] == "A100""#, Environment::TypedAttributes), model());
        assert_eq!(names(r#"device.model == "A100""#, Environment::AttributeMap), model());
        assert_eq!(
            names(r#"device.attributes["x.org"].kind == device.attributes["x.org"].sort"#, Environment::Device),
            [("kind".to_owned(), Some("k".to_owned())), ("sort".to_owned(), None)]
        );
        assert_eq!(names("device.", Environment::Device), []);
        assert_eq!(names(r#"device.attributes["x"#, Environment::Device), []);
    }

    #[test]
    fn simple_clauses_have_a_wish() {
        for (clause, expected) in [
            (r#"device.attributes["d"].model == "A100""#, Some("A100")),
            (r#"device.attributes["d"].cores >= 8"#, Some(">= 8")),
            (r#"device.capacity["d"].memory.compareTo(quantity("40Gi")) >= 0"#, Some(">= 40Gi")),
            (r#"device.attributes["d"].healthy"#, Some("true")),
            (r#"!device.attributes["d"].healthy"#, Some("false")),
            (r#"device.attributes["d"].v.isGreaterThan(semver("2.0.0"))"#, Some("> 2.0.0")),
            (r#"device.attributes["d"].v.compareTo(semver("2.0.0")) < 0"#, Some("< 2.0.0")),
            (r#"device.capacity["d"].m.isLessThan(quantity('1Gi'))"#, Some("< 1Gi")),
            (r#"device.attributes["d"].m in ["A", 'B']"#, Some("one of A, B")),
            (r#"device.attributes["d"].m.startsWith("A-1")"#, Some("something that starts with A-1")),
            (r#"device.attributes["d"].m.matches("A") != device.attributes["d"].m.matches("B")"#, None),
            (r#"device.attributes["d"].m.startsWith("A" + "B")"#, None),
            (r#"!device.attributes["d"].m.startsWith("A")"#, None),
            (r#"device.attributes["d"].a == device.attributes["d"].b"#, None),
            (r#"size(device.attributes["d"].a) == 1"#, None),
        ] {
            assert_eq!(wish(clause).as_deref(), expected, "{clause}");
        }
    }
}
