//! Documents in bodies: JSON and YAML, with their duplicate keys noticed.

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
};

use bytes::Bytes;
use machinery::{go_json::with_text, json_fault::json_fault, limits::DOCUMENT_DEPTH_MAX};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A parsed document.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// The document; of a member that stands twice, the last.
    pub(crate) value: Value,
    /// What strict validation says about members that stand twice: `duplicate field "data.a"`.
    pub(crate) duplicates: Vec<String>,
    /// The text, where it is JSON.
    pub(crate) json: Option<Bytes>,
}

impl Parsed {
    /// A document that was not read from a text of JSON, or of which the text does not matter.
    pub(crate) fn of(value: Value, duplicates: Vec<String>) -> Self {
        Self { value, duplicates, json: None }
    }
}

/// Most duplicates that are reported.
const DUPLICATES_MAX: usize = 100;

/// Parses JSON. Nesting is bounded by the parser (128 levels). The error is worded as Go's.
pub(crate) fn parse_json(bytes: &[u8]) -> Result<Parsed, String> {
    parse(bytes, Twice::Replaces)
}

/// Parses JSON as Go reads it into a struct, where an object that stands twice is read on top of itself.
pub(crate) fn parse_struct(bytes: &[u8]) -> Result<Parsed, String> {
    parse(bytes, Twice::Merges)
}

fn parse(bytes: &[u8], twice: Twice) -> Result<Parsed, String> {
    let read = |bytes: &[u8]| {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let mut walk = Walk { twice, ..Walk::default() };
        let value = Reader(&mut walk).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(Parsed::of(value, walk.found))
    };
    let error: serde_json::Error = match read(bytes) {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    if let Some(fault) = json_fault(bytes) {
        return Err(fault);
    }
    // Go takes what is no text in strings, and what is beyond the parser's bounds.
    if let Some(parsed) = with_text(bytes).and_then(|text| read(&text).ok()) {
        return Ok(parsed);
    }
    Err(match error.to_string() {
        text if text.starts_with("recursion limit exceeded") => too_deep(bytes),
        text => text,
    })
}

/// Go's words about a text that is nested too deep: it names what opens the level that is one too many.
fn too_deep(bytes: &[u8]) -> String {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let opens = bytes.iter().find(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth >= DOCUMENT_DEPTH_MAX
    });
    format!("invalid character '{}' exceeded max depth", opens.copied().map_or('{', char::from))
}

/// Parses the first document of a YAML stream. Nesting and aliases are bounded by the parser.
pub(crate) fn parse_yaml(bytes: &[u8]) -> Result<Parsed, String> {
    // Most YAML that programs send is JSON, which is read a good deal faster; what is wrong with it, YAML's parser says.
    if bytes.first() == Some(&b'{')
        && let Ok(mut parsed) = parse_json(bytes)
        && parsed.duplicates.is_empty()
    {
        make_whole(&mut parsed.value);
        return Ok(parsed);
    }
    let documents = machinery::yaml::documents(bytes).map_err(|error| error.to_string())?;
    let Some(document) = documents.into_iter().next() else { return Ok(Parsed::default()) };
    let duplicates = document.duplicates().iter().take(DUPLICATES_MAX).map(|one| one.text.clone()).collect();
    Ok(Parsed::of(document.into_value(), duplicates))
}

/// Writes whole numbers without a fraction, as what converts YAML to JSON does: `1.0` and `1e3` are `1` and `1000`.
fn make_whole(value: &mut Value) {
    /// From here on floating-point numbers are no longer exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < EXACT);
            if let Some(whole) = whole {
                *number = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(members) => members.values_mut().for_each(make_whole),
        _ => {}
    }
}

/// What strict validation says about JSON of which members at these paths are not known, in the order of the text. Of a member
/// that is not known nothing else is said.
pub(crate) fn strict_faults(json: &[u8], unknown: &[String]) -> Vec<String> {
    let mut walk = Walk { unknown: unknown.iter().cloned().collect(), ..Walk::default() };
    // It was read before.
    let _ = Reader(&mut walk).deserialize(&mut serde_json::Deserializer::from_slice(json));
    walk.found
}

/// What becomes of an object that stands twice.
#[derive(Clone, Copy, Default)]
enum Twice {
    /// The last counts.
    #[default]
    Replaces,
    /// Members of the last are put on top of those of the first.
    Merges,
}

#[derive(Default)]
struct Walk {
    twice: Twice,
    path: String,
    /// Paths that are not known, and have not been met.
    unknown: HashSet<String>,
    /// Those of them that have been met.
    met: HashSet<String>,
    /// What strict validation says.
    found: Vec<String>,
}

impl Walk {
    fn enter(&mut self, member: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(member);
        length
    }
}

/// Puts members of an object on top of those of another, at every level.
fn put_on_top(first: &mut Value, last: Value) {
    match (first, last) {
        (Value::Object(first), Value::Object(last)) => {
            for (name, value) in last {
                match first.get_mut(&name) {
                    Some(member) => put_on_top(member, value),
                    None => drop(first.insert(name, value)),
                }
            }
        }
        (first, last) => *first = last,
    }
}

struct Reader<'w>(&'w mut Walk);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let length = self.0.path.len();
        loop {
            // Writing into a String cannot fail.
            let _ = write!(self.0.path, "[{}]", list.len());
            let item = items.next_element_seed(Reader(self.0))?;
            self.0.path.truncate(length);
            match item {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let length = self.0.enter(&name);
            if self.0.unknown.remove(&self.0.path) {
                self.0.found.push(format!("unknown field \"{}\"", self.0.path));
                self.0.met.insert(self.0.path.clone());
            }
            if self.0.met.contains(&self.0.path) {
                members.next_value::<IgnoredAny>()?;
                self.0.path.truncate(length);
                continue;
            }
            if map.contains_key(&name) && self.0.found.len() < DUPLICATES_MAX {
                self.0.found.push(format!("duplicate field \"{}\"", self.0.path));
            }
            let value = members.next_value_seed(Reader(self.0))?;
            self.0.path.truncate(length);
            match (self.0.twice, map.get_mut(&name), value) {
                (Twice::Merges, Some(first @ Value::Object(_)), last @ Value::Object(_)) => put_on_top(first, last),
                (_, _, value) => drop(map.insert(name, value)),
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machinery::yaml::Document;
    use serde_json::json;

    #[test]
    fn objects_that_stand_twice_merge_in_structs() {
        let text =
            br#"{"metadata":{"name":"a","labels":{"x":"1"}},"data":[1],"metadata":{"labels":{"y":"2"}},"data":[2]}"#;
        let merged = json!({"metadata": {"name": "a", "labels": {"x": "1", "y": "2"}}, "data": [2]});
        assert_eq!(parse_struct(text).expect("JSON").value, merged);
        assert_eq!(parse_json(text).expect("JSON").value, json!({"metadata": {"labels": {"y": "2"}}, "data": [2]}));
    }

    #[test]
    fn members_that_stand_twice_are_noticed_and_the_last_one_counts() {
        let parsed = parse_json(br#"{"a":1,"b":[{"c":1},{"c":1,"c":2}],"a":{"d":null}}"#).expect("JSON");
        assert_eq!(parsed.value, json!({"a": {"d": null}, "b": [{"c": 1}, {"c": 2}]}));
        assert_eq!(parsed.duplicates, [r#"duplicate field "b[1].c""#, r#"duplicate field "a""#]);
    }

    #[test]
    fn faults_are_told_in_the_order_of_the_text() {
        let text = br#"{"z":1,"a":{"b":1,"c":{"d":1,"d":2},"b":2},"z":{"y":1,"y":2},"a":{}}"#;
        let unknown = ["a.c".to_owned(), "z".to_owned()];
        assert_eq!(
            strict_faults(text, &unknown),
            [r#"unknown field "z""#, r#"unknown field "a.c""#, r#"duplicate field "a.b""#, r#"duplicate field "a""#]
        );
    }

    #[test]
    fn json_that_comes_as_yaml_is_the_same_document() {
        let yaml = |bytes: &[u8]| {
            machinery::yaml::documents(bytes).map(|all| all.into_iter().map(Document::into_value).next())
        };
        for text in [
            r##"{"a":[1,-2,0.5,1.0,1e3,"1e3","0x1","yes",true,null,"~",""],"b c":{"\u00e9\n":"\"#\\"},"d":9007199254740993}"##,
            "{\"a\":\n  {\"b\": [ ]}\n}\n",
        ] {
            let parsed = parse_yaml(text.as_bytes()).expect("JSON");
            assert_eq!(Some(parsed.value), yaml(text.as_bytes()).expect("YAML"), "{text}");
        }
        let twice = parse_yaml(br#"{"a":1,"a":2}"#).expect("YAML");
        assert!(twice.duplicates[0].starts_with("line "), "{:?}", twice.duplicates);
    }

    #[test]
    fn what_is_nested_too_deep_is_told_where() {
        let deep = |open: &str, close: &str| format!("{{\"a[\":{}1{}}}", open.repeat(500), close.repeat(500));
        for (text, opens) in [(deep("[", "]"), '['), (deep("{\"a\":", "}"), '{')] {
            let error = parse_json(text.as_bytes()).expect_err("too deep");
            assert_eq!(error, format!("invalid character '{opens}' exceeded max depth"));
        }
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["", "{", "{} x", "nul", "\u{0}", &"[".repeat(5000)] {
            assert!(parse_json(text.as_bytes()).is_err(), "{text:.10}");
        }
        assert_eq!(parse_json(b"9007199254740993").expect("JSON").value, json!(9_007_199_254_740_993_i64));
    }
}
