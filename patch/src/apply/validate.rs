//! Checks that an applied configuration fits its schema, in structured-merge-diff's words.

use std::collections::BTreeSet;

use schema::{Node, Type};
use serde_json::Value;

use super::{
    element::Element,
    typed::{Shape, Typed},
};
use crate::go;

/// Most errors that are reported.
const ERRORS_MAX: usize = 100;

/// Everything in `value` that its schema does not allow, as one text.
pub(super) fn validate(value: &Value, typed: Typed<'_>) -> Result<(), String> {
    let mut errors = Errors { path: Vec::new(), found: Vec::new() };
    errors.walk(value, typed);
    match errors.found.as_slice() {
        [] => Ok(()),
        [only] => Err(only.clone()),
        several => Err(format!("errors:\n  {}", several.join("\n  "))),
    }
}

struct Errors {
    path: Vec<Element>,
    found: Vec<String>,
}

impl Errors {
    fn add(&mut self, message: &str) {
        if self.found.len() >= ERRORS_MAX {
            return;
        }
        let path: String = self.path.iter().map(Element::to_string).collect();
        self.found.push(if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") });
    }

    fn below(&mut self, element: Element, value: &Value, typed: Typed<'_>) {
        self.path.push(element);
        self.walk(value, typed);
        self.path.pop();
    }

    fn walk(&mut self, value: &Value, typed: Typed<'_>) {
        if let Typed::Node { node, .. } = typed
            && let Some(message) = type_error(value, node)
        {
            return self.add(&message);
        }
        match (typed.shape(value), value) {
            (Shape::Members(members), Value::Object(object)) => {
                for (name, member) in object {
                    let element = Element::Field(name.as_str().into());
                    let Some(typed) = members.member(name) else {
                        self.path.push(element);
                        self.add("field not declared in schema");
                        self.path.pop();
                        return;
                    };
                    self.below(element, member, typed);
                }
            }
            (Shape::Items(items), Value::Array(list)) => {
                let mut seen = BTreeSet::new();
                for (at, item) in list.iter().enumerate() {
                    match items.element(item) {
                        Ok(element) => {
                            if seen.contains(&element) {
                                self.add(&format!("duplicate entries for key {element}"));
                            }
                            seen.insert(element.clone());
                            self.below(element, item, items.item());
                        }
                        Err(message) => return self.add(&format!("element {at}: {message}")),
                    }
                }
            }
            (Shape::Whole, _) => self.whole(value, typed),
            _ => {}
        }
    }

    /// Looks into a value that is owned as one: its parts have schemas all the same.
    fn whole(&mut self, value: &Value, typed: Typed<'_>) {
        let Typed::Node { node, .. } = typed else { return };
        match value {
            Value::Object(object) => {
                let Shape::Members(members) = typed.parts() else { return };
                for (name, member) in object {
                    let element = Element::Field(name.as_str().into());
                    let Some(typed) = members.member(name) else {
                        self.path.push(element);
                        self.add("field not declared in schema");
                        self.path.pop();
                        return;
                    };
                    self.below(element, member, typed);
                }
            }
            Value::Array(list) if node.items().is_some() => {
                let Shape::Items(items) = typed.parts() else { return };
                for (at, item) in (0i64..).zip(list) {
                    self.below(Element::Index(at), item, items.item());
                }
            }
            _ => {}
        }
    }
}

/// What is wrong with the type of a value; null fits everything.
fn type_error(value: &Value, node: Node<'_>) -> Option<String> {
    let checked = node.format().is_some_and(|format| format.as_str() != "byte");
    match (node.type_(), value) {
        (_, Value::Null)
        | (Type::Object, Value::Object(_))
        | (Type::Array, Value::Array(_))
        | (Type::Boolean, Value::Bool(_))
        | (Type::Integer | Type::Number, Value::Number(_))
        | (Type::Any | Type::IntOrString, _) => None,
        (Type::String, Value::String(_)) => None,
        (Type::Object, other) => Some(format!("expected map, got &{{{}}}", go::print(other))),
        (Type::Array, other) => Some(format!("expected list, got &{{{}}}", go::print(other))),
        (Type::Boolean, other) => Some(format!("expected boolean, got &{{{}}}", go::print(other))),
        (Type::Integer | Type::Number, other) => {
            Some(format!("expected numeric (int or float), got {}", go::type_name(other)))
        }
        (Type::String, other) if !checked => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go::print_syntax(other)))
        }
        (Type::String | Type::Quantity, Value::Object(_) | Value::Array(_)) => {
            Some(format!("expected any scalar, got &{{{}}}", go::print(value)))
        }
        (Type::String | Type::Quantity, _) => None,
    }
}
