//! Lays an applied configuration over a live object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    element::Element,
    typed::{Items, Members, Shape, Typed},
};

/// Merges `config` into `live`: what is owned whole is replaced, the rest member by member and item by item. Nothing is removed.
/// `config` was validated.
pub(super) fn merge(live: &mut Value, config: &Value, typed: Typed<'_>) {
    let shape = if config.is_null() { typed.shape(live) } else { typed.shape(config) };
    match (shape, &mut *live, config) {
        (Shape::Members(members), Value::Object(live), Value::Object(config)) if !live.is_empty() => {
            merge_members(live, config, members);
        }
        (Shape::Items(items), Value::Array(list), Value::Array(config)) if !list.is_empty() => {
            if !config.is_empty() {
                *list = merge_items(std::mem::take(list), config, items);
            }
        }
        // Null does not empty what is owned in parts.
        (Shape::Members(_), Value::Object(live), Value::Null) if !live.is_empty() => {}
        (Shape::Items(_), Value::Array(list), Value::Null) if !list.is_empty() => {}
        _ => live.clone_from(config),
    }
}

fn merge_members(live: &mut Map<String, Value>, config: &Map<String, Value>, members: Members<'_>) {
    for (name, value) in config {
        match live.get_mut(name) {
            Some(known) => merge(known, value, members.member(name).unwrap_or(Typed::Deduced)),
            None => drop(live.insert(name.clone(), value.clone())),
        }
    }
}

/// Merges two lists. Items that only one side has keep their place relative to the shared ones; shared items come in the order of
/// the configuration. An item that the live list holds twice is not merged but replaced.
fn merge_items(live: Vec<Value>, config: &[Value], items: Items<'_>) -> Vec<Value> {
    let elements =
        |list: &[Value]| -> Vec<Option<Element>> { list.iter().map(|item| items.element(item).ok()).collect() };
    let lefts = elements(&live);
    let rights = elements(config);
    let mut places: BTreeMap<Element, Vec<usize>> = BTreeMap::new();
    for (at, element) in lefts.iter().enumerate() {
        if let Some(element) = element {
            places.entry(element.clone()).or_default().push(at);
        }
    }
    let wanted: BTreeSet<&Element> = rights.iter().flatten().collect();
    let mut shared = rights.iter().flatten().filter(|element| places.contains_key(element)).peekable();
    let mut live: Vec<Option<Value>> = live.into_iter().map(Some).collect();
    let mut merged_elements: BTreeSet<&Element> = BTreeSet::new();
    let mut result = Vec::with_capacity(live.len().max(config.len()));
    let (mut left, mut right) = (0, 0);
    // Every round moves on: an item of the live list that is wanted and not merged yet is still to come on the right.
    while left < lefts.len() || right < rights.len() {
        if let (Some(Some(element)), Some(Some(other))) = (lefts.get(left), rights.get(right)) {
            if element == other {
                merged_elements.insert(other);
                result.push(merged_item(other, &config[right], &mut live, &places, items));
                shared.next();
                left += 1;
                right += 1;
                continue;
            }
            if wanted.contains(element) && shared.peek().is_some_and(|next| *next != element) {
                // Shared, and not the next one the configuration wants: it comes later.
                left += 1;
                continue;
            }
        }
        if let Some(element) = lefts.get(left) {
            match element {
                Some(element) if wanted.contains(element) => {
                    if merged_elements.contains(element) {
                        left += 1;
                    }
                }
                _ => {
                    result.extend(live.get_mut(left).and_then(Option::take));
                    left += 1;
                    continue;
                }
            }
        }
        if let Some(element) = rights.get(right) {
            if let Some(element) = element {
                merged_elements.insert(element);
                result.push(merged_item(element, &config[right], &mut live, &places, items));
                if shared.peek() == Some(&element) {
                    shared.next();
                }
            } else {
                result.push(config[right].clone());
            }
            right += 1;
        }
    }
    result
}

fn merged_item(
    element: &Element,
    config: &Value,
    live: &mut [Option<Value>],
    places: &BTreeMap<Element, Vec<usize>>,
    items: Items<'_>,
) -> Value {
    match places.get(element).map(Vec::as_slice) {
        Some([only]) => match live.get_mut(*only).and_then(Option::take) {
            Some(mut item) => {
                merge(&mut item, config, items.item());
                item
            }
            None => config.clone(),
        },
        _ => config.clone(),
    }
}
