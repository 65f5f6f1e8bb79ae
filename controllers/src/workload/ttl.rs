//! Jobs that go some time after they ended.

use cluster::{Key, Kind, kind};
use jiff::SignedDuration;
use machinery::meta;

use super::{job, number};
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
};

/// The controller of `ttlSecondsAfterFinished`.
pub(crate) struct TtlAfterFinished;

impl Controller for TtlAfterFinished {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::JOB]
    }

    fn touched(&mut self, changed: &Changed, _: &Cache, due: &mut Vec<(Kind, Key)>) {
        let limited =
            changed.after.as_ref().filter(|job| number::maybe(job, "/spec/ttlSecondsAfterFinished").is_some());
        due.extend(limited.map(|job| (kind::JOB, Key::of(job))));
    }

    fn reconcile(&mut self, _: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        let mut plan = Plan::default();
        let Some(job) = cache.get(kind::JOB, key).filter(|job| meta::deletion_timestamp(job).is_none()) else {
            return plan;
        };
        let ends = job::finished_at(job).zip(number::maybe(job, "/spec/ttlSecondsAfterFinished"));
        let Some(ends) = ends.and_then(|(at, ttl)| at.checked_add(SignedDuration::from_secs(ttl)).ok()) else {
            return plan;
        };
        if ends <= moment.now {
            plan.actions.push(Action::Delete { kind: kind::JOB, object: job.clone(), grace: None, tell: None });
        } else {
            plan.look_again(Some(ends));
        }
        plan
    }
}
