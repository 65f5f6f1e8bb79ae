//! The messages of the Kubernetes API, from the table in `messages.txt`.

use std::{
    cmp::Ordering,
    collections::HashMap,
    sync::{LazyLock, OnceLock},
};

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

/// One message. Its lines are read when it is first asked for: most never are.
#[derive(Debug)]
struct Message {
    package: &'static str,
    lines: &'static str,
    read: OnceLock<Read>,
}

/// What the lines of a message say.
#[derive(Debug, Default)]
struct Read {
    /// In the order of their numbers.
    fields: Vec<Field>,
    /// In the order of the Go struct, which is the one of JSON; members of inline messages are in their place.
    members: Vec<Field>,
    /// Where they are in it, in the order of their names.
    by_name: Vec<u16>,
}

/// All messages.
#[derive(Debug)]
pub(crate) struct Messages {
    messages: Vec<Message>,
    /// By package and name.
    ids: HashMap<(&'static str, &'static str), MessageId>,
    /// By `apiVersion` and `kind`.
    kinds: HashMap<(&'static str, &'static str), MessageId>,
    metadata: MessageId,
}

impl Messages {
    /// The table; made when first asked for.
    pub(crate) fn get() -> &'static Self {
        static TABLE: LazyLock<Messages> = LazyLock::new(|| Messages::of(include_str!("messages.txt")));
        &TABLE
    }

    /// The message of a kind.
    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<MessageId> {
        self.kinds.get(&(api_version, kind)).copied()
    }

    /// The fields of a message in the order of their numbers.
    pub(super) fn fields(&self, id: MessageId) -> &[Field] {
        self.read(id).map(|message| message.fields.as_slice()).unwrap_or_default()
    }

    /// The members of its JSON in the order of the Go struct.
    pub(crate) fn members(&self, id: MessageId) -> &[Field] {
        self.read(id).map(|message| message.members.as_slice()).unwrap_or_default()
    }

    /// The members of its JSON, to be found in the order of their names.
    pub(crate) fn by_name(&self, id: MessageId) -> ByName<'_> {
        let message = self.read(id);
        let (members, order) = message.map(|message| (&*message.members, &*message.by_name)).unwrap_or_default();
        ByName { members, order }
    }

    /// `ObjectMeta`.
    pub(crate) fn metadata(&self) -> MessageId {
        self.metadata
    }

    /// Takes note of where every message is in the table.
    fn of(text: &'static str) -> Self {
        let (mut messages, mut ids, mut kinds) = (Vec::new(), HashMap::new(), HashMap::new());
        for part in text.split("\npackage ").skip(1) {
            let (head, messages_of) = part.split_at(part.find('\n').unwrap_or(part.len()));
            let (package, api_version) = head.split_once(' ').unwrap_or((head, ""));
            for message in messages_of.split("\nmessage ").skip(1) {
                let (name, lines) = message.split_once('\n').unwrap_or((message, ""));
                let id = MessageId(messages.len() as u32);
                ids.insert((package, name), id);
                kinds.insert((api_version, name), id);
                messages.push(Message { package, lines, read: OnceLock::new() });
            }
        }
        let metadata = ids.get(&("meta.v1", "ObjectMeta")).copied().unwrap_or(MessageId(u32::MAX));
        Self { messages, ids, kinds, metadata }
    }

    fn read(&self, id: MessageId) -> Option<&Read> {
        let message = self.messages.get(id.0 as usize)?;
        Some(message.read.get_or_init(|| {
            let mut read = Read { fields: self.declared(message), ..Read::default() };
            self.flatten(&read.fields, 0, &mut read.members);
            read.fields.sort_by_key(|field| field.number);
            read.by_name = (0..read.members.len() as u16).collect();
            read.by_name.sort_by_key(|at| read.members[usize::from(*at)].name);
            read
        }))
    }

    /// The fields of a message, as its lines declare them.
    fn declared(&self, message: &Message) -> Vec<Field> {
        message.lines.lines().filter_map(|line| parse_field(line, message.package, &self.ids)).collect()
    }

    /// Adds the members of `fields`, with those of inline messages where these stand.
    fn flatten(&self, fields: &[Field], depth: u32, members: &mut Vec<Field>) {
        for field in fields {
            match field.type_ {
                Type::Message(inline) if field.name.is_empty() && depth < INLINE_DEPTH_MAX => {
                    let inner = self.messages.get(inline.0 as usize).map(|message| self.declared(message));
                    self.flatten(&inner.unwrap_or_default(), depth + 1, members);
                }
                _ => members.push(*field),
            }
        }
    }
}

/// Finds members of a message for one who goes through a document in the order of names.
pub(crate) struct ByName<'m> {
    members: &'m [Field],
    order: &'m [u16],
}

impl<'m> ByName<'m> {
    /// The member of that name, and where it stands in the Go struct. Names must come in order.
    pub(crate) fn find(&mut self, name: &str) -> Option<(u16, &'m Field)> {
        while let Some((at, rest)) = self.order.split_first() {
            let field = self.members.get(usize::from(*at))?;
            match field.name.cmp(name) {
                Ordering::Less => self.order = rest,
                Ordering::Equal => {
                    self.order = rest;
                    return Some((*at, field));
                }
                Ordering::Greater => return None,
            }
        }
        None
    }
}

/// Inline messages are inside of each other at most this deep.
const INLINE_DEPTH_MAX: u32 = 4;

/// A line such as `2 containers []Container!`; comments give `None`.
fn parse_field(
    line: &'static str,
    package: &'static str,
    ids: &HashMap<(&'static str, &'static str), MessageId>,
) -> Option<Field> {
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
    let message = |name: &'static str| ids.get(&(package, name)).or_else(|| ids.get(&name.rsplit_once('.')?)).copied();
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
        let messages = Messages::get();
        let parsed: usize = messages.messages.iter().map(|message| messages.declared(message).len()).sum();
        let all = (0..messages.messages.len() as u32).map(MessageId);
        assert_eq!(all.map(|id| messages.fields(id).len()).sum::<usize>(), parsed);
        assert_eq!(parsed, fields);
        assert!(fields > 4000, "{fields}");
    }

    #[test]
    fn members_are_found_by_name_in_order() {
        let messages = Messages::get();
        let id = messages.of_kind("v1", "Volume").expect("a message");
        let mut by_name = messages.by_name(id);
        for (name, found) in
            [("aa", false), ("configMap", true), ("configMap2", false), ("hostPath", true), ("name", true)]
        {
            let place = by_name.find(name);
            assert_eq!(place.map(|(_, field)| field.name), found.then_some(name));
            assert!(place.is_none_or(|(at, field)| messages.members(id)[usize::from(at)].name == field.name));
        }
        assert!(by_name.find("zz").is_none() && by_name.find("zzz").is_none());
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
        let mut all = (0..messages.messages.len() as u32).map(MessageId);
        assert!(all.all(|id| messages.members(id).iter().all(|member| !member.name.is_empty())));
    }
}
