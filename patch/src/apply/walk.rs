//! What a document owns, and how two documents differ, as sets of paths.

use std::collections::{BTreeMap, btree_map::Entry};

use serde_json::{Map, Value};

use super::{
    element::Element,
    fieldset::{FieldSet, Owned},
    typed::{Items, Members, Shape, Typed},
};

/// Every leaf and item that `value` mentions.
pub(super) fn field_set(value: &Value, typed: Typed<'_>) -> FieldSet {
    owned_by(value, typed).below
}

fn owned_by(value: &Value, typed: Typed<'_>) -> Owned {
    match (typed.shape(value), value) {
        (Shape::Scalar | Shape::Whole, _) => Owned::member(),
        (Shape::Members(members), Value::Object(object)) => {
            let mut below = FieldSet::default();
            for (name, member) in object {
                let typed = members.member(name).unwrap_or(Typed::Deduced);
                let mut owned = owned_by(member, typed);
                let empty = member.is_null() || member.as_object().is_some_and(Map::is_empty);
                owned.member |= empty || !members.declares(name);
                below.put(Element::Field(name.as_str().into()), owned);
            }
            Owned { member: false, below }
        }
        (Shape::Items(items), Value::Array(list)) => {
            let mut below = FieldSet::default();
            for (element, same) in by_element(list, items) {
                let mut owned = match same.as_slice() {
                    [only] => owned_by(only, items.item()),
                    _ => Owned::default(),
                };
                owned.member = true;
                below.put(element, owned);
            }
            Owned { member: false, below }
        }
        (Shape::Members(_) | Shape::Items(_), _) => Owned::default(),
    }
}

/// Items by what tells them apart; what cannot be told apart is left out.
fn by_element<'v>(list: &'v [Value], items: Items<'_>) -> BTreeMap<Element, Vec<&'v Value>> {
    let mut found: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
    for item in list {
        let Ok(element) = items.element(item) else { continue };
        match found.entry(element) {
            Entry::Vacant(vacant) => drop(vacant.insert(vec![item])),
            Entry::Occupied(mut occupied) => occupied.get_mut().push(item),
        }
    }
    found
}

/// How a document changed. No path is in two of the sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// Everything that came, or is another than before.
    pub(super) fn changed(self) -> FieldSet {
        self.modified.union(self.added)
    }

    /// Leaves out what `excluded` names, and everything below.
    pub(super) fn without(self, excluded: &FieldSet) -> Self {
        Self {
            removed: self.removed.recursive_difference(excluded),
            modified: self.modified.recursive_difference(excluded),
            added: self.added.recursive_difference(excluded),
        }
    }
}

/// Compares two documents.
pub(super) fn compare(before: &Value, after: &Value, typed: Typed<'_>) -> Comparison {
    let changes = compare_values(Some(before), Some(after), typed);
    Comparison { removed: changes.removed.below, modified: changes.modified.below, added: changes.added.below }
}

#[derive(Default)]
struct Changes {
    removed: Owned,
    modified: Owned,
    added: Owned,
}

impl Changes {
    fn put(&mut self, element: Element, below: Self) {
        if below.removed.is_empty() && below.modified.is_empty() {
            self.added.below.put(element, below.added);
            return;
        }
        self.removed.below.put(element.clone(), below.removed);
        self.modified.below.put(element.clone(), below.modified);
        self.added.below.put(element, below.added);
    }

    fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }
}

fn compare_values(before: Option<&Value>, after: Option<&Value>, typed: Typed<'_>) -> Changes {
    let mut changes = Changes::default();
    // Null takes whatever shape the other side has.
    let shape_of = |value: Option<&Value>, other: Option<&Value>| {
        let shown = value.filter(|value| !value.is_null()).or(value.and(other)).or(value);
        shown.map(|value| typed.shape(value))
    };
    let (left, right) = (shape_of(before, after), shape_of(after, before));
    let leaf = match (left, right) {
        (Some(left), Some(right)) if !left.is_like(right) => {
            // The value became one of another shape: what was in the old one went, what is in the new one came.
            compare_as(left, before, None, &mut changes) | compare_as(right, None, after, &mut changes)
        }
        (left, right) => right.or(left).is_none_or(|shape| compare_as(shape, before, after, &mut changes)),
    };
    match (before, after) {
        (None, _) => changes.added.member = true,
        (_, None) => changes.removed.member = true,
        (Some(before), Some(after)) if leaf && before != after => changes.modified.member = true,
        (Some(_), Some(_)) => {}
    }
    changes
}

/// Compares the parts of values of one shape. True when there are none, so that the value itself is what is compared.
fn compare_as(shape: Shape<'_>, before: Option<&Value>, after: Option<&Value>, changes: &mut Changes) -> bool {
    match shape {
        Shape::Scalar | Shape::Whole => true,
        Shape::Members(members) => {
            let (before, after) = (before.and_then(Value::as_object), after.and_then(Value::as_object));
            let empty = before.is_none_or(Map::is_empty) && after.is_none_or(Map::is_empty);
            if !empty {
                compare_members(before, after, members, changes);
            }
            empty
        }
        Shape::Items(items) => {
            let (before, after) = (before.and_then(Value::as_array), after.and_then(Value::as_array));
            let empty = before.is_none_or(Vec::is_empty) && after.is_none_or(Vec::is_empty);
            if !empty && before != after {
                compare_items(before, after, items, changes);
            }
            empty
        }
    }
}

fn compare_members(
    before: Option<&Map<String, Value>>,
    after: Option<&Map<String, Value>>,
    members: Members<'_>,
    changes: &mut Changes,
) {
    let none = Map::new();
    let (old, new) = (before.unwrap_or(&none), after.unwrap_or(&none));
    let mut olds = old.iter().peekable();
    let mut news = new.iter().peekable();
    loop {
        let old_first = match (olds.peek(), news.peek()) {
            (None, None) => return,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((old, _)), Some((new, _))) => old <= new,
        };
        let (name, old, new) = if old_first {
            let Some((name, old)) = olds.next() else { return };
            (name, Some(old), news.next_if(|(new, _)| *new == name).map(|(_, new)| new))
        } else {
            let Some((name, new)) = news.next() else { return };
            (name, None, Some(new))
        };
        // Most of a document is as it was; that is cheaper to see than to look for differences.
        if old.is_some() && old == new {
            continue;
        }
        let typed = members.member(name).unwrap_or(Typed::Deduced);
        let implied = if old.is_none() || new.is_none() { members.implied(name) } else { None };
        let old = old.or(if before.is_some() { implied.as_deref() } else { None });
        let new = new.or(if after.is_some() { implied.as_deref() } else { None });
        let below = compare_values(old, new, typed);
        if !below.is_empty() {
            changes.put(Element::Field(name.as_str().into()), below);
        }
    }
}

fn compare_items(before: Option<&Vec<Value>>, after: Option<&Vec<Value>>, items: Items<'_>, changes: &mut Changes) {
    let mut old = before.map(|list| by_element(list, items)).unwrap_or_default();
    let new = after.map(|list| by_element(list, items)).unwrap_or_default();
    for (element, new) in new {
        let old = old.remove(&element).unwrap_or_default();
        let below = compare_same(&old, &new, items);
        if !below.is_empty() {
            changes.put(element, below);
        }
    }
    for (element, old) in old {
        changes.put(element, compare_same(&old, &[], items));
    }
}

/// Compares the items that have the same key. Duplicates are compared as one value.
fn compare_same(old: &[&Value], new: &[&Value], items: Items<'_>) -> Changes {
    let mut changes = match (old, new) {
        ([] | [_], [] | [_]) => {
            return compare_values(old.first().copied(), new.first().copied(), items.item());
        }
        ([_, _, ..], [only]) => compare_values(None, Some(only), items.item()),
        ([only], [_, _, ..]) => compare_values(Some(only), None, items.item()),
        _ => Changes::default(),
    };
    match (old.len() > 1, new.len() > 1) {
        (true, true) => changes.modified.member = old != new,
        (true, false) => changes.removed.member = true,
        (false, _) => changes.added.member = true,
    }
    changes
}
