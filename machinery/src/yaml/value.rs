//! From nodes to JSON.

use std::collections::HashSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value};

use super::{
    Duplicate, Error,
    node::{Id, Kind, Node, Tree},
    scalar::{Scalar, resolve},
};
use crate::{
    field::quote,
    float,
    limits::{DOCUMENT_DEPTH_MAX, REQUEST_BODY_BYTES_MAX},
};

/// Most duplicate keys that are reported.
const DUPLICATES_MAX: usize = 1000;

/// A document as JSON, and the keys that stand twice in it.
pub(super) struct Converted {
    pub(super) value: Value,
    pub(super) duplicates: Vec<Duplicate>,
}

pub(super) fn convert(tree: &Tree) -> Result<Converted, Error> {
    let mut converter = Converter { tree, duplicates: Vec::new(), aliases: Vec::new(), effort: Effort::default() };
    let value = converter.value(Tree::ROOT, 0)?;
    Ok(Converted { value, duplicates: converter.duplicates })
}

/// What reading has cost so far. go-yaml bounds the share of nodes that come from aliases; since a value here owns
/// its text, the bytes that aliases copy are bounded as well.
#[derive(Default)]
struct Effort {
    nodes: u64,
    aliased_nodes: u64,
    aliased_bytes: usize,
}

impl Effort {
    fn count(&mut self, node: &Node, aliased: bool) -> Result<(), Error> {
        self.nodes += 1;
        if aliased {
            self.aliased_nodes += 1;
            if let Kind::Scalar { text, .. } = &node.kind {
                self.aliased_bytes += text.len();
            }
        }
        let share = self.aliased_nodes as f64 / self.nodes as f64;
        let nodes_exceeded = self.aliased_nodes > 100 && self.nodes > 1000 && share > allowed_share(self.nodes);
        if nodes_exceeded || self.aliased_bytes > 4 * REQUEST_BODY_BYTES_MAX {
            return Err(Error::Content("document contains excessive aliasing".to_owned()));
        }
        Ok(())
    }
}

/// 99 % for small documents, down to 10 % for large ones.
fn allowed_share(nodes: u64) -> f64 {
    const LOW: f64 = 400_000.0;
    const HIGH: f64 = 4_000_000.0;
    let beyond = ((nodes as f64 - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
    0.99 - 0.89 * beyond
}

struct Converter<'a> {
    tree: &'a Tree,
    duplicates: Vec<Duplicate>,
    /// Targets of the aliases that are being followed.
    aliases: Vec<Id>,
    effort: Effort,
}

/// A mapping under construction, with the keys as they were typed.
#[derive(Default)]
struct Entries {
    map: Map<String, Value>,
    seen: HashSet<String>,
}

impl Converter<'_> {
    fn value(&mut self, id: Id, depth: usize) -> Result<Value, Error> {
        if depth > DOCUMENT_DEPTH_MAX {
            return Err(Error::Content(format!("exceeded max depth of {DOCUMENT_DEPTH_MAX}")));
        }
        let node = self.tree.node(id);
        self.effort.count(node, !self.aliases.is_empty())?;
        match &node.kind {
            Kind::Scalar { text, plain, tag } => scalar(text, *plain, tag),
            Kind::Sequence(items) => items.iter().map(|item| self.value(*item, depth + 1)).collect(),
            Kind::Mapping(entries) => {
                let mut into = Entries::default();
                self.mapping(entries, depth, &mut into)?;
                Ok(Value::Object(into.map))
            }
            Kind::Alias { name, target } => {
                self.enter(name, *target)?;
                let value = self.value(*target, depth + 1)?;
                self.aliases.pop();
                Ok(value)
            }
        }
    }

    fn enter(&mut self, name: &str, target: Id) -> Result<(), Error> {
        if self.aliases.contains(&target) {
            return Err(Error::Content(format!("anchor '{name}' value contains itself")));
        }
        self.aliases.push(target);
        Ok(())
    }

    /// Adds the entries in their order; a merge adds its own where it stands.
    fn mapping(&mut self, entries: &[(Id, Id)], depth: usize, into: &mut Entries) -> Result<(), Error> {
        for (key, value) in entries {
            if self.is_merge(*key) {
                self.merge(*value, depth + 1, into)?;
                continue;
            }
            let (at, line) = (self.tree.node(*key).at, self.tree.node(*value).at.line);
            let key = self.key(*key)?;
            let value = self.value(*value, depth + 1)?;
            if !into.seen.insert(key.typed.clone()) && self.duplicates.len() < DUPLICATES_MAX {
                let text = format!("line {line}: key {} already set in map", key.typed);
                self.duplicates.push(Duplicate { at, text });
            }
            into.map.insert(key.text, value);
        }
        Ok(())
    }

    fn is_merge(&self, key: Id) -> bool {
        match &self.tree.node(key).kind {
            Kind::Scalar { text, plain, tag } => text == "<<" && (*plain || tag == "!!merge"),
            _ => false,
        }
    }

    /// Adds the entries of a mapping, or of a list of mappings of which the first ones win.
    fn merge(&mut self, id: Id, depth: usize, into: &mut Entries) -> Result<(), Error> {
        if depth > DOCUMENT_DEPTH_MAX {
            return Err(Error::Content(format!("exceeded max depth of {DOCUMENT_DEPTH_MAX}")));
        }
        let node = self.tree.node(id);
        self.effort.count(node, !self.aliases.is_empty())?;
        match &node.kind {
            Kind::Mapping(entries) => self.mapping(entries, depth, into),
            Kind::Alias { name, target } if matches!(self.tree.node(*target).kind, Kind::Mapping(_)) => {
                self.enter(name, *target)?;
                self.merge(*target, depth + 1, into)?;
                self.aliases.pop();
                Ok(())
            }
            Kind::Sequence(items) => items.iter().rev().try_for_each(|item| match self.tree.node(*item).kind {
                Kind::Mapping(_) | Kind::Alias { .. } => self.merge(*item, depth + 1, into),
                _ => Err(not_mergeable()),
            }),
            _ => Err(not_mergeable()),
        }
    }

    fn key(&mut self, id: Id) -> Result<Key, Error> {
        let node = match self.tree.node(id) {
            Node { kind: Kind::Alias { target, .. }, .. } => self.tree.node(*target),
            node => node,
        };
        self.effort.count(node, !self.aliases.is_empty())?;
        let Kind::Scalar { text, plain, tag } = &node.kind else {
            return Err(Error::Content("invalid map key".to_owned()));
        };
        match meaning(text, *plain, tag)? {
            Scalar::Null => Err(not_a_key("<nil>")),
            Scalar::Uint(_) => Err(not_a_key("uint64")),
            Scalar::Bool(value) => Ok(Key::bare(value.to_string())),
            Scalar::Int(value) => Ok(Key::bare(value.to_string())),
            Scalar::Float(value) => Ok(Key::bare(float_key(value))),
            Scalar::Timestamp | Scalar::Text => Ok(Key { typed: quote(text), text: text.clone() }),
        }
    }
}

/// A key as JSON has it, and as Go prints its value.
struct Key {
    text: String,
    typed: String,
}

impl Key {
    fn bare(text: String) -> Self {
        Self { typed: text.clone(), text }
    }
}

/// go-yaml writes a float key with the precision of 32 bits.
fn float_key(value: f64) -> String {
    if value.is_nan() {
        ".nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        float::to_text(value as f32)
    }
}

fn not_a_key(go_type: &str) -> Error {
    Error::NotJson(format!("unsupported map key of type: {go_type}"))
}

fn not_mergeable() -> Error {
    Error::Content("map merge requires map or sequence of maps as the value".to_owned())
}

/// What a scalar means, its tag considered.
fn meaning(text: &str, plain: bool, tag: &str) -> Result<Scalar, Error> {
    let (wanted, scalar) = match tag {
        "" if plain => return Ok(resolve(text)),
        "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp" => (tag, resolve(text)),
        // Text, and tags that mean something to somebody else.
        _ => return Ok(Scalar::Text),
    };
    let (found, scalar) = match scalar {
        Scalar::Int(value) if wanted == "!!float" => ("!!float", Scalar::Float(value as f64)),
        Scalar::Int(_) | Scalar::Uint(_) => ("!!int", scalar),
        Scalar::Bool(_) => ("!!bool", scalar),
        Scalar::Float(_) => ("!!float", scalar),
        Scalar::Null => ("!!null", scalar),
        Scalar::Timestamp => ("!!timestamp", scalar),
        Scalar::Text => ("!!str", scalar),
    };
    if found == wanted {
        Ok(scalar)
    } else {
        Err(Error::Content(format!("cannot decode {found} `{text}` as a {wanted}")))
    }
}

fn scalar(text: &str, plain: bool, tag: &str) -> Result<Value, Error> {
    if tag == "!!binary" {
        let bytes = STANDARD.decode(text.replace(['\n', '\r'], ""));
        let bytes = bytes.map_err(|_| Error::Content("!!binary value contains invalid base64 data".to_owned()))?;
        return Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    }
    Ok(match meaning(text, plain, tag)? {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(value),
        Scalar::Int(value) => Value::from(value),
        Scalar::Uint(value) => Value::from(value),
        Scalar::Float(value) => float(value)?,
        Scalar::Timestamp | Scalar::Text => Value::String(text.to_owned()),
    })
}

/// A float as Go's JSON writes it and reads it back: one without a fraction becomes an integer, if one can hold it.
fn float(value: f64) -> Result<Value, Error> {
    let Some(number) = Number::from_f64(value) else {
        let name = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return Err(Error::NotJson(format!("json: unsupported value: {name}")));
    };
    if value.fract() != 0.0 || value.abs() >= 1e21 {
        return Ok(Value::Number(number));
    }
    let digits = value.to_string();
    let integer = digits.parse::<i64>().map(Value::from).or_else(|_| digits.parse::<u64>().map(Value::from));
    Ok(integer.unwrap_or(Value::Number(number)))
}
