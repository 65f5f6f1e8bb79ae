//! Events, as the controllers of kube-controller-manager record them.

use jiff::Timestamp;
use machinery::{meta, time};
use serde_json::{Value, json};

/// Longest message of an Event: core validation's limit for `note`.
const MESSAGE_BYTES_MAX: usize = 1024;

/// What an Event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    /// In one CamelCase word.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) message: String,
    /// `Warning` instead of `Normal`.
    pub(crate) warning: bool,
    /// Who says it.
    pub(crate) component: &'static str,
}

/// A new Event about an object.
pub(crate) fn about(object: &Value, remark: &Remark, now: Timestamp) -> Value {
    let namespace = match meta::namespace(object) {
        "" => "default",
        namespace => namespace,
    };
    let seconds = time::format_seconds(now);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "namespace": namespace,
            // As client-go's recorder names events.
            "name": format!("{}.{:x}", meta::name(object), now.as_nanosecond()),
        },
        "involvedObject": {
            "apiVersion": meta::api_version(object),
            "kind": meta::kind(object),
            "namespace": meta::namespace(object),
            "name": meta::name(object),
            "uid": meta::uid(object),
            "resourceVersion": meta::resource_version(object),
        },
        "reason": remark.reason,
        "message": cut(&remark.message),
        "type": if remark.warning { "Warning" } else { "Normal" },
        "source": {"component": remark.component},
        "reportingComponent": remark.component,
        "reportingInstance": "",
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "count": 1,
    })
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_its_object_and_fits() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "n", "name": "p", "uid": "u"}});
        let message = "ä".repeat(600);
        let remark = Remark { reason: "Odd", message, warning: true, component: "c" };
        let event = about(&pod, &remark, time::parse("2026-01-01T00:00:00Z").expect("a time"));
        assert_eq!(event["involvedObject"]["uid"], "u");
        assert_eq!(event["type"], "Warning");
        assert_eq!(event["message"].as_str().map(str::len), Some(MESSAGE_BYTES_MAX));
    }
}
