//! The messages of the Kubernetes API, from the table in `messages.txt`, parsed at first use.

use std::{collections::HashMap, sync::OnceLock};

/// A message in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageId(u32);

/// What one value of a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    String,
    Bytes,
    Bool,
    Int32,
    Int64,
    Double,
    Message(MessageId),
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// JSON text in field 1.
    Raw,
    /// A list of strings, wrapped in a message.
    Strings,
    /// `JSONSchemaPropsOrBool`, with the message of the schema.
    SchemaOrBool(MessageId),
    /// `JSONSchemaPropsOrArray`, with the message of the schema.
    SchemaOrArray(MessageId),
    /// `JSONSchemaPropsOrStringArray`, with the message of the schema.
    SchemaOrStrings(MessageId),
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    Many,
    /// Keyed by strings.
    Map,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(super) number: u32,
    /// The name in JSON; empty for a message whose members stand among those of its parent.
    pub(crate) name: &'static str,
    pub(crate) type_: Type,
    pub(crate) shape: Shape,
    /// Absent and zero differ.
    pub(crate) pointer: bool,
    /// JSON shows it even when it is zero.
    pub(crate) always: bool,
}

/// One message.
#[derive(Debug, Default)]
struct Message {
    /// In the order of their numbers.
    fields: Vec<Field>,
    /// In the order of the Go struct, which is the one of JSON; members of inline messages are in their place.
    members: Vec<Field>,
}

/// All messages.
#[derive(Debug)]
pub(crate) struct Messages {
    messages: Vec<Message>,
    /// By `apiVersion/Kind`.
    kinds: HashMap<String, MessageId>,
    metadata: MessageId,
}

impl Messages {
    /// The table; parsed when first asked for.
    pub(crate) fn get() -> &'static Self {
        static TABLE: OnceLock<Messages> = OnceLock::new();
        TABLE.get_or_init(|| Self::parse(include_str!("messages.txt")))
    }

    /// The message of a kind.
    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<MessageId> {
        self.kinds.get(&format!("{api_version}/{kind}")).copied()
    }

    /// The fields of a message in the order of their numbers.
    pub(super) fn fields(&self, id: MessageId) -> &[Field] {
        self.messages.get(id.0 as usize).map(|message| message.fields.as_slice()).unwrap_or_default()
    }

    /// The members of its JSON in the order of the Go struct.
    pub(crate) fn members(&self, id: MessageId) -> &[Field] {
        self.messages.get(id.0 as usize).map(|message| message.members.as_slice()).unwrap_or_default()
    }

    /// `ObjectMeta`.
    pub(crate) fn metadata(&self) -> MessageId {
        self.metadata
    }

    fn parse(text: &'static str) -> Self {
        let (ids, kinds) = index(text);
        let mut declared: Vec<Vec<Field>> = Vec::with_capacity(ids.len());
        let mut package = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("package ") {
                package = rest.split_once(' ').map_or(rest, |(name, _)| name);
            } else if line.starts_with("message ") {
                declared.push(Vec::new());
            } else if let (Some(field), Some(fields)) = (parse_field(line, package, &ids), declared.last_mut()) {
                fields.push(field);
            }
        }
        let messages = declared
            .iter()
            .map(|fields| {
                let mut message = Message { fields: fields.clone(), members: Vec::with_capacity(fields.len()) };
                message.fields.sort_by_key(|field| field.number);
                flatten(fields, &declared, 0, &mut message.members);
                message
            })
            .collect();
        let metadata = ids.get("meta.v1.ObjectMeta").copied().unwrap_or(MessageId(u32::MAX));
        Self { messages, kinds, metadata }
    }
}

/// Inline messages are inside of each other at most this deep.
const INLINE_DEPTH_MAX: u32 = 4;

/// Adds the members of `fields`, with those of inline messages where these stand.
fn flatten(fields: &[Field], declared: &[Vec<Field>], depth: u32, members: &mut Vec<Field>) {
    for field in fields {
        match field.type_ {
            Type::Message(MessageId(inline)) if field.name.is_empty() && depth < INLINE_DEPTH_MAX => {
                let inner = declared.get(inline as usize).map(Vec::as_slice).unwrap_or_default();
                flatten(inner, declared, depth + 1, members);
            }
            _ => members.push(*field),
        }
    }
}

/// Messages by `package.Name` and by `apiVersion/Name`.
fn index(text: &'static str) -> (HashMap<String, MessageId>, HashMap<String, MessageId>) {
    let (mut ids, mut kinds) = (HashMap::new(), HashMap::new());
    let (mut package, mut api_version) = ("", "");
    let mut next = 0;
    for line in text.lines() {
        if let Some((name, version)) = line.strip_prefix("package ").and_then(|rest| rest.split_once(' ')) {
            (package, api_version) = (name, version);
        } else if let Some(name) = line.strip_prefix("message ") {
            ids.insert(format!("{package}.{name}"), MessageId(next));
            kinds.insert(format!("{api_version}/{name}"), MessageId(next));
            next += 1;
        }
    }
    (ids, kinds)
}

/// A line such as `2 containers []Container!`; comments give `None`.
fn parse_field(line: &'static str, package: &str, ids: &HashMap<String, MessageId>) -> Option<Field> {
    let mut words = line.split(' ');
    let number = words.next()?.parse().ok()?;
    let name = words.next()?;
    let word = words.next()?;
    let (word, always) = word.strip_suffix('!').map_or((word, false), |rest| (rest, true));
    let (word, pointer) = word.strip_suffix('*').map_or((word, false), |rest| (rest, true));
    let (word, shape) = if let Some(item) = word.strip_prefix("[]") {
        (item, Shape::Many)
    } else if let Some(value) = word.strip_prefix("{}") {
        (value, Shape::Map)
    } else {
        (word, Shape::One)
    };
    let message = |name: &str| ids.get(&format!("{package}.{name}")).or_else(|| ids.get(name)).copied();
    let type_ = match word {
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "bool" => Type::Bool,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "double" => Type::Double,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "quantity" => Type::Quantity,
        "intorstring" => Type::IntOrString,
        "raw" => Type::Raw,
        "strings" => Type::Strings,
        "schemaorbool" => Type::SchemaOrBool(message("JSONSchemaProps")?),
        "schemaorarray" => Type::SchemaOrArray(message("JSONSchemaProps")?),
        "schemaorstrings" => Type::SchemaOrStrings(message("JSONSchemaProps")?),
        name => Type::Message(message(name)?),
    };
    // A time is a struct in Go, which `omitempty` does not omit; ObjectMeta's own says `omitzero`.
    let is_time = matches!(type_, Type::Time | Type::MicroTime) && shape == Shape::One && !pointer;
    let always = always || (is_time && name != "creationTimestamp");
    Some(Field { number, name: if name == "." { "" } else { name }, type_, shape, pointer, always })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let text = include_str!("messages.txt");
        let fields = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).count();
        let parsed: usize = Messages::get().messages.iter().map(|message| message.fields.len()).sum();
        assert_eq!(parsed, fields);
        assert!(fields > 4000, "{fields}");
    }

    #[test]
    fn members_of_inline_messages_stand_in_their_place() {
        let messages = Messages::get();
        let names = |kind: &str| -> Vec<&str> {
            let id = messages.of_kind("v1", kind).expect("a message");
            messages.members(id).iter().map(|field| field.name).collect()
        };
        assert_eq!(names("ConfigMapKeySelector"), ["name", "key", "optional"]);
        assert_eq!(names("Volume")[..3], ["name", "hostPath", "emptyDir"]);
        assert_eq!(messages.members(messages.metadata())[0].name, "name");
        assert!(messages.messages.iter().all(|message| message.members.iter().all(|member| !member.name.is_empty())));
    }
}
