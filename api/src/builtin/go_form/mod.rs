//! Values as Go's internal types print them, and what changed between two of them: how upstream says which part of a
//! spec may not change (`apimachinery/pkg/util/diff`).

mod difference;
pub(super) mod pod;

use machinery::go_json;
use serde_json::Value;

/// A member of a Go struct: its name, and how it is printed. Its name in JSON follows from that in Go.
pub(super) type Member = (&'static str, Form);

/// How a member is printed.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// As its JSON is; this where it is absent.
    Plain(&'static str),
    /// A struct, which is always there.
    Struct(&'static [Member]),
    /// A struct behind a pointer: null where it is absent.
    Pointer(&'static [Member]),
    /// A list of structs: null where it is absent.
    List(&'static [Member]),
    /// As its JSON is; nothing where it is absent.
    Optional,
    /// A list of structs; nothing where it is absent.
    OptionalList(&'static [Member]),
}

/// A text, `""` where it is absent.
pub(super) const TEXT: Form = Form::Plain("\"\"");
/// A pointer, list or map of what prints as its JSON.
pub(super) const NULL: Form = Form::Plain("null");
/// A truth value.
pub(super) const FALSE: Form = Form::Plain("false");
/// A number.
pub(super) const ZERO: Form = Form::Plain("0");

/// The members of a struct, many on a line.
macro_rules! go_struct {
    ($($name:ident: $form:expr),* $(,)?) => {
        &[$((stringify!($name), $form)),*]
    };
}
pub(super) use go_struct;

/// A LabelSelector.
pub(super) const SELECTOR: &[Member] = go_struct! {
    matchLabels: Form::Optional,
    matchExpressions: Form::OptionalList(go_struct! { key: TEXT, operator: TEXT, values: Form::Optional }),
};

/// What `encoding/json` prints.
enum Printed {
    Scalar(String),
    List(Vec<Printed>),
    Members(Vec<(String, Printed)>),
}

impl Printed {
    fn structure(members: &[Member], value: &Value) -> Printed {
        let mut printed = Vec::new();
        for (name, form) in members {
            let member = value.get(json_name(name)).filter(|member| !member.is_null());
            if member.is_none() && matches!(form, Form::Optional | Form::OptionalList(_)) {
                continue;
            }
            printed.push(((*name).to_owned(), Printed::member(*form, member)));
        }
        Printed::Members(printed)
    }

    fn member(form: Form, member: Option<&Value>) -> Printed {
        match (form, member) {
            (Form::Plain(zero), None) => Printed::Scalar(zero.to_owned()),
            (Form::Struct(inner), member) => Printed::structure(inner, member.unwrap_or(&Value::Null)),
            (_, None) => Printed::Scalar("null".to_owned()),
            (Form::Pointer(inner), Some(member)) => Printed::structure(inner, member),
            (Form::List(inner) | Form::OptionalList(inner), Some(Value::Array(items))) => {
                Printed::List(items.iter().map(|item| Printed::structure(inner, item)).collect())
            }
            (_, Some(member)) => Printed::plain(member),
        }
    }

    fn plain(value: &Value) -> Printed {
        match value {
            Value::Array(items) => Printed::List(items.iter().map(Printed::plain).collect()),
            Value::Object(members) => {
                let mut sorted: Vec<_> =
                    members.iter().map(|(name, member)| (name.clone(), Printed::plain(member))).collect();
                sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
                Printed::Members(sorted)
            }
            scalar => Printed::Scalar(go_json::to_string(scalar)),
        }
    }

    /// In lines, indented by one space a level.
    fn lines(&self, out: &mut Vec<String>, depth: usize, before: &str) {
        let mut put = |depth: usize, before: &str, text: &str| {
            out.push(format!("{}{before}{text}", " ".repeat(depth)));
        };
        match self {
            Printed::Scalar(text) => put(depth, before, text),
            Printed::List(items) if items.is_empty() => put(depth, before, "[]"),
            Printed::Members(members) if members.is_empty() => put(depth, before, "{}"),
            Printed::List(items) => {
                put(depth, before, "[");
                for (index, item) in items.iter().enumerate() {
                    item.lines(out, depth + 1, "");
                    separate(out, index + 1 < items.len());
                }
                out.push(format!("{}]", " ".repeat(depth)));
            }
            Printed::Members(members) => {
                put(depth, before, "{");
                for (index, (name, member)) in members.iter().enumerate() {
                    member.lines(out, depth + 1, &format!("{}: ", go_json::to_string(&name.as_str().into())));
                    separate(out, index + 1 < members.len());
                }
                out.push(format!("{}}}", " ".repeat(depth)));
            }
        }
    }

    /// In one line.
    fn line(&self) -> String {
        let all = |parts: Vec<String>| parts.join(",");
        match self {
            Printed::Scalar(text) => text.clone(),
            Printed::List(items) => format!("[{}]", all(items.iter().map(Printed::line).collect())),
            Printed::Members(members) => {
                let member = |(name, member): &(String, Printed)| {
                    format!("{}:{}", go_json::to_string(&name.as_str().into()), member.line())
                };
                format!("{{{}}}", all(members.iter().map(member).collect()))
            }
        }
    }
}

/// Puts a comma after the last line, unless that ends the list.
fn separate(out: &mut [String], more: bool) {
    if let Some(last) = out.last_mut().filter(|_| more) {
        last.push(',');
    }
}

/// The name in JSON: the first word in small letters (`HTTPGet`, `httpGet`), with two that upstream spells otherwise.
fn json_name(name: &str) -> String {
    match name {
        "StorageOS" => return "storageos".to_owned(),
        "CephFS" => return "cephfs".to_owned(),
        _ => {}
    }
    let capitals = name.bytes().take_while(u8::is_ascii_uppercase).count();
    let first = if capitals == name.len() || capitals <= 1 { capitals } else { capitals - 1 };
    format!("{}{}", name[..first].to_ascii_lowercase(), &name[first..])
}

/// A value in one line.
pub(super) fn shown(members: &[Member], value: &Value) -> String {
    Printed::structure(members, value).line()
}

/// What differs between two values of one type, as a unified diff without its head.
pub(super) fn changes(members: &[Member], old: &Value, new: &Value) -> String {
    let [old, new] = [old, new].map(|value| {
        let mut lines = Vec::new();
        Printed::structure(members, value).lines(&mut lines, 0, "");
        lines
    });
    difference::unified(&old, &new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MEMBERS: &[Member] = go_struct! {
        AccessModes: NULL,
        Resources: Form::Struct(go_struct! { Requests: NULL }),
        VolumeName: TEXT,
        DataSource: Form::Pointer(go_struct! { Name: TEXT }),
    };

    #[test]
    fn values_are_printed_as_go_does_and_compared_by_line() {
        let old = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        assert_eq!(
            shown(MEMBERS, &old),
            r#"{"AccessModes":["ReadWriteOnce"],"Resources":{"Requests":{"storage":"1Gi"}},"VolumeName":"","DataSource":null}"#
        );
        let new = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}});
        assert_eq!(
            changes(MEMBERS, &old, &new),
            "@@ -4,7 +4,7 @@\n  ],\n  \"Resources\": {\n   \"Requests\": {\n-   \"storage\": \"1Gi\"\n+   \"storage\": \
             \"2Gi\"\n   }\n  },\n  \"VolumeName\": \"\",\n"
        );
        assert_eq!(changes(MEMBERS, &old, &old), "");
    }

    #[test]
    fn names_in_json_follow_from_those_in_go() {
        for (go, json) in [
            ("Name", "name"),
            ("HTTPGet", "httpGet"),
            ("TTY", "tty"),
            ("HostIP", "hostIP"),
            ("OS", "os"),
            ("SELinuxOptions", "seLinuxOptions"),
            ("GMSACredentialSpec", "gmsaCredentialSpec"),
            ("key", "key"),
            ("AWSElasticBlockStore", "awsElasticBlockStore"),
            ("StorageOS", "storageos"),
            ("ScaleIO", "scaleIO"),
        ] {
            assert_eq!(json_name(go), json);
        }
    }
}
