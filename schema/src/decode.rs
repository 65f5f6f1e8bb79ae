//! Reads documents of Rust types as Go's JSON decoder reads them into Go types: checks types, writes values in their
//! canonical form, drops nulls.

use std::borrow::Cow;

use base64::{
    DecodeError as DecodeError64, Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use machinery::{json_type::json_type, quantity::Quantity, time};
use serde_json::{Number, Value};

use crate::{
    embedded,
    tree::{Additional, Node, Type},
};

/// Why a document does not decode, in the words of Go's `encoding/json`:
/// `json: cannot unmarshal number into Go struct field ConfigMap.data of type string`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

impl Node<'_> {
    /// Decodes `value` in place. Nulls go (in lists and maps they become the zero value), and so do empty lists and maps that
    /// nobody demands; quantities and times get their
    /// canonical form, and the first value of a wrong type is the error. In a custom resource only what is typed (`apiVersion`, `kind`,
    /// `metadata`) is decoded. Unknown members are left alone.
    pub fn decode(self, value: &mut Value) -> Result<(), DecodeError> {
        self.decode_with(value, true)
    }

    /// The same for one who knows better which empty lists and maps stay.
    pub fn decode_keeping_empties(self, value: &mut Value) -> Result<(), DecodeError> {
        self.decode_with(value, false)
    }

    fn decode_with(self, value: &mut Value, omits: bool) -> Result<(), DecodeError> {
        let mut decoder = Decoder { omits, error: None, structure: "", path: Vec::new(), depth: 0 };
        decoder.value(value, self);
        decoder.error.map_or(Ok(()), |fault| Err(DecodeError(fault.worded(&decoder.path))))
    }
}

struct Decoder<'s> {
    /// Whether empty lists and maps go.
    omits: bool,
    error: Option<Fault<'s>>,
    /// The Go type whose field is being read; empty outside of every struct.
    structure: &'s str,
    /// Names of the fields from the error to the root: gathered on the way back, so that a good document costs nothing.
    path: Vec<String>,
    /// How many values of a custom resource are around this one.
    depth: usize,
}

/// The first error. Where it is is known when it has reached the root.
enum Fault<'s> {
    Said(String),
    /// In a resource within another.
    Below(String),
    Type {
        found: String,
        structure: &'s str,
        wanted: String,
    },
}

impl Fault<'_> {
    /// What is wrong, given the names of the fields from there to the root.
    fn worded(&self, path: &[String]) -> String {
        let path = || path.iter().rev().map(String::as_str).collect::<Vec<_>>().join(".");
        match self {
            Self::Said(error) => error.clone(),
            Self::Below(error) => format!("{}: {error}", path().replace(".[", "[")),
            Self::Type { found, structure: "", wanted } => {
                format!("json: cannot unmarshal {found} into Go value of type {wanted}")
            }
            Self::Type { found, structure, wanted } => {
                format!("json: cannot unmarshal {found} into Go struct field {structure}.{} of type {wanted}", path())
            }
        }
    }
}

/// Holds any JSON, of which nothing is known here.
const RAW: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

impl<'s> Decoder<'s> {
    fn value(&mut self, value: &mut Value, node: Node<'s>) {
        if self.error.is_some() {
            return;
        }
        if !node.data().typed {
            return self.untyped(value, node);
        }
        if node.name().is_some_and(|name| name == RAW) {
            return;
        }
        match (node.type_(), &mut *value) {
            (Type::Any, _) => self.shape(value, node),
            (_, Value::Null) => *value = zero(node),
            (Type::Object, Value::Object(_)) | (Type::Array, Value::Array(_)) => self.shape(value, node),
            (Type::Boolean, Value::Bool(_)) => {}
            (Type::String, Value::String(text)) => match text_form(text, node) {
                Ok(Some(canonical)) => *text = canonical,
                Ok(None) => {}
                Err(error) => self.error = Some(Fault::Said(error)),
            },
            (Type::Integer, Value::Number(number)) => self.integer(number, node),
            (Type::Number, Value::Number(_)) => {}
            (Type::IntOrString, Value::String(_)) => {}
            (Type::IntOrString, Value::Number(number)) => self.integer(number, node),
            (Type::Quantity, Value::String(_) | Value::Number(_)) => match Quantity::from_json(value) {
                Ok(quantity) => *value = Value::String(quantity.to_string()),
                Err(error) => self.error = Some(Fault::Said(error.to_string())),
            },
            (Type::Quantity, other) => {
                self.error = Quantity::from_json(other).err().map(|error| Fault::Said(error.to_string()));
            }
            (_, other) => {
                let found = json_type(other).to_owned();
                self.mismatch(&found, node);
            }
        }
    }

    /// Decodes members and items, whatever the declared type.
    fn shape(&mut self, value: &mut Value, node: Node<'s>) {
        match value {
            Value::Object(members) => {
                if members.values().any(Value::is_null) {
                    members.retain(|name, member| !member.is_null() || node.property(name).is_none());
                }
                let mut some_are_omitted = false;
                for (name, member) in members.iter_mut() {
                    if let Some(property) = node.property(name) {
                        let outer = std::mem::replace(&mut self.structure, go_struct(node));
                        self.value(member, property);
                        if self.error.is_some() {
                            self.path.push(name.clone());
                            let embedded = embedded::between(go_struct(node), name);
                            self.path.extend(embedded.iter().rev().map(|&name| name.to_owned()));
                            return;
                        }
                        self.structure = outer;
                        some_are_omitted |= self.omits && is_omitted(node, name, member);
                    } else if let Additional::Schema(values) = node.additional() {
                        self.value(member, values);
                        if self.error.is_some() {
                            return;
                        }
                    }
                }
                if some_are_omitted {
                    members.retain(|name, member| !is_omitted(node, name, member));
                }
            }
            Value::Array(items) => {
                if let Some(schema) = node.items() {
                    items.iter_mut().for_each(|item| self.value(item, schema));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Looks for typed values inside of an untyped one.
    fn untyped(&mut self, value: &mut Value, node: Node<'s>) {
        match value {
            Value::Object(members) => {
                if members.values().any(Value::is_null) {
                    members.retain(|name, member| {
                        !member.is_null() || node.property(name).is_none_or(|property| !property.data().typed)
                    });
                }
                for (name, member) in members.iter_mut() {
                    let Some(schema) = node.member(name) else { continue };
                    let is_part = schema.data().typed;
                    let shown = (is_part && self.depth > 0).then(|| member.to_string());
                    self.depth += 1;
                    self.value(member, schema);
                    self.depth -= 1;
                    if self.error.is_some() {
                        if is_part {
                            self.end_part(name, shown);
                        }
                        self.path.push(name.clone());
                        return;
                    }
                }
            }
            Value::Array(items) => {
                let Some(schema) = node.items() else { return };
                for (index, item) in items.iter_mut().enumerate() {
                    self.value(item, schema);
                    if self.error.is_some() {
                        self.path.push(format!("[{index}]"));
                        return;
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Go reads what every resource has on its own. Of a resource within another it tells where that is, and what is there.
    fn end_part(&mut self, name: &str, shown: Option<String>) {
        let path = std::mem::take(&mut self.path);
        let Some(fault) = self.error.take() else { return };
        let why = fault.worded(&path);
        self.error = Some(match shown {
            None => Fault::Said(why),
            Some(shown) => {
                let why = if name == "metadata" { why } else { "must be a string".to_owned() };
                Fault::Below(format!("Invalid value: {shown}: {why}"))
            }
        });
    }

    fn integer(&mut self, number: &mut Number, node: Node<'_>) {
        // `-0` is a whole number.
        if number.as_f64() == Some(0.0) && number.to_string() == "-0.0" {
            *number = 0.into();
        }
        let fits = match (number.as_i64(), is_32_bit(node)) {
            (Some(value), true) => i32::try_from(value).is_ok(),
            (Some(_), false) => true,
            (None, _) => false,
        };
        if !fits {
            self.mismatch(&format!("number {number}"), node);
        }
    }

    fn mismatch(&mut self, found: &str, node: Node<'_>) {
        let found = found.to_owned();
        self.error = Some(Fault::Type { found, structure: self.structure, wanted: go_type(node) });
    }
}

/// True for an empty list or map that its struct leaves out (`omitempty`).
fn is_omitted(node: Node<'_>, name: &str, member: &Value) -> bool {
    let empty = match member {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => return false,
    };
    let Some(property) = node.property(name).filter(|property| empty && property.data().typed) else { return false };
    let is_map = property.type_() == Type::Object
        && property.data().properties.is_empty()
        && matches!(property.additional(), Additional::Schema(_));
    let required = node.rules().is_some_and(|rules| rules.required.iter().any(|required| **required == *name));
    (is_map || property.type_() == Type::Array) && !required && property.default().is_none()
}

fn is_32_bit(node: Node<'_>) -> bool {
    node.type_() == Type::IntOrString || node.format().is_some_and(|format| format.as_str() == "int32")
}

/// What null decodes to where it cannot be left out: in a list or a map.
fn zero(node: Node<'_>) -> Value {
    match node.type_() {
        Type::Object => Value::Object(serde_json::Map::new()),
        Type::Array => Value::Array(Vec::new()),
        Type::String => Value::String(String::new()),
        Type::Integer | Type::Number | Type::IntOrString => Value::from(0),
        Type::Boolean => Value::Bool(false),
        Type::Quantity => Value::String("0".to_owned()),
        Type::Any => Value::Null,
    }
}

fn go_struct(node: Node<'_>) -> &str {
    node.name().and_then(|name| name.rsplit('.').next()).unwrap_or_default()
}

/// The Go type of a node, as far as a schema tells: `[]v1.Container`, `map[string]string`, `int32`.
fn go_type(node: Node<'_>) -> String {
    let format = node.format().map(|format| format.as_str()).unwrap_or_default();
    match node.type_() {
        Type::Object if node.data().properties.is_empty() => match node.additional() {
            Additional::Schema(values) => format!("map[string]{}", go_type(values)),
            Additional::None | Additional::Any => qualified(node, "map[string]interface {}"),
        },
        Type::Object | Type::Any => qualified(node, "interface {}"),
        Type::Array => {
            node.items().map_or_else(|| "[]interface {}".to_owned(), |items| format!("[]{}", go_type(items)))
        }
        Type::String if format == "byte" => "[]uint8".to_owned(),
        Type::String if format == "date-time" => "string".to_owned(),
        Type::String => "string".to_owned(),
        Type::Integer if format == "int32" => "int32".to_owned(),
        Type::Integer => "int64".to_owned(),
        Type::IntOrString => "int32".to_owned(),
        Type::Number => "float64".to_owned(),
        Type::Boolean => "bool".to_owned(),
        Type::Quantity => "resource.Quantity".to_owned(),
    }
}

/// `v1.Container` of `io.k8s.api.core.v1.Container`.
fn qualified(node: Node<'_>, otherwise: &str) -> String {
    let Some(name) = node.name() else { return otherwise.to_owned() };
    let mut parts = name.rsplit('.');
    match (parts.next(), parts.next()) {
        (Some(kind), Some(package)) => format!("{package}.{kind}"),
        _ => name.to_owned(),
    }
}

/// The canonical text of a time or of bytes, when it differs. Other strings are fine as they are.
fn text_form(text: &str, node: Node<'_>) -> Result<Option<String>, String> {
    match node.format().map(|format| format.as_str()) {
        Some("date-time") => {
            let micro = node.name().is_some_and(|name| name.ends_with(".MicroTime"));
            let parsed = if is_go_time(text) { time::parse(&two_digit_hour(text).replace(',', ".")) } else { None };
            let Some(parsed) = parsed else { return Err(time_error(text, micro)) };
            Ok(Some(if micro { time::format_micros(parsed) } else { time::format_seconds(parsed) }))
        }
        Some("byte") => base64_form(text),
        _ => Ok(None),
    }
}

/// The same time with two digits for its hour.
fn two_digit_hour(text: &str) -> Cow<'_, str> {
    match text.split_at_checked(11) {
        Some((date, clock)) if clock.as_bytes().get(1) == Some(&b':') => Cow::Owned(format!("{date}0{clock}")),
        _ => Cow::Borrowed(text),
    }
}

/// `2006-01-02T15:04:05[.frac]Z07:00` and nothing else that a lenient parser might take.
fn is_go_time(text: &str) -> bool {
    layout_error(text).is_none()
}

/// The layout element where `text` leaves RFC 3339, and the text from there on.
fn layout_error(text: &str) -> Option<(&'static str, &str)> {
    const ELEMENTS: [(&str, usize); 11] = [
        ("2006", 4),
        ("-", 0),
        ("01", 2),
        ("-", 0),
        ("02", 2),
        ("T", 0),
        ("15", 2),
        (":", 0),
        ("04", 2),
        (":", 0),
        ("05", 2),
    ];
    let mut rest = text;
    for (element, digits) in ELEMENTS {
        // Go takes an hour of one digit.
        let short = element == "15" && rest.as_bytes().get(1) == Some(&b':');
        let width = if short { 1 } else { digits.max(1) };
        let fits = match rest.get(..width) {
            Some(part) if digits > 0 => part.bytes().all(|byte| byte.is_ascii_digit()),
            Some(part) => part == element,
            None => false,
        };
        if !fits {
            return Some((element, rest));
        }
        rest = rest.get(width..).unwrap_or_default();
    }
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            rest = fraction.get(digits..).unwrap_or_default();
        }
    }
    let zone = rest.as_bytes();
    let offset = zone.len() == 6
        && matches!(zone.first(), Some(b'+' | b'-'))
        && zone.get(3) == Some(&b':')
        && zone.iter().enumerate().all(|(at, byte)| matches!(at, 0 | 3) || byte.is_ascii_digit());
    if rest == "Z" || offset { None } else { Some(("Z07:00", rest)) }
}

/// Go's `time.ParseError`.
fn time_error(text: &str, micro: bool) -> String {
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let quoted = machinery::field::quote(text);
    match layout_error(text) {
        Some((element, rest)) => {
            let rest = machinery::field::quote(rest);
            format!("parsing time {quoted} as \"{layout}\": cannot parse {rest} as \"{element}\"")
        }
        None => format!("parsing time {quoted}: {} out of range", out_of_range(text)),
    }
}

/// Which part of a well-formed time has no such value.
fn out_of_range(text: &str) -> &'static str {
    let number = |from: usize| text.get(from..from + 2).and_then(|part| part.parse::<u32>().ok()).unwrap_or_default();
    match () {
        () if !(1..=12).contains(&number(5)) => "month",
        () if number(11) > 23 => "hour",
        () if number(14) > 59 => "minute",
        () if number(17) > 59 => "second",
        () => "day",
    }
}

/// Go's `base64.StdEncoding`: line breaks are skipped, padding is required, stray bits at the end are forgiven.
fn base64_form(text: &str) -> Result<Option<String>, String> {
    const LENIENT: GeneralPurpose =
        GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    let joined = if text.contains(['\r', '\n']) { Cow::Owned(text.replace(['\r', '\n'], "")) } else { text.into() };
    let bytes = LENIENT.decode(joined.as_bytes()).map_err(|error| {
        let at = match error {
            DecodeError64::InvalidByte(at, _) | DecodeError64::InvalidLastSymbol(at, _) => at,
            DecodeError64::InvalidLength(_) | DecodeError64::InvalidPadding => joined.len() - joined.len() % 4,
        };
        format!("illegal base64 data at input byte {at}")
    })?;
    let canonical = LENIENT.encode(bytes);
    Ok((canonical != text).then_some(canonical))
}

#[cfg(test)]
mod tests {
    use crate::fixture;
    use serde_json::json;

    #[test]
    fn type_errors_read_as_go() {
        let schema = fixture::pod();
        let cases = [
            (
                json!({"spec": {"containers": [{"name": 1}]}}),
                "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
            ),
            (
                json!({"metadata": {"labels": {"a": 1}}}),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (
                json!({"metadata": {"labels": []}}),
                "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            ),
            (json!({"spec": "x"}), "json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec"),
            (
                json!({"spec": {"containers": {}}}),
                "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
            ),
            (
                json!({"spec": {"containers": ["x"]}}),
                "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container",
            ),
            (
                json!({"spec": {"priority": 4294967296u64}}),
                "json: cannot unmarshal number 4294967296 into Go struct field PodSpec.spec.priority of type int32",
            ),
            (
                json!({"spec": {"priority": 1.5}}),
                "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32",
            ),
            (
                json!({"spec": {"hostNetwork": "yes"}}),
                "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
            ),
            (
                json!({"metadata": {"creationTimestamp": "x"}}),
                "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"",
            ),
            (
                json!({"metadata": {"creationTimestamp": "2026-13-01T00:00:00Z"}}),
                "parsing time \"2026-13-01T00:00:00Z\": month out of range",
            ),
            (
                json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00"}}),
                "parsing time \"2026-01-01T00:00:00\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"Z07:00\"",
            ),
            (
                json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}),
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
            (json!([]), "json: cannot unmarshal array into Go value of type v1.Pod"),
        ];
        for (mut document, expected) in cases {
            let error = schema.root().decode(&mut document).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn values_get_their_canonical_form() {
        let mut document = json!({
            "metadata": {"name": null, "creationTimestamp": null, "labels": {"a": null}, "unknown": null},
            "spec": {"containers": [null, {"resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}], "priority": null},
            "status": {"startTime": "2026-01-02T5:04:05.9+02:00", "token": "YQ=="},
        });
        fixture::pod().root().decode(&mut document).expect("decodes");
        assert_eq!(
            document,
            json!({
                "metadata": {"labels": {"a": ""}, "unknown": null},
                "spec": {"containers": [{}, {"resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}]},
                "status": {"startTime": "2026-01-02T03:04:05Z", "token": "YQ=="},
            })
        );
    }

    #[test]
    fn bytes_are_base64() {
        let schema = fixture::pod();
        let cases = [
            ("YQ==", Ok("YQ==")),
            ("YW\nJj", Ok("YWJj")),
            ("YR==", Ok("YQ==")),
            ("a", Err(0)),
            ("YW?j", Err(2)),
            ("YWJjYQ", Err(4)),
        ];
        for (text, expected) in cases {
            let mut document = json!({"status": {"token": text}});
            let result =
                schema.root().decode(&mut document).map(|()| document["status"]["token"].as_str().map(str::to_owned));
            match expected {
                Ok(canonical) => assert_eq!(result, Ok(Some(canonical.to_owned())), "{text}"),
                Err(at) => assert_eq!(
                    result.map_err(|error| error.to_string()),
                    Err(format!("illegal base64 data at input byte {at}")),
                    "{text}"
                ),
            }
        }
    }

    #[test]
    fn only_metadata_of_a_custom_resource_is_typed() {
        let schema = fixture::widget();
        let mut document =
            json!({"kind": "Widget", "metadata": {"name": "a", "labels": null}, "spec": {"size": "x", "note": null}});
        schema.root().decode(&mut document).expect("decodes");
        assert_eq!(document, json!({"kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": "x", "note": null}}));
        let error = schema.root().decode(&mut json!({"metadata": {"name": 1}})).expect_err("a wrong name");
        assert_eq!(
            error.to_string(),
            "json: cannot unmarshal number into Go struct field ObjectMeta.name of type string"
        );
    }
}
