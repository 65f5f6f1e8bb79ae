//! What every kind of claim can do: tell what it asks for, take an allocation in, and be reserved for pods.

use jiff::Timestamp;
use machinery::meta;
use serde_json::{Value, json};

use super::read::Result;
use crate::{
    hub::{Allocation, Claim},
    members::{at, list, put},
};

/// Who a claim is reserved for, and where and when.
#[derive(Clone, Copy, Debug)]
pub struct Consumer<'a> {
    /// The pod.
    pub pod: &'a Value,
    /// Name of the node that was chosen for it.
    pub node: &'a str,
    /// The current time.
    pub now: Timestamp,
}

/// A pod for which a claim is reserved, as far as the claim says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReservedPod {
    /// Name of the pod, which is in the claim's namespace.
    pub name: String,
    /// Which pod of that name; `None` in generations that record the name only.
    pub uid: Option<String>,
}

impl ReservedPod {
    /// Reads an entry of the list of consumers; `None` when the consumer is no pod.
    fn read(entry: &Value) -> Option<Self> {
        if let Some(name) = entry.as_str() {
            return Some(Self { name: name.to_owned(), uid: None });
        }
        let text = |member: &str| at(entry, &[member]).as_str().unwrap_or_default();
        let is_pod = text("apiGroup").is_empty() && text("resource") == "pods";
        is_pod.then(|| Self { name: text("name").to_owned(), uid: Some(text("uid").to_owned()) })
    }

    /// Whether this pod is the one that is meant.
    pub fn is(&self, pod: &Value) -> bool {
        self.name == meta::name(pod) && self.uid.as_deref().is_none_or(|uid| uid == meta::uid(pod))
    }
}

/// One kind of claim.
pub(super) trait ClaimConversion: Sync {
    /// What is asked for.
    fn claim(&self, claim: &Value) -> Result<Claim>;

    /// What the claim got; `None` before it is allocated.
    fn allocation(&self, claim: &Value) -> Result<Option<Allocation>>;

    /// Writes what the claim got into its status.
    fn write_allocation(&self, claim: &mut Value, allocation: &Allocation, consumer: &Consumer<'_>);

    /// Most consumers that the claim may have at a time.
    fn consumers_max(&self, claim: &Value) -> usize;

    /// Where the status lists consumers.
    fn consumers_path(&self) -> &'static str {
        "reservedFor"
    }

    /// Members of the status that are there only while the claim is allocated; the first says that it is.
    fn allocation_members(&self) -> &'static [&'static str] {
        &["allocation"]
    }

    /// A pod as an entry of that list.
    fn consumer(&self, pod: &Value) -> Value {
        json!({"resource": "pods", "name": meta::name(pod), "uid": meta::uid(pod)})
    }

    /// Whether an entry of that list is the pod.
    fn is_consumer(&self, entry: &Value, pod: &Value) -> bool {
        entry.get("uid").and_then(Value::as_str) == Some(meta::uid(pod))
    }
}

impl dyn ClaimConversion {
    fn consumers<'a>(&self, claim: &'a Value) -> &'a [Value] {
        list(at(claim, &["status"]), self.consumers_path())
    }

    pub(super) fn is_reserved(&self, claim: &Value, pod: &Value) -> bool {
        self.consumers(claim).iter().any(|entry| self.is_consumer(entry, pod))
    }

    pub(super) fn can_reserve(&self, claim: &Value, pod: &Value) -> bool {
        self.is_reserved(claim, pod) || self.consumers(claim).len() < self.consumers_max(claim)
    }

    pub(super) fn reserve(&self, claim: &mut Value, allocation: Option<&Allocation>, consumer: &Consumer<'_>) -> bool {
        if let Some(allocation) = allocation {
            self.write_allocation(claim, allocation, consumer);
        }
        if self.is_reserved(claim, consumer.pod) {
            return allocation.is_some();
        }
        let mut consumers = self.consumers(claim).to_vec();
        consumers.push(self.consumer(consumer.pod));
        self.set_consumers(claim, consumers);
        true
    }

    pub(super) fn unreserve(&self, claim: &mut Value, pod: &Value) -> bool {
        let before = self.consumers(claim);
        let after: Vec<Value> = before.iter().filter(|entry| !self.is_consumer(entry, pod)).cloned().collect();
        let changed = after.len() != before.len();
        if changed {
            self.set_consumers(claim, after);
        }
        changed
    }

    pub(super) fn has_consumers(&self, claim: &Value) -> bool {
        !self.consumers(claim).is_empty()
    }

    pub(super) fn reserved_pods(&self, claim: &Value) -> Vec<ReservedPod> {
        self.consumers(claim).iter().filter_map(ReservedPod::read).collect()
    }

    pub(super) fn release(&self, claim: &mut Value, gone: &dyn Fn(&ReservedPod) -> bool) -> bool {
        let before = self.consumers(claim);
        let stays = |entry: &&Value| !ReservedPod::read(entry).is_some_and(|pod| gone(&pod));
        let after: Vec<Value> = before.iter().filter(stays).cloned().collect();
        let changed = after.len() != before.len();
        if changed {
            self.set_consumers(claim, after);
        }
        changed
    }

    pub(super) fn is_allocated(&self, claim: &Value) -> bool {
        let told = self.allocation_members().first().map_or(&Value::Null, |member| at(claim, &["status", member]));
        !told.is_null() && told.as_array().is_none_or(|results| !results.is_empty())
    }

    pub(super) fn deallocate(&self, claim: &mut Value) -> bool {
        let allocated = self.is_allocated(claim);
        if allocated {
            let mut status = take_status(claim);
            for member in self.allocation_members() {
                put(&mut status, member, None);
            }
            put(claim, "status", Some(status));
        }
        allocated
    }

    fn set_consumers(&self, claim: &mut Value, consumers: Vec<Value>) {
        let mut status = take_status(claim);
        put(&mut status, self.consumers_path(), (!consumers.is_empty()).then(|| consumers.into()));
        put(claim, "status", Some(status));
    }
}

/// The status, taken out to be changed; an empty one if there is none.
pub(super) fn take_status(claim: &mut Value) -> Value {
    claim.get_mut("status").map(Value::take).filter(Value::is_object).unwrap_or_else(|| json!({}))
}
