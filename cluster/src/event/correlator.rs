//! Events of `v1`, as client-go's older recorder writes them: repetitions are counted, many alike are combined, and nobody
//! floods.

use std::collections::HashMap;

use jiff::Timestamp;
use machinery::time;
use serde_json::{Value, json};

use super::{Record, Remark, cut, name, text};
use crate::Key;

/// Most series that are remembered: client-go's `maxLruCacheEntries`.
const SERIES_MAX: usize = 4096;
/// So many different messages of a kind are told one by one, within so many seconds: `defaultAggregateMaxEvents` and
/// `defaultAggregateIntervalInSeconds`.
const ALIKE_MAX: usize = 10;
const ALIKE_SECONDS: i64 = 600;
/// Most Events about one object at once, and the seconds after which one more may follow: `defaultSpamBurst`, `defaultSpamQPS`.
const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;

/// Tells which Events are new, which are repetitions, and which are too many.
#[derive(Default)]
pub(super) struct Correlator {
    series: HashMap<String, Series>,
    alike: HashMap<String, Alike>,
    budgets: HashMap<String, (f64, Timestamp)>,
}

struct Series {
    key: Key,
    count: u64,
    first: String,
}

/// Events that differ in their message only.
struct Alike {
    messages: std::collections::HashSet<String>,
    last: Timestamp,
}

impl Correlator {
    /// What is to be written of an Event about an object, if anything.
    pub(super) fn correlate(&mut self, about: &Value, remark: &Remark, now: Timestamp) -> Option<Record> {
        let object = format!(
            "{}/{}/{}/{}",
            text(about, "kind"),
            text(about, "namespace"),
            text(about, "name"),
            text(about, "uid")
        );
        let kind_of = format!("{object}/{}/{}/{}", remark.component, remark.reason, remark.warning);
        let (message, series) = if self.is_one_of_many(&kind_of, &remark.message, now) {
            (format!("(combined from similar events): {}", remark.message), kind_of)
        } else {
            (remark.message.clone(), format!("{kind_of}/{}", remark.message))
        };
        if !self.may_speak(format!("{}/{object}", remark.component), now) {
            return None;
        }
        bound(&mut self.series);
        let mut event = new_event(about, remark, cut(&message), now);
        match self.series.get_mut(&series) {
            Some(known) => {
                known.count += 1;
                event["firstTimestamp"] = json!(known.first);
                event["count"] = json!(known.count);
                let patch = json!({
                    "count": event["count"], "lastTimestamp": event["lastTimestamp"], "message": event["message"],
                });
                Some(Record::Again { event, key: known.key.clone(), patch })
            }
            None => {
                let first = time::format_seconds(now);
                self.series.insert(series, Series { key: Key::of(&event), count: 1, first });
                Some(Record::New(event))
            }
        }
    }

    fn is_one_of_many(&mut self, kind_of: &str, message: &str, now: Timestamp) -> bool {
        bound(&mut self.alike);
        let fresh = || Alike { messages: Default::default(), last: now };
        let alike = self.alike.entry(kind_of.to_owned()).or_insert_with(fresh);
        if now.duration_since(alike.last).as_secs() > ALIKE_SECONDS {
            *alike = fresh();
        }
        alike.last = now;
        if alike.messages.len() < ALIKE_MAX {
            alike.messages.insert(message.to_owned());
        }
        alike.messages.len() >= ALIKE_MAX
    }

    fn may_speak(&mut self, who_about_what: String, now: Timestamp) -> bool {
        bound(&mut self.budgets);
        let (budget, since) = self.budgets.entry(who_about_what).or_insert((BURST, now));
        let passed = now.duration_since(*since).as_secs_f64();
        *budget = (*budget + passed / REFILL_SECONDS).min(BURST);
        *since = now;
        let may = *budget >= 1.0;
        if may {
            *budget -= 1.0;
        }
        may
    }
}

/// Forgets everything rather than growing without end.
fn bound<V>(memory: &mut HashMap<String, V>) {
    if memory.len() >= SERIES_MAX {
        memory.clear();
    }
}

fn new_event(object: &Value, remark: &Remark, message: &str, now: Timestamp) -> Value {
    let namespace = match text(object, "namespace") {
        "" => "default",
        namespace => namespace,
    };
    let seconds = time::format_seconds(now);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "namespace": namespace,
            "name": name(object, now),
        },
        "involvedObject": object,
        "reason": remark.reason,
        "message": message,
        "type": if remark.warning { "Warning" } else { "Normal" },
        "source": {"component": remark.component},
        "reportingComponent": remark.component,
        "reportingInstance": "",
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "count": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::reference;

    fn about() -> Value {
        reference(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "n", "name": "p", "uid": "u"}}))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).expect("a time")
    }

    #[test]
    fn an_event_names_its_object_and_fits() {
        let remark = Remark::warning("c", "Odd", "ä".repeat(600));
        let Some(Record::New(event)) = Correlator::default().correlate(&about(), &remark, at(0)) else {
            panic!("a new event")
        };
        assert_eq!(event["involvedObject"]["uid"], "u");
        assert_eq!(event["type"], "Warning");
        assert_eq!(event["message"].as_str().map(str::len), Some(crate::event::MESSAGE_BYTES_MAX));
    }

    #[test]
    fn repetitions_are_counted_and_many_alike_combined() {
        let mut correlator = Correlator::default();
        let mut say = |message: &str, at| correlator.correlate(&about(), &Remark::normal("c", "Made", message), at);
        assert!(matches!(say("0", at(0)), Some(Record::New(_))));
        assert!(matches!(say("0", at(1)), Some(Record::Again { event, .. }) if event["count"] == 2));
        let messages: Vec<String> = (1..40).map(|number| number.to_string()).collect();
        let told: Vec<Record> = messages.iter().filter_map(|message| say(message, at(2))).collect();
        let new = told.iter().filter(|one| matches!(one, Record::New(_))).count();
        assert_eq!(new, 9, "eight more, and one for all others");
        assert_eq!(told.len(), 23, "no more than a burst, with the two before");
        assert!(say("late", at(2 + 300)).is_some(), "one more after a while");
    }
}
