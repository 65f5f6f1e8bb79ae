//! Lists that are merged item by item.

use std::collections::{HashMap, HashSet};

use schema::Node;
use serde_json::{Map, Value};

use super::{DIRECTIVE, Error, merge_object};
use crate::go;

/// A merged list.
pub(super) struct Merged {
    /// The items, in order.
    pub(super) items: Vec<Value>,
    /// The server's order as far as `$setElementOrder` knows it. Upstream looks at the memory of the old list, where new items
    /// have taken the places that deleted ones left; clients have come to see that order.
    pub(super) server_order: Vec<Value>,
}

/// Merges `change` into `old`: objects by their merge key, scalars as a set.
pub(super) fn merge(
    old: Vec<Value>,
    change: Vec<Value>,
    merge_key: Option<&str>,
    schema: Option<Node<'_>>,
) -> Result<Merged, Error> {
    let length = old.len();
    if old.is_empty() && change.is_empty() {
        return Ok(Merged { items: old, server_order: Vec::new() });
    }
    if !holds_objects(&[&old, &change])? {
        let server_order = old.clone();
        let mut seen = HashSet::new();
        let both = old.into_iter().chain(change.iter().cloned());
        let merged = both.filter(|item| seen.insert(item.to_string())).collect();
        return Ok(Merged { items: arrange(merged, &change, &server_order, None)?, server_order });
    }
    let key = merge_key.ok_or_else(|| {
        let name = schema.and_then(|list| list.items()).and_then(Node::name).unwrap_or("list");
        Error::NoMergeKey(name.rsplit('.').next().unwrap_or(name).to_owned())
    })?;
    let (old, change) = follow_directives(old, change, key)?;
    let server_order = old.clone();
    let items = schema.and_then(Node::items);
    let mut places: HashMap<String, usize> = HashMap::new();
    for (at, item) in old.iter().enumerate() {
        if let Some(value) = item.get(key) {
            places.entry(value.to_string()).or_insert(at);
        }
    }
    let mut merged = old;
    for item in &change {
        let place = key_of(item, key)?;
        match places.get(&place).and_then(|at| merged.get_mut(*at)) {
            Some(known) => *known = Value::Object(merge_object(members(known.take())?, members(item.clone())?, items)?),
            None => {
                places.insert(place, merged.len());
                merged.push(item.clone());
            }
        }
    }
    let seen = merged.iter().take(length).cloned().collect();
    Ok(Merged { items: arrange(merged, &change, &server_order, Some(key))?, server_order: seen })
}

/// Carries out the `$patch` directives of list items, and takes those items out of the patch.
fn follow_directives(mut old: Vec<Value>, change: Vec<Value>, key: &str) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let mut plain = Vec::with_capacity(change.len());
    let mut deleted = HashSet::new();
    let mut replace = false;
    for item in change {
        match item.get(DIRECTIVE).map(|directive| directive.as_str().unwrap_or_default()) {
            None => plain.push(item),
            Some("delete") => drop(deleted.insert(key_of(&item, key)?)),
            Some("replace") => replace = true,
            Some("merge") => return Err(Error::MergeDirectiveInList),
            Some(_) => {
                let directive = go::print(item.get(DIRECTIVE).unwrap_or(&Value::Null));
                return Err(Error::UnknownDirective { directive, map: go::print(&item) });
            }
        }
    }
    if replace {
        return Ok((plain, Vec::new()));
    }
    old.retain(|item| item.get(key).is_none_or(|value| !deleted.contains(&value.to_string())));
    Ok((old, plain))
}

/// Puts `merged` in order: what `order` names comes in that order; the rest keeps the server's order; where both meet, the
/// server's order decides as far as it knows, and named items go first otherwise. `key` is absent for scalars.
pub(super) fn arrange(
    merged: Vec<Value>,
    order: &[Value],
    server_order: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, Error> {
    let wanted = positions(order, key)?;
    let server = positions(server_order, key)?;
    let mut named = Vec::new();
    let mut others = Vec::new();
    for item in merged {
        let identity = identity(&item, key)?;
        match wanted.get(&identity) {
            Some(at) => named.push((*at, identity, item)),
            None => others.push((server.get(&identity).copied().unwrap_or(usize::MAX), identity, item)),
        }
    }
    named.sort_by_key(|(at, ..)| *at);
    others.sort_by_key(|(at, ..)| *at);
    let mut result = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (None, None) => return Ok(result),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((at, ..)), Some((_, identity, _))) => {
                *at != usize::MAX && server.get(identity).is_some_and(|named_at| at < named_at)
            }
        };
        let next = if other_first { others.next() } else { named.next() };
        result.extend(next.map(|(.., item)| item));
    }
}

/// The list of a patch must name only what the wanted order names, in that order.
pub(super) fn check_order(change: &[Value], order: &[Value], key: Option<&str>) -> Result<(), Error> {
    if change.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in change.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        let wanted = identity(item, key)?;
        let mut found = false;
        for candidate in rest.by_ref() {
            if identity(candidate, key)? == wanted {
                found = true;
                break;
            }
        }
        if !found {
            return Err(Error::OrderMismatch {
                patch: go::print(&Value::Array(change.to_vec())),
                order: go::print(&Value::Array(order.to_vec())),
            });
        }
    }
    Ok(())
}

/// Whether the items are objects. All must be of one type, and none a list.
pub(super) fn holds_objects(lists: &[&[Value]]) -> Result<bool, Error> {
    let mut first: Option<&'static str> = None;
    for item in lists.iter().copied().flatten() {
        let found = go::type_name(item);
        match first {
            None if item.is_array() => return Err(Error::ListOfLists),
            None => first = Some(found),
            Some(known) if known != found => {
                let lists = lists.iter().map(|list| Value::Array(list.to_vec())).collect();
                return Err(Error::MixedList(go::print(&Value::Array(lists))));
            }
            Some(_) => {}
        }
    }
    first.map(|found| found == go::type_name(&Value::Object(Map::new()))).ok_or(Error::EmptyLists)
}

fn positions(list: &[Value], key: Option<&str>) -> Result<HashMap<String, usize>, Error> {
    let mut positions = HashMap::with_capacity(list.len());
    for (at, item) in list.iter().enumerate() {
        positions.entry(identity(item, key)?).or_insert(at);
    }
    Ok(positions)
}

fn identity(item: &Value, key: Option<&str>) -> Result<String, Error> {
    key.map_or_else(|| Ok(item.to_string()), |key| key_of(item, key))
}

fn key_of(item: &Value, key: &str) -> Result<String, Error> {
    let Value::Object(members) = item else {
        return Err(Error::WrongType { wanted: "map[string]interface {}", found: go::type_name(item) });
    };
    let value = members.get(key);
    value.map(Value::to_string).ok_or_else(|| Error::MissingMergeKey { item: go::print(item), key: key.to_owned() })
}

fn members(value: Value) -> Result<Map<String, Value>, Error> {
    match value {
        Value::Object(members) => Ok(members),
        other => Err(Error::WrongType { wanted: "map[string]interface {}", found: go::type_name(&other) }),
    }
}
