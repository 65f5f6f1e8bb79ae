//! Events of `events.k8s.io/v1`, as client-go's newer recorder writes them: one that is told again becomes a series, which
//! is written once; how long it went on is written with the next one.

use std::collections::HashMap;

use jiff::Timestamp;
use machinery::time;
use serde_json::{Value, json};

use super::{Record, Remark, cut, name, text};
use crate::Key;

/// Most Events that are remembered.
const EVENTS_MAX: usize = 4096;
/// A series ends when nothing was told for so long: client-go's `finishTime`.
const FINISH_SECONDS: i64 = 360;

/// Tells which Events are new.
#[derive(Default)]
pub(super) struct Series(HashMap<String, Known>);

struct Known {
    event: Value,
    count: u64,
    last: Timestamp,
}

impl Series {
    /// What is to be written of an Event about an object, if anything. What differs in its words only is one more of the
    /// same.
    pub(super) fn correlate(&mut self, about: &Value, remark: &Remark, action: &str, now: Timestamp) -> Option<Record> {
        if self.0.len() >= EVENTS_MAX {
            self.0.clear();
        }
        let same = format!("{about} {} {} {} {action}", remark.component, remark.reason, remark.warning);
        match self.0.get_mut(&same) {
            Some(known) if now.duration_since(known.last).as_secs() < FINISH_SECONDS => {
                known.count += 1;
                known.last = now;
                let series = json!({"count": known.count, "lastObservedTime": time::format_micros(now)});
                known.event["series"] = series.clone();
                let key = Key::of(&known.event);
                let event = known.event.clone();
                (known.count == 2).then(|| Record::Again { event, key, patch: json!({ "series": series }) })
            }
            _ => {
                let event = new_event(about, remark, action, now);
                self.0.insert(same, Known { event: event.clone(), count: 1, last: now });
                Some(Record::New(event))
            }
        }
    }
}

fn new_event(about: &Value, remark: &Remark, action: &str, now: Timestamp) -> Value {
    let namespace = match text(about, "namespace") {
        "" => "default",
        namespace => namespace,
    };
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": namespace, "name": name(about, now)},
        "eventTime": time::format_micros(now),
        "regarding": about,
        "reason": remark.reason,
        "action": action,
        "note": cut(&remark.message),
        "type": if remark.warning { "Warning" } else { "Normal" },
        "reportingController": remark.component,
        "reportingInstance": format!("{}-{}", remark.component, super::host()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_again_becomes_a_series_that_is_written_once() {
        let mut series = Series::default();
        let at = |seconds: i64| Timestamp::from_second(1_700_000_000 + seconds).expect("a time");
        let about = |version: &str| json!({"kind": "Pod", "namespace": "n", "name": "p", "resourceVersion": version});
        let mut say = |version: &str, words: &str, seconds| {
            series.correlate(
                &about(version),
                &Remark::warning("s", "Failed", words.to_owned()),
                "Scheduling",
                at(seconds),
            )
        };
        let Some(Record::New(event)) = say("1", "one", 0) else { panic!("a new event") };
        assert_eq!((&event["note"], &event["regarding"]["name"]), (&json!("one"), &json!("p")));
        let Some(Record::Again { patch, key, .. }) = say("1", "two", 1) else { panic!("a series") };
        assert_eq!(
            (patch["series"]["count"].as_u64(), key.name.as_str()),
            (Some(2), event["metadata"]["name"].as_str().unwrap_or_default())
        );
        assert_eq!(say("1", "three", 2), None);
        assert!(matches!(say("2", "three", 3), Some(Record::New(_))), "the pod has changed");
        assert!(matches!(say("1", "four", 2 + FINISH_SECONDS), Some(Record::New(_))), "the series has ended");
    }
}
