//! Objects in the order of their members: as Go's structs have it, or by name.

use std::ops::Range;

use serde_json::{Map, Value};

use super::{Encoded, Style, by_name, separate, write, write_string};
use crate::protobuf::{
    message_of,
    messages::{Field, MessageId, Messages, Shape, Type},
};

/// Encodes an object. The document must have a `metadata` object; every stored one does. `owners` is its
/// `metadata.managedFields` as JSON, where the document is without them; else empty.
pub(crate) fn encode_object(object: &Value, owners: &[u8], head: &[u8], style: Style) -> Encoded {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(head);
    let head = out.len();
    let mut places = Places::default();
    let mut adds = false;
    let mut first = true;
    let empty = Map::new();
    let members = object.as_object().unwrap_or(&empty);
    let messages = Messages::get();
    let known = match style {
        Style::BuiltIn => messages.of_kind(machinery::meta::api_version(object), machinery::meta::kind(object)),
        Style::Custom => None,
    };
    let mut start = |out: &mut Vec<u8>, name: &str| {
        separate(out, &mut first);
        write_string(out, name);
        out.push(b':');
    };
    let mut metadata = |out: &mut Vec<u8>, value: &Value| match value {
        Value::Object(metadata) => places = metadata_with_places(out, metadata, owners, style),
        other => write(out, other),
    };
    let declared = known.map(|id| messages.members(id)).unwrap_or_default();
    let Placed { known, unknown } = Placed::of(members, known);
    let mut known = known.into_iter().peekable();
    for (at, field) in (0..).zip(declared) {
        let value = known.next_if(|(position, _)| *position == at).map(|(_, value)| value);
        if value.is_none() && !field.always {
            continue;
        }
        start(&mut out, field.name);
        match value {
            Some(value) if field.name == "metadata" => metadata(&mut out, value),
            Some(value) => adds |= write_field(&mut out, value, field),
            None => {
                adds = true;
                write_zero(&mut out, field);
            }
        }
    }
    if declared.is_empty()
        && style == Style::BuiltIn
        && let Some(value) = members.get("metadata")
    {
        start(&mut out, "metadata");
        metadata(&mut out, value);
    }
    for (name, value) in unknown {
        let is_metadata = name == "metadata";
        if matches!(name.as_str(), "kind" | "apiVersion") || (is_metadata && style == Style::BuiltIn) {
            continue;
        }
        start(&mut out, name);
        if is_metadata { metadata(&mut out, value) } else { write(&mut out, value) }
    }
    if first {
        out.pop();
    }
    out.push(b'}');
    let adds = adds || places.adds;
    Encoded { bytes: out, head, revision: places.revision, managed_fields: places.managed_fields, adds }
}

/// Encodes a document that is not stored, as those of discovery and a Scale: in the order of its Go struct, if it has one.
pub(crate) fn encode_document(document: &Value) -> Vec<u8> {
    let version = Some(machinery::meta::api_version(document)).filter(|version| !version.is_empty());
    let known = message_of(Messages::get(), version.unwrap_or("v1"), machinery::meta::kind(document));
    let (Value::Object(members), Some(id)) = (document, known) else { return super::encode(document) };
    let mut members = members.clone();
    let mut out = vec![b'{'];
    let mut first = true;
    for name in ["kind", "apiVersion"] {
        if let Some(value) = members.remove(name) {
            separate(&mut out, &mut first);
            write_string(&mut out, name);
            out.push(b':');
            write(&mut out, &value);
        }
    }
    let mut body = Vec::with_capacity(1024);
    write_message(&mut body, &members, id);
    if body.len() > 2 {
        separate(&mut out, &mut first);
    }
    out.extend_from_slice(&body[1..]);
    out
}

/// Writes metadata in the order of the Go struct.
pub(crate) fn write_metadata(out: &mut Vec<u8>, metadata: &Map<String, Value>) {
    metadata_with_places(out, metadata, b"", Style::BuiltIn);
}

/// The members of a document.
struct Placed<'v> {
    /// Those that the Go struct has, by where they are in it.
    known: Vec<(u16, &'v Value)>,
    /// Those that it does not have, by name.
    unknown: Vec<(&'v String, &'v Value)>,
}

impl<'v> Placed<'v> {
    fn of(members: &'v Map<String, Value>, message: Option<MessageId>) -> Self {
        let mut placed = Self { known: Vec::with_capacity(members.len()), unknown: Vec::new() };
        let mut fields = message.map(|id| Messages::get().by_name(id));
        by_name(members, |name, value| match fields.as_mut().and_then(|fields| fields.find(name)) {
            Some((at, _)) => placed.known.push((at, value)),
            None => placed.unknown.push((name, value)),
        });
        placed.known.sort_unstable_by_key(|(at, _)| *at);
        placed
    }
}

/// Writes a document of a message. True: with members that it does not have.
fn write_message(out: &mut Vec<u8>, members: &Map<String, Value>, id: MessageId) -> bool {
    let Placed { known, unknown } = Placed::of(members, Some(id));
    let mut known = known.into_iter().peekable();
    let mut first = true;
    let mut adds = false;
    let mut start = |out: &mut Vec<u8>, name: &str| {
        separate(out, &mut first);
        write_string(out, name);
        out.push(b':');
    };
    out.push(b'{');
    for (at, field) in (0..).zip(Messages::get().members(id)) {
        if let Some((_, value)) = known.next_if(|(position, _)| *position == at) {
            start(out, field.name);
            adds |= write_field(out, value, field);
        } else if field.always {
            adds = true;
            start(out, field.name);
            write_zero(out, field);
        }
    }
    for (name, value) in unknown {
        start(out, name);
        write(out, value);
    }
    out.push(b'}');
    adds
}

fn write_field(out: &mut Vec<u8>, value: &Value, field: &Field) -> bool {
    let mut adds = false;
    match (field.shape, value) {
        (Shape::One, value) => adds = write_one(out, value, field.type_),
        (Shape::Many, Value::Array(items)) => {
            out.push(b'[');
            let mut first = true;
            for item in items {
                separate(out, &mut first);
                adds |= write_one(out, item, field.type_);
            }
            out.push(b']');
        }
        (Shape::Map, Value::Object(members)) => {
            out.push(b'{');
            let mut first = true;
            by_name(members, |name, value| {
                separate(out, &mut first);
                write_string(out, name);
                out.push(b':');
                adds |= write_one(out, value, field.type_);
            });
            out.push(b'}');
        }
        (Shape::Many | Shape::Map, other) => write(out, other),
    }
    adds
}

fn write_one(out: &mut Vec<u8>, value: &Value, type_: Type) -> bool {
    match (type_, value) {
        (
            Type::Message(id) | Type::SchemaOrBool(id) | Type::SchemaOrArray(id) | Type::SchemaOrStrings(id),
            Value::Object(members),
        ) => write_message(out, members, id),
        (_, other) => {
            write(out, other);
            false
        }
    }
}

/// What Go writes for a member that nobody set and that has no `omitempty`.
fn write_zero(out: &mut Vec<u8>, field: &Field) {
    let nothing = field.pointer || field.shape != Shape::One;
    match field.type_ {
        _ if nothing => out.extend_from_slice(b"null"),
        Type::String => out.extend_from_slice(b"\"\""),
        Type::Bool => out.extend_from_slice(b"false"),
        Type::Int32 | Type::Int64 | Type::Double | Type::IntOrString => out.push(b'0'),
        Type::Quantity => out.extend_from_slice(b"\"0\""),
        Type::Message(id) => {
            write_message(out, &Map::new(), id);
        }
        Type::Bytes
        | Type::Time
        | Type::MicroTime
        | Type::Raw
        | Type::Strings
        | Type::SchemaOrBool(_)
        | Type::SchemaOrArray(_)
        | Type::SchemaOrStrings(_) => out.extend_from_slice(b"null"),
    }
}

/// What is interesting in encoded metadata.
#[derive(Default)]
struct Places {
    revision: Range<usize>,
    managed_fields: Range<usize>,
    adds: bool,
}

/// Writes `metadata` and returns what is where.
fn metadata_with_places(out: &mut Vec<u8>, metadata: &Map<String, Value>, owners: &[u8], style: Style) -> Places {
    const OWNERS: &str = "managedFields";
    let mut places = Places::default();
    let mut first = true;
    let mut member = |out: &mut Vec<u8>, name: &str, content: &dyn Fn(&mut Vec<u8>) -> bool| {
        separate(out, &mut first);
        write_string(out, name);
        out.push(b':');
        let start = out.len();
        places.adds |= content(out);
        match name {
            "resourceVersion" if out.get(start) == Some(&b'"') => places.revision = start + 1..out.len() - 1,
            OWNERS => places.managed_fields = start..out.len(),
            _ => {}
        }
    };
    let spliced = |out: &mut Vec<u8>| {
        out.extend_from_slice(owners);
        false
    };
    let mut pending = !owners.is_empty();
    out.push(b'{');
    let message = (style == Style::BuiltIn).then(|| Messages::get().metadata());
    let Placed { known, unknown } = Placed::of(metadata, message);
    let mut known = known.into_iter().peekable();
    for (at, field) in (0..).zip(message.map(|id| Messages::get().members(id)).unwrap_or_default()) {
        let value = known.next_if(|(position, _)| *position == at).map(|(_, value)| value);
        if pending && field.name == OWNERS {
            pending = false;
            member(out, OWNERS, &spliced);
        } else if let Some(value) = value {
            member(out, field.name, &|out| write_field(out, value, field));
        }
    }
    for (name, value) in unknown {
        if name.as_str() > OWNERS && std::mem::take(&mut pending) {
            member(out, OWNERS, &spliced);
        }
        member(out, name, &|out| {
            write(out, value);
            false
        });
    }
    if pending {
        member(out, OWNERS, &spliced);
    }
    out.push(b'}');
    places
}
