//! Probes: what is looked at to know whether a container has started, lives, and is ready.

use std::{fmt, time::Duration};

use serde_json::Value;

/// A kind of probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Whether it has started; the others wait for that.
    Startup,
    /// Whether it lives; else it is restarted.
    Liveness,
    /// Whether it is ready for others.
    Readiness,
}

const ALL: [Probe; 3] = [Probe::Startup, Probe::Liveness, Probe::Readiness];

impl Probe {
    /// The member of a container that describes it.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Startup => "startupProbe",
            Self::Liveness => "livenessProbe",
            Self::Readiness => "readinessProbe",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        })
    }
}

/// When a probe is run first, and how long after that again and again.
pub(crate) fn times(probe: &Value) -> (Duration, Duration) {
    let seconds = |member: &str, usual: u64| Duration::from_secs(probe[member].as_u64().unwrap_or(usual).min(1 << 31));
    (seconds("initialDelaySeconds", 0), seconds("periodSeconds", 10).max(Duration::from_secs(1)))
}

/// How often a probe must succeed, or fail, in a row until it counts, and how often it has.
#[derive(Clone, Debug)]
struct Count {
    success: u32,
    failure: u32,
    last: bool,
    times: u32,
}

/// What the probes of a container have found.
#[derive(Clone, Debug)]
pub(crate) struct Probes {
    counts: [Option<Count>; 3],
    /// It has started.
    pub(crate) started: bool,
    /// It is ready.
    pub(crate) ready: bool,
}

impl Probes {
    /// The probes of a container that is just starting.
    pub(super) fn of(container: &Value) -> Self {
        let counts = ALL.map(|probe| {
            let spec = &container[probe.member()];
            let number = |member: &str, usual: u32| {
                spec[member].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(usual).max(1)
            };
            let (success, failure) = (number("successThreshold", 1), number("failureThreshold", 3));
            spec.is_object().then_some(Count { success, failure, last: false, times: 0 })
        });
        Self { started: counts[0].is_none(), ready: counts[2].is_none(), counts }
    }

    /// Takes over what was known before.
    pub(super) fn adopt(&mut self, started: bool, ready: bool) {
        self.started |= started;
        self.ready |= ready;
    }

    /// The probes that are to run now.
    pub(super) fn due(&self) -> impl Iterator<Item = Probe> {
        let started = self.started;
        let exists = [self.counts[0].is_some(), self.counts[1].is_some(), self.counts[2].is_some()];
        let wanted = move |probe: &Probe| exists[*probe as usize] && started != (*probe == Probe::Startup);
        ALL.into_iter().filter(wanted)
    }

    /// Takes in what a probe has found; `true` if the container is to be restarted.
    pub(super) fn take(&mut self, probe: Probe, passed: bool) -> bool {
        let Some(count) = &mut self.counts[probe as usize] else { return false };
        count.times = if count.last == passed { count.times.saturating_add(1) } else { 1 };
        count.last = passed;
        if count.times < if passed { count.success } else { count.failure } {
            return false;
        }
        match probe {
            Probe::Startup => self.started |= passed,
            Probe::Readiness => self.ready = passed,
            Probe::Liveness => {}
        }
        !passed && probe != Probe::Readiness
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn probes_count_in_a_row() {
        let mut probes = Probes::of(&json!({
            "startupProbe": {"failureThreshold": 2}, "livenessProbe": {"failureThreshold": 1},
            "readinessProbe": {"successThreshold": 2},
        }));
        assert_eq!(probes.due().collect::<Vec<_>>(), [Probe::Startup]);
        assert!(!probes.take(Probe::Startup, false) && !probes.started);
        assert!(!probes.take(Probe::Startup, true) && probes.started && !probes.ready);
        assert_eq!(probes.due().collect::<Vec<_>>(), [Probe::Liveness, Probe::Readiness]);
        for (passed, ready) in
            [(true, false), (false, false), (true, false), (true, true), (false, true), (false, true), (false, false)]
        {
            assert!(!probes.take(Probe::Readiness, passed));
            assert_eq!(probes.ready, ready);
        }
        assert!(probes.take(Probe::Liveness, false));
        let none = Probes::of(&json!({}));
        assert!(none.started && none.ready && none.due().next().is_none());
    }
}
