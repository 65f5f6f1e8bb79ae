//! `Table`: objects as the rows that `kubectl get` prints (API conventions, "Receiving resources as Tables").

use api::definition::{Cell, Column};
use jiff::Timestamp;
use machinery::{field, status::Status};
use serde_json::{Value, json};

use super::{cell, list::ListMeta, partial, representation::MetaVersion, shown::Shown};
use crate::json::{self, Style};

/// How much of an object comes with its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl IncludeObject {
    /// The value of the query parameter `includeObject`; absent reads as empty.
    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "None" => Ok(Self::None),
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            other => {
                let error = field::Error::invalid(
                    &field::Path::new("includeObject"),
                    &json!(other),
                    "must be 'Metadata', 'Object', 'None', or empty",
                );
                Err(Status::bad_request(format!("Unable to convert to Table as requested: {error}")))
            }
        }
    }
}

/// Writes one Table, row by row.
pub(super) struct TableWriter<'a> {
    out: Vec<u8>,
    columns: Vec<&'a Column>,
    include: IncludeObject,
    version: MetaVersion,
    now: Timestamp,
    rows: usize,
}

impl<'a> TableWriter<'a> {
    /// Begins a table. Without `headers` the definitions of the columns are null, as in all events of a watch but the first.
    pub(super) fn new(
        columns: Vec<&'a Column>,
        headers: bool,
        include: IncludeObject,
        version: MetaVersion,
        now: Timestamp,
        meta: &ListMeta,
    ) -> Self {
        let mut out = Vec::with_capacity(2048);
        out.extend_from_slice(&json::head(version.api_version(), "Table", Style::BuiltIn));
        out.extend_from_slice(b"\"metadata\":");
        meta.append(&mut out);
        out.extend_from_slice(b",\"columnDefinitions\":");
        if headers {
            append_definitions(&mut out, &columns);
        } else {
            out.extend_from_slice(b"null");
        }
        out.extend_from_slice(b",\"rows\":[");
        Self { out, columns, include, version, now, rows: 0 }
    }

    /// Appends the row of an object. `own` are the columns of the object's kind, when it is another generation of the kind
    /// that the table shows: a cell is then taken from the column of the same name.
    pub(super) fn row(&mut self, object: &Shown, own: Option<&[Column]>) {
        if self.rows > 0 {
            self.out.push(b',');
        }
        self.rows += 1;
        self.out.extend_from_slice(b"{\"cells\":[");
        for (position, column) in self.columns.iter().enumerate() {
            if position > 0 {
                self.out.push(b',');
            }
            json::write(&mut self.out, &cell_of(column, object, own, self.now));
        }
        self.out.push(b']');
        if let Some(condition) = completed(object.value()) {
            self.out.extend_from_slice(b",\"conditions\":[");
            json::write(&mut self.out, &condition);
            self.out.push(b']');
        }
        self.out.extend_from_slice(b",\"object\":");
        match self.include {
            IncludeObject::None => self.out.extend_from_slice(b"null"),
            IncludeObject::Metadata => partial::append(&mut self.out, object, self.version),
            IncludeObject::Object => {
                self.out.extend_from_slice(&object.head);
                self.out.extend_from_slice(&object.tail);
            }
        }
        self.out.push(b'}');
    }

    /// The finished table.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"]}");
        self.out
    }
}

/// The columns of a table of these rows: all but those that apply to none of them.
pub(super) fn applying<'a, 'r>(
    columns: &'a [Column],
    rows: impl Iterator<Item = (&'r Shown, Option<&'r [Column]>)> + Clone,
    now: Timestamp,
) -> Vec<&'a Column> {
    let applies = |column: &&Column| match column.cell {
        Cell::Optional(_) => rows.clone().any(|(object, own)| !cell_of(column, object, own, now).is_null()),
        _ => true,
    };
    columns.iter().filter(applies).collect()
}

fn cell_of(column: &Column, object: &Shown, own: Option<&[Column]>, now: Timestamp) -> Value {
    let column = match own {
        None => Some(column),
        Some(own) => own.iter().find(|other| other.name.eq_ignore_ascii_case(&column.name)),
    };
    let Some(column) = column else { return Value::Null };
    match &column.cell {
        Cell::Computed(compute) | Cell::Optional(compute) => compute(object.value(), now),
        Cell::JsonPath(path) => cell::at_path(object.value(), path, &column.type_, now),
    }
}

fn append_definitions(out: &mut Vec<u8>, columns: &[&Column]) {
    out.push(b'[');
    for (position, column) in columns.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        for (name, text) in [
            ("{\"name\":", &column.name),
            (",\"type\":", &column.type_),
            (",\"format\":", &column.format),
            (",\"description\":", &column.description),
        ] {
            out.extend_from_slice(name.as_bytes());
            json::write_string(out, text);
        }
        out.extend_from_slice(format!(",\"priority\":{}}}", column.priority).as_bytes());
    }
    out.push(b']');
}

/// The condition of a row whose Pod has finished.
fn completed(object: &Value) -> Option<Value> {
    if object.get("kind")? != "Pod" || object.get("apiVersion")? != "v1" {
        return None;
    }
    let (reason, message) = match object.get("status")?.get("phase")?.as_str()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &'static str, type_: &'static str, cell: Cell) -> Column {
        Column {
            name: name.into(),
            type_: type_.into(),
            format: if name == "Name" { "name".into() } else { "".into() },
            description: "d".into(),
            priority: i32::from(name == "Wide"),
            cell,
        }
    }

    fn name_of(object: &Value, _now: Timestamp) -> Value {
        object["metadata"]["name"].clone()
    }

    fn columns() -> Vec<Column> {
        vec![
            column("Name", "string", Cell::Computed(name_of)),
            column("Wide", "integer", Cell::Computed(|object, _| object["spec"]["n"].clone())),
        ]
    }

    fn table(include: IncludeObject, headers: bool, objects: &[Value], own: Option<&[Column]>) -> Value {
        let columns = columns();
        let shown: Vec<&Column> = columns.iter().collect();
        let mut writer =
            TableWriter::new(shown, headers, include, MetaVersion::V1, Timestamp::UNIX_EPOCH, &ListMeta::at("9"));
        for object in objects {
            writer.row(&Shown::of_document(object, "v1", "Pod", Style::BuiltIn), own);
        }
        serde_json::from_slice(&writer.finish()).expect("a table is JSON")
    }

    #[test]
    fn wide_cells_are_always_sent_and_objects_as_asked() {
        let object =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": null, "n": 3}});
        let whole = table(IncludeObject::Metadata, true, std::slice::from_ref(&object), None);
        assert_eq!(
            whole,
            json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "9"},
                "columnDefinitions": [
                    {"name": "Name", "type": "string", "format": "name", "description": "d", "priority": 0},
                    {"name": "Wide", "type": "integer", "format": "", "description": "d", "priority": 1},
                ],
                "rows": [{
                    "cells": ["a", 3],
                    "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}},
                }],
            })
        );
        let with_object = table(IncludeObject::Object, true, std::slice::from_ref(&object), None);
        assert_eq!(with_object["rows"][0]["object"], object);
        let bare = table(IncludeObject::None, false, &[object], None);
        assert_eq!(bare["rows"][0]["object"], Value::Null);
        assert_eq!(bare["columnDefinitions"], Value::Null);
        assert_eq!(table(IncludeObject::Metadata, true, &[], None)["rows"], json!([]));
    }

    #[test]
    fn another_generation_fills_the_columns_it_has() {
        let own = [column("NAME", "string", Cell::Computed(|_, _| json!("sibling")))];
        assert_eq!(
            table(IncludeObject::None, true, &[json!({})], Some(&own))["rows"][0]["cells"],
            json!(["sibling", null])
        );
    }

    #[test]
    fn columns_that_apply_to_nothing_are_left_out() {
        let columns = [column("Mode", "string", Cell::Optional(|object, _| object["mode"].clone()))];
        let shown = |mode: Value| {
            let object = Shown::of_document(&json!({"mode": mode}), "v1", "Claim", Style::BuiltIn);
            applying(&columns, std::iter::once((&object, None)), Timestamp::UNIX_EPOCH).len()
        };
        assert_eq!((shown(Value::Null), shown(json!(""))), (0, 1));
    }

    #[test]
    fn finished_pods_say_so() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {"phase": "Failed"}});
        assert_eq!(table(IncludeObject::None, true, &[pod], None)["rows"][0]["conditions"][0]["reason"], "Failed");
    }

    #[test]
    fn a_bad_include_object_is_refused_in_upstreams_words() {
        let refused = IncludeObject::parse("All").expect_err("refused");
        assert_eq!(
            refused.message,
            r#"Unable to convert to Table as requested: includeObject: Invalid value: "All": must be 'Metadata', 'Object', 'None', or empty"#
        );
    }
}
