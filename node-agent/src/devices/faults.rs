//! What is to go wrong on a node: annotations that a user sets with `kubectl annotate node`.

use std::{collections::BTreeMap, time::Duration};

use machinery::meta;
use serde_json::Value;

/// Devices whose preparation fails: `<pool>/<device>`, `<device>` or `*`, separated by commas, each with `=message` if
/// the driver is to say something else than the usual.
pub(crate) const FAIL_PREPARE: &str = "sandbox.dra/fail-prepare";
/// Devices whose unpreparation fails; written in the same way.
pub(crate) const FAIL_UNPREPARE: &str = "sandbox.dra/fail-unprepare";
/// Devices in whose preparation their driver dies; written in the same way.
pub(crate) const CRASH_DRIVER: &str = "sandbox.dra/crash-driver";
/// Devices that are unhealthy; written in the same way.
pub(crate) const UNHEALTHY: &str = "sandbox.dra/unhealthy";
/// Devices with a taint, as their driver would publish it: `<device>=<key>[=<value>]:<effect>`, where the effect is
/// `NoSchedule` or `NoExecute`.
pub(crate) const TAINT: &str = "sandbox.dra/taint";
/// How long a driver takes to prepare a pod: `2s`, `500ms`.
pub(crate) const PREPARE_DELAY: &str = "sandbox.dra/prepare-delay";
/// `true`: the kubelet does not answer any more.
pub(crate) const LOST: &str = "sandbox.dra/lost";

/// Longest delay.
const DELAY_MAX: Duration = Duration::from_secs(3600);

/// What is to go wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Whose preparation fails, and what the driver says.
    pub fail_prepare: Devices,
    /// Whose unpreparation fails, and what the driver says.
    pub fail_unprepare: Devices,
    /// In whose preparation the driver dies.
    pub crash_driver: Devices,
    /// What is unhealthy, and why.
    pub unhealthy: Devices,
    /// What is tainted, and how.
    pub taint: Devices,
    /// How long preparation takes.
    pub prepare_delay: Duration,
    /// The kubelet does not answer.
    pub lost: bool,
}

/// Some devices, with a message each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Devices(BTreeMap<String, String>);

impl Devices {
    fn parse(text: Option<&str>, usual: &str) -> Self {
        let entries = text.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let entry = |entry: &str| match entry.split_once('=') {
            Some((device, message)) => (device.trim().to_owned(), message.trim().to_owned()),
            None => (entry.to_owned(), usual.to_owned()),
        };
        Self(entries.map(entry).collect())
    }

    /// The message about a device, when it is among them.
    pub(crate) fn message(&self, pool: &str, device: &str) -> Option<&str> {
        let full = format!("{pool}/{device}");
        [full.as_str(), device, "*"].iter().find_map(|name| self.0.get(*name)).map(String::as_str)
    }
}

impl Faults {
    /// What the annotations of a node say. A delay that cannot be read is none.
    pub(crate) fn of(node: &Value) -> Self {
        let delay = meta::annotation(node, PREPARE_DELAY).and_then(delay);
        Self {
            fail_prepare: Devices::parse(meta::annotation(node, FAIL_PREPARE), "injected failure"),
            fail_unprepare: Devices::parse(meta::annotation(node, FAIL_UNPREPARE), "injected failure"),
            crash_driver: Devices::parse(meta::annotation(node, CRASH_DRIVER), ""),
            unhealthy: Devices::parse(meta::annotation(node, UNHEALTHY), ""),
            taint: Devices::parse(meta::annotation(node, TAINT), ""),
            prepare_delay: delay.unwrap_or_default().min(DELAY_MAX),
            lost: meta::annotation(node, LOST) == Some("true"),
        }
    }
}

/// `2s`, `500ms`, `1m`.
fn delay(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|one: char| one.is_ascii_alphabetic())?);
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()
}

/// Key, value and effect of `key=value:Effect` or `key:Effect`; none if there is no such effect.
pub(crate) fn taint(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let (name, effect) = text.rsplit_once(':')?;
    let (key, value) = name.split_once('=').map_or((name, None), |(key, value)| (key, Some(value)));
    (matches!(effect, "NoSchedule" | "NoExecute") && !key.is_empty()).then_some((key, value, effect))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn taints_and_delays_are_read() {
        assert_eq!(taint("k=v:NoExecute"), Some(("k", Some("v"), "NoExecute")));
        assert_eq!(taint("example.com/k:NoSchedule"), Some(("example.com/k", None, "NoSchedule")));
        assert_eq!((taint("k=v"), taint("k:Nonsense"), taint(":NoExecute")), (None, None, None));
        let node = json!({"metadata": {"annotations": {TAINT: "gpu-0=k=v:NoExecute", PREPARE_DELAY: "250ms"}}});
        assert_eq!(Faults::of(&node).taint.message("p", "gpu-0"), Some("k=v:NoExecute"));
        assert_eq!(Faults::of(&node).prepare_delay, Duration::from_millis(250));
        assert_eq!([delay("-1s"), delay("5"), delay("soon"), delay("1h")], [None; 4]);
    }

    #[test]
    fn annotations_say_what_goes_wrong() {
        let node = json!({"metadata": {"annotations": {
            FAIL_PREPARE: "pool/gpu-0, gpu-1=out of luck", UNHEALTHY: "*", PREPARE_DELAY: "2s", LOST: "false",
        }}});
        let faults = Faults::of(&node);
        assert_eq!(faults.fail_prepare.message("pool", "gpu-0"), Some("injected failure"));
        assert_eq!(faults.fail_prepare.message("other", "gpu-0"), None);
        assert_eq!(faults.fail_prepare.message("other", "gpu-1"), Some("out of luck"));
        assert_eq!(faults.unhealthy.message("any", "thing"), Some(""));
        assert_eq!(faults.prepare_delay, Duration::from_secs(2));
        assert!(!faults.lost);
        assert_eq!(Faults::of(&json!({})), Faults::default());
    }
}
