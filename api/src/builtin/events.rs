//! Event, in the core group and in `events.k8s.io`: two spellings of the same objects.

use k8s_openapi::api::{core::v1 as core, events::v1 as events};
use serde_json::Value;

use super::column::name_and_age;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

/// The rows of Event in both groups. The objects are stored as the core group spells them.
pub(super) fn rows() -> Vec<Row> {
    let rules = Rules { create_on_update: true, ..Rules::PLAIN };
    vec![
        kind("", "Event", "events")
            .short(&["ev"])
            .version("v1", schema_of::<core::Event>, name_and_age())
            .selectable(&["involvedObject.kind", "involvedObject.namespace", "involvedObject.name"])
            .selectable(&["involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion"])
            .selectable(&["involvedObject.fieldPath", "reason", "reportingComponent", "source", "type"])
            .rules(rules),
        kind("events.k8s.io", "Event", "events")
            .short(&["ev"])
            .stored_as("events")
            .converted_version(
                "v1",
                schema_of::<events::Event>,
                name_and_age(),
                Some(|event| rename(event, MEMBERS.iter().map(|(core, events)| (*events, *core)))),
                Some(|event| rename(event, MEMBERS.iter().copied())),
            )
            .selectable(&["reason", "type"])
            .rules(rules),
    ]
}

/// Members of an Event that the two groups name differently: core's name, and that of `events.k8s.io`.
const MEMBERS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

fn rename<'a>(event: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let Some(members) = event.as_object_mut() else { return };
    for (from, to) in names {
        if let Some(value) = members.remove(from) {
            members.insert(to.to_owned(), value);
        }
    }
}
