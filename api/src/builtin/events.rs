//! Event, in the core group and in `events.k8s.io`: two spellings of the same objects.

use jiff::Timestamp;
use k8s_openapi::api::{core::v1 as core, events::v1 as events};
use machinery::{
    field::{Error, Path},
    label, meta,
};
use serde_json::Value;

use super::cells::or;
use super::column::{name, since, text, wide};
use super::formats::invalid;
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::format::Errors;

/// The rows of Event in both groups. The objects are stored as the core group spells them.
pub(super) fn rows() -> Vec<Row> {
    let core_rules =
        Rules { takes_bare_finalizers: true, create_on_update: true, validate: validate_core, ..Rules::PLAIN };
    let rules = Rules { validate, validate_update: Some(validate_update), ..core_rules };
    vec![
        kind("", "Event", "events")
            .short(&["ev"])
            .version("v1", schema_of::<core::Event>, columns())
            .selectable(&["involvedObject.kind", "involvedObject.namespace", "involvedObject.name"])
            .selectable(&["involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion"])
            .selectable(&["involvedObject.fieldPath", "reason", "reportingComponent", "type"])
            .selectable_by("source", |event| reporter(event).to_owned())
            .rules(core_rules),
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

/// The text that an action, a reason or the name of an instance may be long, and what is said about a longer one.
const TEXT_MAX: usize = 128;
const MESSAGE_MAX: usize = 1024;

/// What both groups ask of an event, which is spelled as the core group spells it. One without a time is of the old kind:
/// it only is where the object is that it is about.
fn common(event: &Value, controller: &str) -> Errors {
    let mut errors = Vec::new();
    let namespace = meta::namespace(event);
    let involved = pointer::text(event, "/involvedObject/namespace");
    let path = Path::new("involvedObject").child("namespace");
    let elsewhere = |errors: &mut Errors| {
        errors.push(Error::invalid(&path, &involved.into(), "does not match event.namespace"));
    };
    if !pointer::has(event, "/eventTime") {
        let is_there = match involved {
            "" => matches!(namespace, "" | "default"),
            involved => involved == namespace,
        };
        if !is_there {
            elsewhere(&mut errors);
        }
        return errors;
    }
    if involved.is_empty() && !matches!(namespace, "default" | "kube-system") {
        elsewhere(&mut errors);
    }
    let reporter = pointer::text(event, "/reportingComponent");
    let path = Path::new(controller);
    if reporter.is_empty() {
        errors.push(Error::required(&path, ""));
    }
    invalid(&mut errors, &path, &reporter.into(), label::key_errors(reporter));
    for member in ["reportingInstance", "action", "reason"] {
        let (value, path) = (pointer::text(event, &format!("/{member}")), Path::new(member));
        if value.is_empty() {
            errors.push(Error::required(&path, ""));
        }
        at_most(&mut errors, &path, value, TEXT_MAX);
    }
    at_most(&mut errors, &Path::new("message"), pointer::text(event, "/message"), MESSAGE_MAX);
    errors
}

/// Upstream does not show the text that is too long.
fn at_most(errors: &mut Errors, path: &Path, value: &str, most: usize) {
    if value.len() > most {
        let detail = format!("can have at most {most} characters");
        errors.push(Error::invalid(path, &"".into(), &detail));
    }
}

/// An event of the core group.
fn validate_core(event: &Value) -> Errors {
    common(event, "reportingComponent")
}

/// An event of `events.k8s.io`: it has a time, and nothing that only the old kind has.
fn validate(event: &Value) -> Errors {
    let mut errors = common(event, "reportingController");
    series(&mut errors, event);
    if !pointer::has(event, "/eventTime") {
        errors.push(Error::required(&Path::new("eventTime"), ""));
    }
    let kind = pointer::text(event, "/type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(Error::invalid(&Path::new("type"), &"".into(), &format!("has invalid value: {kind}")));
    }
    let old_kind = [
        ("firstTimestamp", pointer::has(event, "/firstTimestamp")),
        ("lastTimestamp", pointer::has(event, "/lastTimestamp")),
        ("count", pointer::integer(event, "/count") != 0),
        (
            "source",
            ["component", "host"].iter().any(|part| !pointer::text(event, &format!("/source/{part}")).is_empty()),
        ),
    ];
    for (member, _) in old_kind.into_iter().filter(|(_, is_set)| *is_set) {
        errors.push(Error::invalid(&Path::new(member), &"".into(), "needs to be unset"));
    }
    errors
}

/// A series has happened more than once.
fn series(errors: &mut Errors, event: &Value) {
    if !pointer::has(event, "/series") {
        return;
    }
    let path = Path::new("series");
    if pointer::integer(event, "/series/count") < 2 {
        errors.push(Error::invalid(&path.child("count"), &"".into(), "should be at least 2"));
    }
    if !pointer::has(event, "/series/lastObservedTime") {
        errors.push(Error::required(&path.child("lastObservedTime"), ""));
    }
}

/// An event of `events.k8s.io` only counts on; what it says stays. Upstream looks at the reason twice.
fn validate_update(event: &Value, old: &Value) -> Errors {
    let mut errors = common(event, "reportingController");
    series(&mut errors, event);
    for member in ["involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count"] {
        kept(&mut errors, event, old, (member, member));
    }
    for member in ["reason", "type", "eventTime", "action", "related"] {
        kept(&mut errors, event, old, (member, member));
    }
    kept(&mut errors, event, old, ("reportingComponent", "reportingController"));
    kept(&mut errors, event, old, ("reportingInstance", "reportingInstance"));
    errors
}

fn kept(errors: &mut Errors, event: &Value, old: &Value, (member, shown): (&str, &str)) {
    let (new, was) = (event.get(member), old.get(member));
    let is_empty = |value: Option<&Value>| value.is_none_or(|value| value.is_null() || value == "");
    if new == was || is_empty(new) && is_empty(was) {
        return;
    }
    let path = Path::new(shown);
    match (member, new) {
        ("involvedObject" | "related", Some(object)) => {
            errors.push(Error::invalid_shown(&path, &shown_reference(object), "field is immutable"));
        }
        ("eventTime" | "related", None) => errors.push(Error::invalid(&path, &Value::Null, "field is immutable")),
        (_, None) => errors.push(Error::invalid(&path, &"".into(), "field is immutable")),
        (_, Some(value)) => errors.push(Error::invalid(&path, value, "field is immutable")),
    }
}

/// An ObjectReference as upstream's internal type, whose members begin with capitals.
fn shown_reference(reference: &Value) -> String {
    const MEMBERS: [(&str, &str); 7] = [
        ("Kind", "kind"),
        ("Namespace", "namespace"),
        ("Name", "name"),
        ("UID", "uid"),
        ("APIVersion", "apiVersion"),
        ("ResourceVersion", "resourceVersion"),
        ("FieldPath", "fieldPath"),
    ];
    let one =
        |(go, name): &(&str, &str)| format!("\"{go}\":{}", Value::from(pointer::text(reference, &format!("/{name}"))));
    format!("{{{}}}", MEMBERS.iter().map(one).collect::<Vec<_>>().join(","))
}
