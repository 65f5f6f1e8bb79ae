//! Takes what a set names out of an object.

use serde_json::{Map, Value};

use super::{
    element::Element,
    fieldset::{FieldSet, Owned},
    typed::{Shape, Typed},
};

/// Removes every member and item that `set` names. What loses all that it has becomes null, and an empty one of its kind where
/// it is a part of something else.
pub(super) fn remove(value: &mut Value, set: &FieldSet, typed: Typed<'_>) {
    if set.is_empty() {
        return;
    }
    match (typed.shape(value), &mut *value) {
        (Shape::Members(members), Value::Object(object)) => {
            if object.is_empty() {
                *value = Value::Null;
                return;
            }
            for branch in set.branches() {
                let Element::Field(name) = &branch.element else { continue };
                if branch.owned.member {
                    object.remove(name.as_ref());
                } else if let Some(member) = object.get_mut(name.as_ref()) {
                    remove_within(member, &branch.owned.below, members.member(name).unwrap_or(Typed::Deduced));
                }
            }
            if object.is_empty() {
                *value = Value::Null;
            }
        }
        (Shape::Items(items), Value::Array(list)) => {
            list.retain_mut(|item| {
                let Ok(element) = items.element(item) else { return true };
                let Some(owned) = set.get(&element) else { return true };
                if !owned.member {
                    remove_within(item, &owned.below, items.item());
                }
                !owned.member
            });
            if list.is_empty() {
                *value = Value::Null;
            }
        }
        (Shape::Whole | Shape::Members(_) | Shape::Items(_), _) => *value = Value::Null,
        (Shape::Scalar, _) => {}
    }
}

/// Removes from a part, which stays where nothing of it is left: it was not named itself.
fn remove_within(part: &mut Value, set: &FieldSet, typed: Typed<'_>) {
    let empty = match part {
        Value::Object(_) => Value::Object(Map::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        _ => Value::Null,
    };
    remove(part, set, typed);
    if part.is_null() {
        *part = empty;
    }
}

/// Adds the declared fields on the way to every member, so that a struct goes when all that was applied to it goes.
pub(super) fn with_named_fields(set: &FieldSet, typed: Typed<'_>) -> FieldSet {
    let mut result = FieldSet::default();
    for branch in set.branches() {
        let (declared, child) = child_of(typed, &branch.element);
        let below = with_named_fields(&branch.owned.below, child);
        let member = branch.owned.member || (declared && !branch.owned.below.is_empty());
        result.put(branch.element.clone(), Owned { member, below });
    }
    result
}

/// Whether the schema declares the field, and what is known about what lies there.
fn child_of<'s>(typed: Typed<'s>, element: &Element) -> (bool, Typed<'s>) {
    // Only the kind of container matters here, which an empty one of each kind shows.
    match element {
        Element::Field(name) => match typed.shape(&Value::Object(Map::new())) {
            Shape::Members(members) => (members.declares(name), members.member(name).unwrap_or(Typed::Deduced)),
            _ => (false, Typed::Deduced),
        },
        Element::Key(_) | Element::Value(_) | Element::Index(_) => match typed.shape(&Value::Array(Vec::new())) {
            Shape::Items(items) => (false, items.item()),
            _ => (false, Typed::Deduced),
        },
    }
}
