//! What a controller is, and which ones there are.

use std::collections::BTreeSet;

use cluster::{Key, Kind};
use jiff::Timestamp;

use crate::{
    action::Action,
    cache::{Cache, Changed},
    claims::Claims,
    classic,
    device::{pool_status::PoolStatus, taint_eviction::DeviceTaintEviction},
    disruption::Disruption,
    kubevirt,
    node::{lifecycle::NodeLifecycle, pod_garbage::PodGarbage, taint_eviction::TaintEviction},
    service::{endpoints::Endpoints, slices::EndpointSlices},
    volcano,
    volume::{
        binder::VolumeBinder,
        ephemeral::EphemeralVolumes,
        protection::{ClaimProtection, VolumeProtection},
        provisioner::LocalPath,
    },
    workload::{
        autoscaler::Autoscalers, cron_job::CronJobs, daemon_set::DaemonSets, deployment::Deployments, job::Jobs,
        replica_set::ReplicaSets, stateful_set::StatefulSets, ttl::TtlAfterFinished,
    },
};

/// Keeps one respect of the cluster as it is asked for. Deciding is pure: from what is known to what is to be written.
pub(crate) trait Controller: Send {
    /// The kinds that it looks at.
    fn kinds(&self) -> Vec<Kind>;

    /// The objects to look at after a change, and nothing else: a controller does not wake for what is not its own.
    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>);

    /// What is to be written about one object now.
    fn reconcile(&mut self, kind: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan;

    /// The field manager of its writes.
    fn manager(&self) -> &'static str {
        "kube-controller-manager"
    }
}

/// When, and after what, something is decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    /// The current time.
    pub(crate) now: Timestamp,
    /// Why the last attempt to carry out what was decided failed, in the server's words.
    pub(crate) failure: Option<&'a str>,
}

/// What a controller wants.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// To be carried out in order, until one fails.
    pub(crate) actions: Vec<Action>,
    /// When to look again, even if nothing changes.
    pub(crate) again: Option<Timestamp>,
}

impl Plan {
    /// Asks to be looked at again at `at`, or earlier.
    pub(crate) fn look_again(&mut self, at: Option<Timestamp>) {
        self.again = match (self.again, at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

impl From<Vec<Action>> for Plan {
    fn from(actions: Vec<Action>) -> Self {
        Self { actions, again: None }
    }
}

/// A controller as the command line knows it.
struct Entry {
    /// As kube-controller-manager calls it.
    name: &'static str,
    /// As kube-controller-manager called it before 1.28; still understood.
    alias: &'static str,
    make: fn() -> Box<dyn Controller>,
    /// It runs where nobody asks for it by name: `*` means those.
    usual: bool,
}

const fn entry(name: &'static str, alias: &'static str, make: fn() -> Box<dyn Controller>) -> Entry {
    Entry { name, alias, make, usual: true }
}

/// What belongs to a system that has to be installed.
const fn system(name: &'static str, make: fn() -> Box<dyn Controller>) -> Entry {
    Entry { name, alias: name, make, usual: false }
}

const ALL: &[Entry] = &[
    entry("daemonset-controller", "daemonset", || Box::new(DaemonSets)),
    entry("deployment-controller", "deployment", || Box::new(Deployments)),
    entry("replicaset-controller", "replicaset", || Box::new(ReplicaSets::of_sets())),
    entry("replicationcontroller-controller", "replicationcontroller", || Box::new(ReplicaSets::of_controllers())),
    entry("statefulset-controller", "statefulset", || Box::new(StatefulSets)),
    entry("job-controller", "job", || Box::new(Jobs)),
    entry("cronjob-controller", "cronjob", || Box::new(CronJobs)),
    entry("ttl-after-finished-controller", "ttl-after-finished", || Box::new(TtlAfterFinished)),
    entry("horizontal-pod-autoscaler-controller", "horizontalpodautoscaling", || Box::new(Autoscalers)),
    entry("endpoints-controller", "endpoint", || Box::new(Endpoints)),
    entry("endpointslice-controller", "endpointslice", || Box::new(EndpointSlices)),
    entry("persistentvolume-binder-controller", "persistentvolume-binder", || Box::new(VolumeBinder)),
    entry("persistentvolumeclaim-protection-controller", "pvc-protection", || Box::new(ClaimProtection)),
    entry("persistentvolume-protection-controller", "pv-protection", || Box::new(VolumeProtection)),
    entry("ephemeral-volume-controller", "ephemeral-volume", || Box::new(EphemeralVolumes)),
    entry("local-path-provisioner", "local-path-provisioner", || Box::new(LocalPath)),
    entry("disruption-controller", "disruption", || Box::new(Disruption)),
    entry("node-lifecycle-controller", "nodelifecycle", || Box::new(NodeLifecycle)),
    entry("taint-eviction-controller", "taint-eviction", || Box::new(TaintEviction::default())),
    entry("pod-garbage-collector-controller", "podgc", || Box::new(PodGarbage::default())),
    entry("device-taint-eviction-controller", "device-taint-eviction", || Box::new(DeviceTaintEviction::default())),
    entry("resourcepoolstatusrequest-controller", "resourcepoolstatusrequest", || Box::new(PoolStatus::default())),
    entry("resourceclaim-controller", "resource-claim-controller", || Box::new(Claims)),
    entry("classic-dra-driver", "classic-dra-driver", || Box::new(classic::Drivers::default())),
    system("kubevirt", || Box::new(kubevirt::KubeVirt)),
    system("volcano", || Box::new(volcano::Volcano::default())),
];

/// Which controllers run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    names: BTreeSet<&'static str>,
}

/// All of them.
impl Default for Options {
    fn default() -> Self {
        Self { names: ALL.iter().filter(|entry| entry.usual).map(|entry| entry.name).collect() }
    }
}

impl Options {
    /// Reads a list as kube-controller-manager's `--controllers` has it: `*` for all that are on by default, `foo` for one,
    /// `-foo` for all but one.
    ///
    /// # Errors
    /// A name that is none.
    pub fn parse(list: &str) -> Result<Self, String> {
        let words: Vec<&str> = list.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        for word in words.iter().filter(|word| **word != "*") {
            let name = word.strip_prefix('-').unwrap_or(word);
            if !ALL.iter().any(|entry| entry.is(name)) {
                return Err(format!("{name:?} is not in the list of known controllers: {}", Self::known().join(", ")));
            }
        }
        let wanted = |entry: &&Entry| {
            let said = |word: &&&str| entry.is(word.strip_prefix('-').unwrap_or(word));
            words.iter().find(said).map_or_else(|| entry.usual && words.contains(&"*"), |word| !word.starts_with('-'))
        };
        Ok(Self { names: ALL.iter().filter(wanted).map(|entry| entry.name).collect() })
    }

    /// Names of all controllers.
    pub fn known() -> Vec<&'static str> {
        ALL.iter().map(|entry| entry.name).collect()
    }

    /// The chosen controllers.
    pub(crate) fn controllers(&self) -> Vec<Box<dyn Controller>> {
        ALL.iter().filter(|entry| self.names.contains(entry.name)).map(|entry| (entry.make)()).collect()
    }
}

impl Entry {
    fn is(&self, name: &str) -> bool {
        name == self.name || name == self.alias
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_chosen_as_kube_controller_manager_does() {
        let chosen = |list: &str| Options::parse(list).map(|options| options.names.len());
        let usual = ALL.iter().filter(|entry| entry.usual).count();
        assert_eq!(chosen("*"), Ok(usual));
        assert_eq!(chosen("*,volcano"), Ok(usual + 1));
        assert_eq!(chosen("*,-resourceclaim-controller"), Ok(usual - 1));
        assert_eq!(chosen("*,-resource-claim-controller"), Ok(usual - 1));
        assert_eq!(chosen("resourceclaim-controller"), Ok(1));
        assert_eq!(chosen(""), Ok(0));
        let error = chosen("*,-nonesuch").expect_err("no such controller");
        assert!(error.starts_with("\"nonesuch\" is not in the list of known controllers"), "{error}");
        let names: BTreeSet<_> = ALL.iter().flat_map(|entry| [entry.name, entry.alias]).collect();
        assert_eq!(names.len(), ALL.iter().map(|entry| if entry.alias == entry.name { 1 } else { 2 }).sum::<usize>());
    }
}
