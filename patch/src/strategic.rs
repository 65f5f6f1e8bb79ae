//! Strategic merge patch: a merge patch that merges lists too, where the schema says so.
//!
//! Directives inside of the patch: `$patch` (delete, replace), `$retainKeys`, `$setElementOrder/<field>`,
//! `$deleteFromPrimitiveList/<field>`. Semantics and words are those of apimachinery's `strategicpatch`.

mod list;

use schema::{Node, PatchStrategy};
use serde_json::{Map, Value};

use crate::go;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";

/// Why a strategic merge patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The document or the patch is no object.
    #[error("invalid JSON document")]
    NotAnObject,
    /// A list item lacks the field that tells it apart.
    #[error("map: {item} does not contain declared merge key: {key}")]
    MissingMergeKey {
        /// The item as Go prints it.
        item: String,
        /// The merge key.
        key: String,
    },
    /// `$patch` has a value that means nothing here.
    #[error("unknown patch type: {directive} in map: {map}")]
    UnknownDirective {
        /// The value.
        directive: String,
        /// The object that holds it, as Go prints it.
        map: String,
    },
    /// `$patch: merge` in a list item.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirectiveInList,
    /// `$retainKeys` is no list, or the patch sets a key that it does not retain.
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    /// `$deleteFromPrimitiveList` without a field.
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    /// `$setElementOrder` without a field.
    #[error("invalid patch format of setElementOrder list")]
    SetElementOrder,
    /// The patch's list and its `$setElementOrder` disagree.
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    OrderMismatch {
        /// The list as Go prints it.
        patch: String,
        /// The wanted order as Go prints it.
        order: String,
    },
    /// A merged list holds lists.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// A merged list holds items of different types.
    #[error("list element types are not identical: {0}")]
    MixedList(String),
    /// An order was given for a list that is empty.
    #[error("no elements in any of the given slices")]
    EmptyLists,
    /// A list of objects shall be merged, and the schema has no merge key.
    #[error("cannot merge lists without merge key for {0}")]
    NoMergeKey(String),
    /// A value has another type than its role asks for.
    #[error("expected a {wanted}, but received a {found}")]
    WrongType {
        /// The Go type wanted.
        wanted: &'static str,
        /// The Go type found.
        found: &'static str,
    },
}

/// Applies `patch` to `document`, whose schema is `node`.
pub fn apply(document: Value, patch: Value, node: Node<'_>) -> Result<Value, Error> {
    match (document, patch) {
        (Value::Object(document), Value::Object(patch)) => merge_object(document, patch, Some(node)).map(Value::Object),
        _ => Err(Error::NotAnObject),
    }
}

fn strategy(node: Option<Node<'_>>) -> Option<&PatchStrategy> {
    node.and_then(Node::patch_strategy)
}

fn merge_object(
    mut members: Map<String, Value>,
    mut patch: Map<String, Value>,
    node: Option<Node<'_>>,
) -> Result<Map<String, Value>, Error> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => {
                Err(Error::UnknownDirective { directive: go::print(directive), map: go::print(&Value::Object(patch)) })
            }
        };
    }
    retain_keys(&mut members, &mut patch)?;
    set_element_order(&mut members, &mut patch, node)?;
    for (name, change) in patch {
        if name.starts_with(DELETE_FROM_PRIMITIVE_LIST) {
            let field = field_of(&name, DELETE_FROM_PRIMITIVE_LIST).ok_or(Error::PrimitiveList)?;
            delete_scalars(&mut members, field, &change)?;
            continue;
        }
        if change.is_null() {
            members.remove(&name);
            continue;
        }
        let schema = node.and_then(|node| node.member(&name));
        let merged = match (members.remove(&name), change) {
            (Some(Value::Object(old)), Value::Object(change)) => {
                if strategy(schema).is_some_and(|strategy| strategy.replace) {
                    Some(Value::Object(change))
                } else {
                    Some(Value::Object(merge_object(old, change, schema)?))
                }
            }
            (Some(Value::Array(old)), Value::Array(change)) => {
                Some(Value::Array(merge_list(old, change, schema)?.items))
            }
            (_, change) => without_directives(change),
        };
        if let Some(merged) = merged {
            members.insert(name, merged);
        }
    }
    Ok(members)
}

fn merge_list(old: Vec<Value>, change: Vec<Value>, schema: Option<Node<'_>>) -> Result<list::Merged, Error> {
    match strategy(schema).filter(|strategy| strategy.merge) {
        Some(strategy) => list::merge(old, change, strategy.merge_key.as_deref(), schema),
        None => Ok(list::Merged { items: change, server_order: old }),
    }
}

/// The field that a directive like `$setElementOrder/<field>` names.
fn field_of<'n>(name: &'n str, directive: &str) -> Option<&'n str> {
    name.strip_prefix(directive)?.strip_prefix('/')
}

/// Removes what `$retainKeys` does not list. The patch may set only what it retains.
fn retain_keys(members: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Error> {
    let Some(kept) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(kept) = kept else { return Err(Error::RetainKeys) };
    let kept: std::collections::HashSet<&str> = kept.iter().filter_map(Value::as_str).collect();
    let stray = patch.iter().any(|(name, change)| {
        !change.is_null()
            && !name.starts_with(DELETE_FROM_PRIMITIVE_LIST)
            && !name.starts_with(SET_ELEMENT_ORDER)
            && !kept.contains(name.as_str())
    });
    if stray {
        return Err(Error::RetainKeys);
    }
    members.retain(|name, _| kept.contains(name.as_str()));
    Ok(())
}

fn delete_scalars(members: &mut Map<String, Value>, field: &str, gone: &Value) -> Result<(), Error> {
    let (Some(Value::Array(items)), Value::Array(gone)) = (members.get_mut(field), gone) else { return Ok(()) };
    if items.is_empty() && gone.is_empty() {
        return Ok(());
    }
    if list::holds_objects(&[items, gone])? {
        return Err(Error::NoMergeKey(field.to_owned()));
    }
    let gone: std::collections::HashSet<String> = gone.iter().map(Value::to_string).collect();
    items.retain(|item| !gone.contains(&item.to_string()));
    Ok(())
}

/// Merges every list for which the patch wants an order, and takes it out of the patch.
fn set_element_order(
    members: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    node: Option<Node<'_>>,
) -> Result<(), Error> {
    let directives: Vec<String> = patch.keys().filter(|name| name.starts_with(SET_ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let Some(order) = patch.remove(&directive) else { continue };
        let order = as_list(order)?;
        let field = field_of(&directive, SET_ELEMENT_ORDER).ok_or(Error::SetElementOrder)?;
        let schema = node.and_then(|node| node.member(field));
        let merge_key = strategy(schema).and_then(|strategy| strategy.merge_key.as_deref());
        let old = members.remove(field).map(as_list).transpose()?;
        let change = patch.remove(field).map(as_list).transpose()?;
        if let Some(change) = &change {
            list::check_order(change, &order, merge_key)?;
        }
        let types = [old.as_deref().unwrap_or_default(), change.as_deref().unwrap_or_default()];
        let objects = old.is_none() && change.is_none() || list::holds_objects(&types)?;
        let merged = match (old, change) {
            (None, None) => continue,
            (Some(old), None) => list::Merged { items: old.clone(), server_order: old },
            (None, Some(change)) => list::Merged {
                items: change.into_iter().filter_map(without_directives).collect(),
                server_order: Vec::new(),
            },
            (Some(old), Some(change)) => merge_list(old, change, schema)?,
        };
        let merged = list::arrange(merged.items, &order, &merged.server_order, merge_key.filter(|_| objects))?;
        members.insert(field.to_owned(), Value::Array(merged));
    }
    Ok(())
}

fn as_list(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(Error::WrongType { wanted: "[]interface {}", found: go::type_name(&other) }),
    }
}

/// What remains of a patch value where nothing is there to patch: objects with a directive go, and so do nulls.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(members) => {
            if members.contains_key(DIRECTIVE) {
                return None;
            }
            let kept = members.into_iter().filter(|(_, member)| !member.is_null());
            Some(Value::Object(kept.filter_map(|(name, member)| Some((name, without_directives(member)?))).collect()))
        }
        Value::Array(items) => Some(items.into_iter().filter_map(without_directives).collect()),
        scalar => Some(scalar),
    }
}

/// A patch as upstream shows it in errors: `map[data:[]]`.
pub fn shown(patch: &Value) -> String {
    crate::go::print(patch)
}

#[cfg(test)]
mod tests;
