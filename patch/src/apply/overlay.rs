//! Lays a configuration over an object without keeping books: what a MutatingAdmissionPolicy does.

use schema::Schema;
use serde_json::Value;

use super::{
    merge::merge,
    typed::{Shape, Typed},
    validate,
};

/// Merges `config` into `live`. Refuses a configuration that does not fit the schema, and one that has an object or list which is
/// owned whole: such a merge would take away what the configuration does not mention.
pub fn overlay(live: &mut Value, config: &Value, schema: &Schema) -> Result<(), String> {
    let typed = Typed::root(schema.root());
    validate::validate(config, typed)
        .map_err(|error| format!("failed to convert patch object to typed object: {error}"))?;
    let mut atomics = Vec::new();
    find_atomics(config, typed, "", &mut atomics);
    if !atomics.is_empty() {
        let atomics = atomics.join(", ");
        return Err(format!("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {atomics}"));
    }
    merge(live, config, typed);
    Ok(())
}

fn find_atomics(value: &Value, typed: Typed<'_>, path: &str, atomics: &mut Vec<String>) {
    match (typed.shape(value), value) {
        (Shape::Whole, Value::Object(_) | Value::Array(_)) => atomics.push(path.to_owned()),
        (Shape::Members(members), Value::Object(values)) => {
            for (name, value) in values {
                let member = members.member(name).unwrap_or(Typed::Deduced);
                find_atomics(value, member, &format!("{path}.{name}"), atomics);
            }
        }
        (Shape::Items(items), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                find_atomics(value, items.item(), &format!("{path}[{index}]"), atomics);
            }
        }
        _ => {}
    }
}
