//! Event, in the core group and in `events.k8s.io`: two spellings of the same objects.

use jiff::Timestamp;
use k8s_openapi::api::{core::v1 as core, events::v1 as events};
use machinery::{
    field::{Error, Path},
    meta,
};
use serde_json::Value;

use super::cells::or;
use super::column::{name, since, text, wide};
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::format::Errors;

/// The rows of Event in both groups. The objects are stored as the core group spells them.
pub(super) fn rows() -> Vec<Row> {
    let rules = Rules { create_on_update: true, validate, ..Rules::PLAIN };
    vec![
        kind("", "Event", "events")
            .short(&["ev"])
            .version("v1", schema_of::<core::Event>, columns())
            .selectable(&["involvedObject.kind", "involvedObject.namespace", "involvedObject.name"])
            .selectable(&["involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion"])
            .selectable(&["involvedObject.fieldPath", "reason", "reportingComponent", "type"])
            .selectable_by("source", |event| reporter(event).to_owned())
            .rules(rules),
        kind("events.k8s.io", "Event", "events")
            .short(&["ev"])
            .stored_as("events")
            .converted_version(
                "v1",
                schema_of::<events::Event>,
                columns(),
                Some(|event| rename(event, MEMBERS.iter().map(|(core, events)| (*events, *core)))),
                Some(|event| rename(event, MEMBERS.iter().copied())),
            )
            .selectable(&["regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid"])
            .selectable(&["regarding.apiVersion", "regarding.resourceVersion", "regarding.fieldPath"])
            .selectable(&["reason", "reportingController", "type"])
            .rules(rules),
    ]
}

/// A member that the two groups name differently: core's name, and that of `events.k8s.io`.
type Spellings = (&'static str, &'static str);

const OBJECT: Spellings = ("involvedObject", "regarding");
const MESSAGE: Spellings = ("message", "note");
const CONTROLLER: Spellings = ("reportingComponent", "reportingController");
const SOURCE: Spellings = ("source", "deprecatedSource");
const FIRST: Spellings = ("firstTimestamp", "deprecatedFirstTimestamp");
const LAST: Spellings = ("lastTimestamp", "deprecatedLastTimestamp");
const COUNT: Spellings = ("count", "deprecatedCount");
const MEMBERS: [Spellings; 7] = [OBJECT, MESSAGE, CONTROLLER, SOURCE, FIRST, LAST, COUNT];

fn rename<'a>(event: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let Some(members) = event.as_object_mut() else { return };
    for (from, to) in names {
        if let Some(value) = members.remove(from) {
            members.insert(to.to_owned(), value);
        }
    }
}

fn columns() -> Vec<Column> {
    vec![
        text("Last Seen", "How long ago it happened last.", |event, now| last_seen(event, now).into()),
        text("Type", "`Normal` or `Warning`.", |event, _| pointer::text(event, "/type").into()),
        text("Reason", "What happened, in one word.", |event, _| pointer::text(event, "/reason").into()),
        text("Object", "What it happened to.", |event, _| object(event).into()),
        wide("Subobject", "Which part of the object.", |event, _| member(event, OBJECT, "/fieldPath").into()),
        wide("Source", "Who noticed.", |event, _| source(event).into()),
        text("Message", "What happened.", |event, _| member(event, MESSAGE, "").trim().into()),
        wide("First Seen", "How long ago it happened first.", |event, now| first_seen(event, now).into()),
        wide("Count", "How often it happened.", |event, _| count(event).into()),
        Column { priority: 1, ..name() },
    ]
}

/// The text in a member, or below it, in whichever spelling the event has.
fn member<'a>(event: &'a Value, (core, events): Spellings, rest: &str) -> &'a str {
    let at = |name: &str| pointer::text(event, &format!("/{name}{rest}"));
    or(at(core), at(events))
}

fn first_seen(event: &Value, now: Timestamp) -> String {
    since(or(member(event, FIRST, ""), pointer::text(event, "/eventTime")), now)
}

fn last_seen(event: &Value, now: Timestamp) -> String {
    let series = pointer::text(event, "/series/lastObservedTime");
    match or(series, member(event, LAST, "")) {
        "" => first_seen(event, now),
        time => since(time, now),
    }
}

fn object(event: &Value) -> String {
    let kind = member(event, OBJECT, "/kind").to_lowercase();
    match member(event, OBJECT, "/name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

fn source(event: &Value) -> String {
    let component = reporter(event);
    match or(member(event, SOURCE, "/host"), pointer::text(event, "/reportingInstance")) {
        "" => component.to_owned(),
        instance => format!("{component}, {instance}"),
    }
}

/// The component that reported the event.
fn reporter(event: &Value) -> &str {
    or(member(event, SOURCE, "/component"), member(event, CONTROLLER, ""))
}

fn count(event: &Value) -> i64 {
    if pointer::has(event, "/series") {
        return pointer::integer(event, "/series/count");
    }
    let counted = [COUNT.0, COUNT.1].map(|name| pointer::integer(event, &format!("/{name}")));
    counted.into_iter().max().unwrap_or_default().max(1)
}

/// An event is where the object is that it is about; for one of the cluster, in `default`.
fn validate(event: &Value) -> Errors {
    let mut errors = Vec::new();
    let namespace = meta::namespace(event);
    let involved = pointer::text(event, "/involvedObject/namespace");
    let path = Path::new("involvedObject").child("namespace");
    let elsewhere = match involved {
        "" => !matches!(namespace, "" | "default" | "kube-system"),
        involved => involved != namespace,
    };
    if elsewhere {
        errors.push(Error::invalid(&path, &involved.into(), "does not match event.namespace"));
    }
    errors
}
