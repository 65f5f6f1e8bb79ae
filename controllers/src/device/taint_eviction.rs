//! Pods that use devices with taints with which they cannot stay.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use cluster::{Key, Kind, claim_reference, kind, write::PatchKind};
use jiff::{SignedDuration, Timestamp};
use machinery::meta;
use serde_json::{Value, json};

use super::{
    rule_status::{self, Count},
    tainted::{self, Pool, leaves_at, pool_of_result, pool_of_slice, results},
};
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    event::Remark,
    evict::Eviction,
    node_fit::list,
    pod,
};

const COMPONENT: &str = "device-taint-eviction-controller";
/// The status of a rule is written no more often than this.
const STATUS_SECONDS: i64 = 10;

/// The device taint eviction controller.
#[derive(Default)]
pub(crate) struct DeviceTaintEviction {
    /// Slices by their pool.
    slices: HashMap<Pool, BTreeSet<Key>>,
    /// Allocated claims by the pools of their devices.
    claims: HashMap<Pool, BTreeSet<Key>>,
    /// Pods that are to go, unless something changes, and the rules that say so; by uid.
    waiting: HashMap<String, BTreeSet<String>>,
    /// Pods that had to go because of a rule, by the uid of the rule.
    evicted: HashMap<String, BTreeSet<String>>,
    /// When the status of a rule was written last, by its uid.
    written: HashMap<String, Timestamp>,
}

impl Controller for DeviceTaintEviction {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::POD, kind::RESOURCE_CLAIM, kind::RESOURCE_SLICE, kind::DEVICE_TAINT_RULE]
    }

    fn touched(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let before = due.len();
        match changed.kind {
            kind::RESOURCE_SLICE => self.slice(changed, cache, due),
            kind::RESOURCE_CLAIM => self.claim(changed, cache, due),
            kind::DEVICE_TAINT_RULE => self.rule(changed, cache, due),
            _ => self.pod(changed, cache, due),
        }
        if due.len() > before || changed.kind == kind::RESOURCE_SLICE {
            self.touch_rules(changed, cache, due);
        }
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, moment: Moment<'_>) -> Plan {
        match of {
            kind::DEVICE_TAINT_RULE => self.reconcile_rule(key, cache, moment.now),
            _ => self.reconcile_pod(key, cache, moment.now),
        }
    }

    fn manager(&self) -> &'static str {
        COMPONENT
    }
}

/// Keeps an object under its pools, or forgets it.
fn index(map: &mut HashMap<Pool, BTreeSet<Key>>, pools: impl Iterator<Item = Pool>, key: &Key, keep: bool) {
    for pool in pools {
        if keep {
            map.entry(pool).or_default().insert(key.clone());
        } else if let Some(keys) = map.get_mut(&pool) {
            keys.remove(key);
            if keys.is_empty() {
                map.remove(&pool);
            }
        }
    }
}

/// The pods for which a claim is reserved.
fn consumers(claim: &Value) -> impl Iterator<Item = (Kind, Key)> + '_ {
    let pods = list(claim, "/status/reservedFor").filter(|one| one["resource"] == "pods");
    pods.map(|one| (kind::POD, Key::new(meta::namespace(claim), one["name"].as_str().unwrap_or_default())))
}

impl DeviceTaintEviction {
    fn slice(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let taints = |slice: &Option<Arc<Value>>| {
            let devices = slice.iter().flat_map(|slice| list(slice, "/spec/devices"));
            devices
                .map(|device| (device["name"].clone(), device["taints"].clone()))
                .filter(|(_, taints)| !taints.is_null())
                .collect::<Vec<_>>()
        };
        for (slice, keep) in [(&changed.before, false), (&changed.after, true)] {
            if let Some(slice) = slice {
                index(&mut self.slices, std::iter::once(pool_of_slice(slice)), &Key::of(slice), keep);
            }
        }
        if taints(&changed.before) == taints(&changed.after) && !changed.differs_at("/spec/pool/generation") {
            return;
        }
        for slice in changed.states() {
            let claims = self.claims.get(&pool_of_slice(slice)).into_iter().flatten();
            let claims = claims.filter_map(|key| cache.get(kind::RESOURCE_CLAIM, key));
            due.extend(claims.flat_map(|claim| consumers(claim)));
        }
    }

    fn claim(&mut self, changed: &Changed, _: &Cache, due: &mut Vec<(Kind, Key)>) {
        for (claim, keep) in [(&changed.before, false), (&changed.after, true)] {
            if let Some(claim) = claim {
                index(&mut self.claims, results(claim).map(pool_of_result), &Key::of(claim), keep);
            }
        }
        if changed.differs_at("/status/allocation") || changed.differs_at("/status/reservedFor") {
            due.extend(changed.states().flat_map(|claim| consumers(claim)));
        }
    }

    fn rule(&mut self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(rule) = changed.latest() else { return };
        if changed.after.is_none() {
            self.evicted.remove(meta::uid(rule));
            self.written.remove(meta::uid(rule));
        }
        if !changed.differs_at("/spec") {
            return;
        }
        due.push((kind::DEVICE_TAINT_RULE, Key::of(rule)));
        for rule in changed.states() {
            due.extend(self.selected(rule, cache).into_iter().flat_map(|claim| consumers(claim)));
        }
    }

    fn pod(&mut self, changed: &Changed, _: &Cache, due: &mut Vec<(Kind, Key)>) {
        let Some(pod) = changed.latest().filter(|pod| pod::has_claims(pod)) else { return };
        if changed.after.is_none() {
            self.waiting.remove(meta::uid(pod));
        }
        let moved = ["/spec/nodeName", "/metadata/deletionTimestamp", "/status/resourceClaimStatuses", "/metadata/uid"];
        if moved.iter().any(|part| changed.differs_at(part)) {
            due.push((kind::POD, Key::of(pod)));
        }
    }

    /// The rules whose status may say something else now.
    fn touch_rules(&self, changed: &Changed, cache: &Cache, due: &mut Vec<(Kind, Key)>) {
        if changed.kind == kind::DEVICE_TAINT_RULE {
            return;
        }
        due.extend(cache.all(kind::DEVICE_TAINT_RULE).map(|rule| (kind::DEVICE_TAINT_RULE, Key::of(rule))));
    }

    /// The allocated claims that have a device that a rule selects.
    fn selected<'a>(&self, rule: &Value, cache: &'a Cache) -> Vec<&'a Arc<Value>> {
        let selector = &rule["spec"]["deviceSelector"];
        let pools: Vec<&BTreeSet<Key>> = match (selector["driver"].as_str(), selector["pool"].as_str()) {
            (Some(driver), Some(name)) => {
                let pool = Pool { driver: driver.to_owned(), name: name.to_owned() };
                self.claims.get(&pool).into_iter().collect()
            }
            _ => self.claims.values().collect(),
        };
        let keys: BTreeSet<&Key> = pools.into_iter().flatten().collect();
        let claims = keys.into_iter().filter_map(|key| cache.get(kind::RESOURCE_CLAIM, key));
        claims.filter(|claim| results(claim).any(|result| tainted::selects_result(rule, result))).collect()
    }

    /// When a pod has to go, and because of which rules. `what_if` is a rule to be read as if it evicted.
    fn leaves(
        &self,
        pod: &Value,
        cache: &Cache,
        now: Timestamp,
        what_if: Option<&Value>,
    ) -> Option<(Timestamp, BTreeSet<String>)> {
        pod::node_name(pod)?;
        let mut at: BTreeMap<Timestamp, BTreeSet<String>> = BTreeMap::new();
        // The claim that stands for extended resources is not looked at, as upstream's controller does not.
        let extended = claim_reference::extended_resource_claim(pod);
        for name in claim_reference::claim_names(pod).into_iter().filter(|name| extended != Some(name.as_str())) {
            let key = Key::new(meta::namespace(pod), name);
            let claim = cache.get(kind::RESOURCE_CLAIM, &key).filter(|claim| tainted::is_reserved(claim, pod));
            for result in claim.into_iter().flat_map(|claim| results(claim)) {
                if let Some(rule) = what_if {
                    if tainted::selects_result(rule, result)
                        && let Some(leaves) = leaves_at(result, &rule["spec"]["taint"], now)
                    {
                        at.entry(leaves).or_default();
                    }
                    continue;
                }
                let slices = self.slices.get(&pool_of_result(result)).into_iter().flatten();
                let slices: Vec<&Arc<Value>> = slices.filter_map(|key| cache.get(kind::RESOURCE_SLICE, key)).collect();
                for (taint, rule) in tainted::taints(result, &slices, cache) {
                    if let Some(leaves) = leaves_at(result, taint, now) {
                        at.entry(leaves).or_default().extend(rule.map(|rule| meta::uid(rule).to_owned()));
                    }
                }
            }
        }
        let rules = at.values().flatten().cloned().collect();
        at.into_keys().next().map(|first| (first, rules))
    }

    fn reconcile_pod(&mut self, key: &Key, cache: &Cache, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(pod) = cache.get(kind::POD, key).filter(|pod| meta::deletion_timestamp(pod).is_none()) else {
            return plan;
        };
        let Some((at, rules)) = self.leaves(pod, cache, now, None) else {
            if self.waiting.remove(meta::uid(pod)).is_some() {
                let remark = Remark::normal(COMPONENT, "DeviceTaintManagerEviction", "Cancelling deletion");
                plan.actions.push(Action::Remark { about: pod.clone(), remark });
            }
            return plan;
        };
        if at > now {
            self.waiting.insert(meta::uid(pod).to_owned(), rules);
            plan.look_again(Some(at));
            return plan;
        }
        self.waiting.remove(meta::uid(pod));
        for rule in rules {
            self.evicted.entry(rule).or_default().insert(meta::uid(pod).to_owned());
        }
        let eviction = Eviction {
            remark: Some(Remark::normal(COMPONENT, "DeviceTaintManagerEviction", "Marking for deletion")),
            reason: "DeletionByDeviceTaintManager",
            message: "Device Taint manager: deleting due to NoExecute taint",
            grace: None,
        };
        eviction.of(pod, now).into()
    }

    fn reconcile_rule(&mut self, key: &Key, cache: &Cache, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(rule) = cache.get(kind::DEVICE_TAINT_RULE, key) else { return plan };
        if rule_status::is_final(rule) {
            return plan;
        }
        let may_write = self
            .written
            .get(meta::uid(rule))
            .and_then(|at| at.checked_add(SignedDuration::from_secs(STATUS_SECONDS)).ok());
        if let Some(at) = may_write.filter(|at| *at > now) {
            plan.look_again(Some(at));
            return plan;
        }
        let count = self.count(rule, cache, now);
        let Some(condition) = rule_status::condition(rule, &count, now) else { return plan };
        self.written.insert(meta::uid(rule).to_owned(), now);
        let patch = json!({
            "apiVersion": kind::DEVICE_TAINT_RULE.api_version(), "kind": kind::DEVICE_TAINT_RULE.kind,
            "metadata": {"name": key.name}, "status": {"conditions": [condition]},
        });
        let (kind, object) = (kind::DEVICE_TAINT_RULE, rule.clone());
        vec![Action::Patch { kind, object, subresource: "status", how: PatchKind::Apply, patch }].into()
    }

    fn count(&self, rule: &Arc<Value>, cache: &Cache, now: Timestamp) -> Count {
        let effect = rule["spec"]["taint"]["effect"].as_str().unwrap_or_default();
        let mut count =
            Count { evicted: self.evicted.get(meta::uid(rule)).map_or(0, BTreeSet::len), ..Count::default() };
        if effect != "NoExecute" && effect != "None" {
            return count;
        }
        let claims = self.selected(rule, cache);
        let mut pods: BTreeSet<Key> = BTreeSet::new();
        for claim in &claims {
            count.allocated += results(claim).filter(|result| tainted::selects_result(rule, result)).count();
            pods.extend(consumers(claim).map(|(_, key)| key));
        }
        let what_if = Some(&**rule);
        let leaving = pods
            .iter()
            .filter(|key| cache.get(kind::POD, key).is_some_and(|pod| self.leaves(pod, cache, now, what_if).is_some()));
        let mut namespaces = BTreeSet::new();
        for pod in leaving {
            count.pods += 1;
            namespaces.insert(&pod.namespace);
        }
        count.namespaces = namespaces.len();
        if effect == "None" {
            count.published = self.published(rule, cache);
        }
        count
    }

    /// How many devices that are published a rule selects.
    fn published(&self, rule: &Value, cache: &Cache) -> usize {
        let selector = &rule["spec"]["deviceSelector"];
        let wanted = |member: &str, value: &str| selector[member].is_null() || selector[member] == value;
        let pools = self.slices.iter().filter(|(pool, _)| wanted("driver", &pool.driver) && wanted("pool", &pool.name));
        let count = |(pool, keys): (&Pool, &BTreeSet<Key>)| {
            let slices: Vec<&Arc<Value>> = keys.iter().filter_map(|key| cache.get(kind::RESOURCE_SLICE, key)).collect();
            let generation =
                |slice: &Value| slice.pointer("/spec/pool/generation").and_then(Value::as_i64).unwrap_or(0);
            let newest = slices.iter().map(|slice| generation(slice)).max();
            let current = slices.iter().filter(|slice| Some(generation(slice)) == newest);
            let devices = current.flat_map(|slice| list(slice, "/spec/devices"));
            devices
                .filter(|device| {
                    tainted::selects(rule, &pool.driver, &pool.name, device["name"].as_str().unwrap_or_default())
                })
                .count()
        };
        pools.map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machinery::time;

    fn cache(tolerations: Value, taints: Value, rules: Vec<Value>) -> (DeviceTaintEviction, Cache) {
        let result = json!({"driver": "d", "pool": "p", "device": "gpu-0", "tolerations": tolerations});
        let mut objects = vec![
            (
                kind::POD,
                json!({
                    "metadata": {"namespace": "n", "name": "p", "uid": "u"},
                    "spec": {"nodeName": "x", "resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]},
                }),
            ),
            (
                kind::RESOURCE_CLAIM,
                json!({
                    "metadata": {"namespace": "n", "name": "c"},
                    "status": {
                        "allocation": {"devices": {"results": [result]}},
                        "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}],
                    },
                }),
            ),
            (
                kind::RESOURCE_SLICE,
                json!({"metadata": {"name": "old"}, "spec": {
                    "driver": "d", "pool": {"name": "p", "generation": 1},
                    "devices": [{"name": "gpu-0", "taints": [{"key": "stale", "effect": "NoExecute"}]}],
                }}),
            ),
            (
                kind::RESOURCE_SLICE,
                json!({"metadata": {"name": "new"}, "spec": {
                    "driver": "d", "pool": {"name": "p", "generation": 2}, "devices": [{"name": "gpu-0", "taints": taints}],
                }}),
            ),
        ];
        objects.extend(rules.into_iter().map(|rule| (kind::DEVICE_TAINT_RULE, rule)));
        let (mut controller, cache) = (DeviceTaintEviction::default(), Cache::of(objects.clone()));
        for (kind, object) in objects {
            let changed = Changed { kind, before: None, after: Some(Arc::new(object)) };
            controller.touched(&changed, &cache, &mut Vec::new());
        }
        (controller, cache)
    }

    fn rule(selector: Value, effect: &str) -> Value {
        json!({
            "metadata": {"name": "r", "uid": "r", "generation": 1},
            "spec": {
                "deviceSelector": selector,
                "taint": {"key": "k", "effect": effect, "timeAdded": "2026-01-01T00:00:00Z"},
            },
        })
    }

    fn now() -> Timestamp {
        time::parse("2026-01-01T00:00:10Z").expect("a time")
    }

    fn leaves(tolerations: Value, taints: Value, rules: Vec<Value>) -> Option<String> {
        let (controller, cache) = cache(tolerations, taints, rules);
        let pod = cache.get(kind::POD, &Key::new("n", "p")).expect("the pod");
        controller.leaves(pod, &cache, now(), None).map(|(at, _)| time::format_seconds(at))
    }

    #[test]
    fn pods_leave_devices_that_are_tainted() {
        let taint = || json!([{"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}]);
        let at_once = Some("2026-01-01T00:00:00Z".to_owned());
        assert_eq!(leaves(json!([]), json!([]), vec![]), None, "only the newest generation counts");
        assert_eq!(leaves(json!([]), taint(), vec![]), at_once);
        let without_effect = json!([{"operator": "Exists"}]);
        assert_eq!(leaves(without_effect, taint(), vec![]), at_once);
        let tolerated =
            |seconds: Value| json!([{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]);
        assert_eq!(leaves(tolerated(Value::Null), taint(), vec![]), None);
        assert_eq!(leaves(tolerated(json!(60)), taint(), vec![]).as_deref(), Some("2026-01-01T00:01:00Z"));
        assert_eq!(leaves(json!([]), json!([]), vec![rule(Value::Null, "NoExecute")]), None, "nothing is selected");
        assert_eq!(leaves(json!([]), json!([]), vec![rule(json!({"device": "gpu-0"}), "NoExecute")]), at_once);
        assert_eq!(leaves(json!([]), json!([]), vec![rule(json!({"device": "gpu-1"}), "NoExecute")]), None);
        assert_eq!(leaves(json!([]), json!([]), vec![rule(json!({}), "NoSchedule")]), None);
    }

    #[test]
    fn rules_say_what_they_do() {
        let message = |effect: &str| {
            let (mut controller, cache) = cache(json!([]), json!([]), vec![rule(json!({"driver": "d"}), effect)]);
            let plan = controller.reconcile_rule(&Key::new("", "r"), &cache, now());
            let [Action::Patch { patch, .. }] = plan.actions.as_slice() else { panic!("{plan:?}") };
            let condition = &patch["status"]["conditions"][0];
            ["reason", "status", "message"].map(|of| condition[of].as_str().unwrap_or_default().to_owned())
        };
        assert_eq!(message("NoExecute"), ["PodsPendingEviction", "True", "1 pod needs to be evicted in 1 namespace."]);
        assert_eq!(message("NoSchedule"), ["OtherEffect", "False", "Eviction only happens for the NoExecute effect."]);
        let [reason, _, text] = message("None");
        assert_eq!(reason, "NoEffect");
        let start =
            "1 published device selected. 1 allocated device selected. 1 pod would be evicted in 1 namespace if";
        assert!(text.starts_with(start), "{text}");
    }
}
