//! Values as Go's internal types print them, and what changed between two of them: how upstream says which part of a
//! spec may not change (`apimachinery/pkg/util/diff`).

use serde_json::Value;

/// A member of a Go struct: its name in Go, its name in JSON, and what it holds.
pub(super) type Member = (&'static str, &'static str, Form);

/// How a member is printed.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// As its JSON is; this where it is absent.
    Plain(&'static str),
    /// A struct, which is always there.
    Struct(&'static [Member]),
    /// A struct behind a pointer: null where it is absent.
    Pointer(&'static [Member]),
    /// As its JSON is; nothing where it is absent.
    Optional,
    /// A list of structs; nothing where it is absent.
    OptionalList(&'static [Member]),
}

/// The lines of a struct, indented by one space a level.
fn lines(members: &[Member], value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    structure(&mut out, 0, "", members, value);
    out
}

fn put(out: &mut Vec<String>, depth: usize, before: &str, text: &str) {
    out.push(format!("{}{before}{text}", " ".repeat(depth)));
}

/// Appends a comma to the last line.
fn separate(out: &mut [String]) {
    if let Some(last) = out.last_mut() {
        last.push(',');
    }
}

fn structure(out: &mut Vec<String>, depth: usize, before: &str, members: &[Member], value: &Value) {
    put(out, depth, before, "{");
    let start = out.len();
    for (go, json, form) in members {
        let member = value.get(*json).filter(|member| !member.is_null());
        if member.is_none() && matches!(form, Form::Optional | Form::OptionalList(_)) {
            continue;
        }
        if out.len() > start {
            separate(out);
        }
        let before = format!("\"{go}\": ");
        match (form, member) {
            (Form::Plain(zero), None) => put(out, depth + 1, &before, zero),
            (Form::Struct(inner), member) => {
                structure(out, depth + 1, &before, inner, member.unwrap_or(&Value::Null));
            }
            (_, None) => put(out, depth + 1, &before, "null"),
            (Form::Pointer(inner), Some(member)) => structure(out, depth + 1, &before, inner, member),
            (Form::OptionalList(inner), Some(Value::Array(items))) => {
                list(out, depth + 1, &before, items, |out, depth, item| structure(out, depth, "", inner, item));
            }
            (_, Some(member)) => plain(out, depth + 1, &before, member),
        }
    }
    put(out, depth, "", "}");
}

fn list(
    out: &mut Vec<String>,
    depth: usize,
    before: &str,
    items: &[Value],
    mut one: impl FnMut(&mut Vec<String>, usize, &Value),
) {
    if items.is_empty() {
        return put(out, depth, before, "[]");
    }
    put(out, depth, before, "[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            separate(out);
        }
        one(out, depth + 1, item);
    }
    put(out, depth, "", "]");
}

fn plain(out: &mut Vec<String>, depth: usize, before: &str, value: &Value) {
    match value {
        Value::Array(items) => list(out, depth, before, items, |out, depth, item| plain(out, depth, "", item)),
        Value::Object(members) if members.is_empty() => put(out, depth, before, "{}"),
        Value::Object(members) => {
            put(out, depth, before, "{");
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    separate(out);
                }
                plain(out, depth + 1, &format!("{}: ", Value::from(name.as_str())), member);
            }
            put(out, depth, "", "}");
        }
        other => put(out, depth, before, &other.to_string()),
    }
}

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// Most lines of a value that are compared: the time that takes grows with their square.
const LINES_MAX: usize = 2000;

/// What differs between two values of one type, as a unified diff without its head.
pub(super) fn changes(members: &[Member], old: &Value, new: &Value) -> String {
    let (old, new) = (lines(members, old), lines(members, new));
    if old.len() > LINES_MAX || new.len() > LINES_MAX {
        return String::new();
    }
    unified(&old, &new)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

/// The lines of both values in one sequence, by the longest sequence that they have in common.
fn aligned<'a>(old: &'a [String], new: &'a [String]) -> Vec<(Side, &'a str)> {
    let width = new.len() + 1;
    let mut common = vec![0u16; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut all) = (0, 0, Vec::with_capacity(old.len().max(new.len())));
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            all.push((Side::Both, old[i].as_str()));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1] {
            all.push((Side::Old, old[i].as_str()));
            i += 1;
        } else {
            all.push((Side::New, new[j].as_str()));
            j += 1;
        }
    }
    all
}

fn unified(old: &[String], new: &[String]) -> String {
    let all = aligned(old, new);
    let is_near = |index: usize| {
        let (from, to) = (index.saturating_sub(CONTEXT), (index + CONTEXT + 1).min(all.len()));
        all[from..to].iter().any(|(side, _)| *side != Side::Both)
    };
    let mut out = String::new();
    let (mut line_old, mut line_new) = (1, 1);
    let mut index = 0;
    while index < all.len() {
        if !is_near(index) {
            (line_old, line_new, index) = (line_old + 1, line_new + 1, index + 1);
            continue;
        }
        let end = (index..all.len()).find(|index| !is_near(*index)).unwrap_or(all.len());
        let hunk = &all[index..end];
        let count = |without: Side| hunk.iter().filter(|(side, _)| *side != without).count();
        let (of_old, of_new) = (count(Side::New), count(Side::Old));
        out.push_str(&format!("@@ -{} +{} @@\n", range(line_old, of_old), range(line_new, of_new)));
        for (side, text) in hunk {
            out.push(match side {
                Side::Both => ' ',
                Side::Old => '-',
                Side::New => '+',
            });
            out.push_str(text);
            out.push('\n');
        }
        (line_old, line_new, index) = (line_old + of_old, line_new + of_new, end);
    }
    out
}

fn range(start: usize, count: usize) -> String {
    match count {
        1 => start.to_string(),
        0 => format!("{},0", start - 1),
        _ => format!("{start},{count}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MEMBERS: &[Member] = &[
        ("AccessModes", "accessModes", Form::Plain("null")),
        ("Resources", "resources", Form::Struct(&[("Requests", "requests", Form::Plain("null"))])),
        ("VolumeName", "volumeName", Form::Plain("\"\"")),
        ("DataSource", "dataSource", Form::Pointer(&[("Name", "name", Form::Plain("\"\""))])),
    ];

    #[test]
    fn values_are_printed_as_go_does_and_compared_by_line() {
        let old = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        assert_eq!(
            lines(MEMBERS, &old).join("\n"),
            "{\n \"AccessModes\": [\n  \"ReadWriteOnce\"\n ],\n \"Resources\": {\n  \"Requests\": {\n   \"storage\": \
             \"1Gi\"\n  }\n },\n \"VolumeName\": \"\",\n \"DataSource\": null\n}"
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
    fn hunks_say_where_they_are() {
        let text = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(unified(&text(&["a"]), &text(&["b"])), "@@ -1 +1 @@\n-a\n+b\n");
        assert_eq!(unified(&text(&[]), &text(&["b"])), "@@ -0,0 +1 @@\n+b\n");
    }
}
