//! What an object must be like for a webhook to read it.

use machinery::{field::Path, json_type::json_type};
use serde_json::Value;

use super::Refusal;

/// Refuses an object that has something else than an object at one of the paths, as Go does that reads it into a type. Names are
/// parted by dots, and `*` stands for every item of a list; what is absent is no fault.
pub(crate) fn check_objects(object: &Value, paths: &[&str]) -> Result<(), Refusal> {
    if !(object.is_object() || object.is_null()) {
        return Err(refusal(&Path::new("object"), object));
    }
    paths.iter().try_for_each(|path| check(object, &mut path.split('.'), None))
}

fn check<'a>(
    value: &Value,
    steps: &mut (impl Iterator<Item = &'a str> + Clone),
    at: Option<&Path>,
) -> Result<(), Refusal> {
    if let Some(path) = at
        && !(value.is_object() || value.is_array() || value.is_null())
    {
        return Err(refusal(path, value));
    }
    match steps.next() {
        None => match at {
            Some(path) if value.is_array() => Err(refusal(path, value)),
            _ => Ok(()),
        },
        Some("*") => {
            let items = value.as_array().into_iter().flatten().enumerate();
            let place = |index| at.map_or_else(|| Path::new("").index(index), |path| path.index(index));
            items.into_iter().try_for_each(|(index, item)| check(item, &mut steps.clone(), Some(&place(index))))
        }
        Some(name) => {
            if let Some(path) = at.filter(|_| value.is_array()) {
                return Err(refusal(path, value));
            }
            let place = at.map_or_else(|| Path::new(name), |path| path.child(name));
            check(&value[name], steps, Some(&place))
        }
    }
}

fn refusal(path: &Path, value: &Value) -> Refusal {
    let message = format!("json: cannot unmarshal {} into Go struct field {path}", json_type(value));
    Refusal { code: 400, reason: "BadRequest", message, ..Refusal::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_object_is_refused() {
        let paths = ["spec", "spec.tasks.*.template.spec"];
        for (object, expected) in [
            (json!({}), None),
            (json!({"spec": {"tasks": [{}, {"template": {"spec": {}}}]}}), None),
            (json!({"spec": {"tasks": {}}}), None),
            (json!([]), Some("array into Go struct field object")),
            (json!({"spec": "x"}), Some("string into Go struct field spec")),
            (json!({"spec": []}), Some("array into Go struct field spec")),
            (json!({"spec": {"tasks": [1]}}), Some("number into Go struct field spec.tasks[0]")),
            (
                json!({"spec": {"tasks": [{}, {"template": true}]}}),
                Some("bool into Go struct field spec.tasks[1].template"),
            ),
        ] {
            let found = check_objects(&object, &paths).err().map(|refusal| refusal.message);
            let expected = expected.map(|text| format!("json: cannot unmarshal {text}"));
            assert_eq!(found, expected, "{object}");
        }
    }
}
