//! Charges quotas for what is about to be written, or refuses it.

use std::sync::Arc;

use api::builtin::{self, Amounts};
use futures::future::BoxFuture;
use machinery::{
    meta,
    names::GroupResource,
    status::{Reason, Status},
};
use serde_json::{Value, json};

use super::{
    count::{self, within},
    endpoint,
    limited::{self, LimitedResource},
    quotas,
    upkeep::{QuotaUpkeep, Write},
};
use crate::{
    registry::{Admission, Admitted, Context, Operation, Source, Target},
    storage::Stored,
};

/// Holds writes to the quotas of their namespace. The last plug-in of all, since it sets something aside.
pub(crate) struct QuotaAdmission {
    /// Who counts again; `None` where kube-controller-manager does.
    upkeep: Option<Arc<QuotaUpkeep>>,
    /// What may be used only where a quota covers it.
    limited: Vec<LimitedResource>,
}

/// Resources whose updates may use more than before.
const GROWING: [&str; 4] = ["pods", "services", "persistentvolumeclaims", "resourceclaims.resource.k8s.io"];

impl Admission for QuotaAdmission {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let Some(object) = object.filter(|_| is_charged(write)) else {
            return Box::pin(std::future::ready(Ok(())));
        };
        let quotas = quotas(write.registry, write.namespace);
        if quotas.is_empty() && self.limited.is_empty() {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(self.charge(write, object, quotas))
    }

    fn withdraw(&self, write: &Admitted<'_>) {
        if let Some(upkeep) = self.upkeep.as_ref().filter(|_| is_charged(write)) {
            upkeep.withdraw(write.namespace);
        }
    }
}

fn is_charged(write: &Admitted<'_>) -> bool {
    if write.namespace.is_empty() || !write.subresource.is_empty() || write.kind.is_some() {
        return false;
    }
    match write.operation {
        Operation::Create => true,
        Operation::Update => GROWING.contains(&write.endpoint.group_resource().to_string().as_str()),
        Operation::Delete | Operation::Connect => false,
    }
}

/// What a write uses more than before, of one quota.
struct Charge {
    quota: Arc<Stored>,
    delta: Amounts,
}

impl QuotaAdmission {
    pub(crate) fn new(upkeep: Option<Arc<QuotaUpkeep>>, limited: Vec<LimitedResource>) -> Self {
        Self { upkeep, limited }
    }

    async fn charge(&self, write: &Admitted<'_>, object: &Value, quotas: Vec<Arc<Stored>>) -> Result<(), Status> {
        let resource = write.endpoint.group_resource().to_string();
        let mut charges = Vec::new();
        for quota in &quotas {
            if let Some(delta) = delta(write, &resource, object, quota.value())? {
                charges.push(Charge { quota: quota.clone(), delta });
            }
        }
        self.check_coverage(write, &resource, object, &quotas)?;
        for charge in &charges {
            check(write, object, charge.quota.value(), &charge.delta)?;
        }
        if charges.is_empty() || write.dry_run() {
            return Ok(());
        }
        if let Some(upkeep) = &self.upkeep {
            upkeep.expect(Write::new(write.namespace, &resource, meta::name(object)));
        }
        for charge in charges {
            let charged = pay(write, object, &charge).await;
            if let (Err(_), Some(upkeep)) = (&charged, &self.upkeep) {
                upkeep.withdraw(write.namespace);
            }
            charged?;
        }
        Ok(())
    }
}

impl QuotaAdmission {
    /// Refuses to let what is limited be used where no quota says how much of it.
    fn check_coverage(
        &self,
        write: &Admitted<'_>,
        resource: &str,
        object: &Value,
        quotas: &[Arc<Stored>],
    ) -> Result<(), Status> {
        if self.limited.is_empty() {
            return Ok(());
        }
        let usage = count::usage(write.registry, resource, object);
        let before = write.old.map(|old| count::usage(write.registry, resource, old)).unwrap_or_default();
        let uses_more = usage.iter().any(|(name, amount)| match before.get(name) {
            Some(before) => amount > before,
            None => amount.sign() > 0,
        });
        if !uses_more {
            return Ok(());
        }
        let mut names = limited::names(&self.limited, resource, &usage);
        let mut scopes = limited::scopes(&self.limited, resource, object);
        for quota in quotas.iter().map(|quota| quota.value()) {
            let covered = builtin::quota_scopes(quota);
            scopes.retain(|scope| !covered.contains(scope));
            if builtin::quota_is_about(quota, resource, object) {
                let hard = builtin::amounts(quota, "/status/hard");
                names.retain(|name| !hard.contains_key(*name));
            }
        }
        if !names.is_empty() {
            let names: Vec<&str> = names.into_iter().collect();
            let why = format!("insufficient quota to consume: {}", names.join(","));
            return Err(write.forbidden(Some(object), &why));
        }
        if !scopes.is_empty() {
            // Upstream does not refuse here: it fails.
            let why = format!("insufficient quota to match these scopes: {}", limited::shown(&scopes));
            return Err(Status::failure(Reason::Unknown, why));
        }
        Ok(())
    }
}

/// What a write uses more than before of what a quota bounds; `None` when it is not about the quota.
fn delta(write: &Admitted<'_>, resource: &str, object: &Value, quota: &Value) -> Result<Option<Amounts>, Status> {
    let hard = builtin::amounts(quota, "/status/hard");
    let usage = count::usage(write.registry, resource, object);
    let mut bounded: Vec<&String> = hard.keys().filter(|name| usage.contains_key(*name)).collect();
    if resource == "pods" {
        // A pod that does not state what is bounded is refused, not taken for one that uses nothing.
        bounded.extend(hard.keys().filter(|name| is_compute(name) && !usage.contains_key(*name)));
    }
    if bounded.is_empty() || !builtin::quota_is_about(quota, resource, object) {
        return Ok(None);
    }
    let name = meta::name(quota);
    if resource == "pods"
        && write.operation == Operation::Create
        && let Some(why) = builtin::unstated(object, bounded.iter().map(|name| name.as_str()))
    {
        return Err(write.forbidden(Some(object), &format!("failed quota: {name}: {why}")));
    }
    let used = builtin::amounts(quota, "/status/used");
    let unknown: Vec<&str> =
        bounded.iter().map(|name| name.as_str()).filter(|name| !used.contains_key(*name)).collect();
    if !unknown.is_empty() {
        let why = format!("status unknown for quota: {name}, resources: {}", unknown.join(","));
        return Err(write.forbidden(Some(object), &why));
    }
    let before = write.old.filter(|old| builtin::quota_is_about(quota, resource, old));
    let before = before.map(|old| count::usage(write.registry, resource, old)).unwrap_or_default();
    let more = usage.into_iter().filter(|(name, _)| hard.contains_key(name)).map(|(name, amount)| {
        let amount = before.get(&name).map_or_else(|| amount.clone(), |before| amount.sub(before));
        (name, amount)
    });
    let delta: Amounts = more.filter(|(_, amount)| amount.sign() > 0).collect();
    Ok(Some(delta).filter(|delta| !delta.is_empty()))
}

fn is_compute(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory")
}

/// Refuses what would exceed the quota.
fn check(write: &Admitted<'_>, object: &Value, quota: &Value, delta: &Amounts) -> Result<(), Status> {
    let (hard, used) = (builtin::amounts(quota, "/status/hard"), builtin::amounts(quota, "/status/used"));
    let exceeded: Vec<&String> = delta
        .iter()
        .filter(|(name, more)| {
            let sum = used.get(*name).map_or_else(|| (*more).clone(), |used| used.add(more));
            hard.get(*name).is_some_and(|hard| sum > *hard)
        })
        .map(|(name, _)| name)
        .collect();
    if exceeded.is_empty() {
        return Ok(());
    }
    let shown = |amounts: &Amounts| {
        builtin::shown_amounts(&within(amounts, |name| exceeded.iter().any(|known| *known == name)))
    };
    let why = format!(
        "exceeded quota: {}, requested: {}, used: {}, limited: {}",
        meta::name(quota),
        shown(delta),
        shown(&used),
        shown(&hard)
    );
    Err(write.forbidden(Some(object), &why))
}

/// Writes a charge into the status of a quota.
async fn pay(write: &Admitted<'_>, object: &Value, charge: &Charge) -> Result<(), Status> {
    let Some(endpoint) = endpoint(write.registry) else { return Ok(()) };
    let (namespace, name) = (write.namespace, meta::name(charge.quota.value()));
    let transform = |current: &Stored| {
        let mut quota = current.value().clone();
        check(write, object, &quota, &charge.delta)?;
        let mut used = builtin::amounts(&quota, "/status/used");
        builtin::add_all(&mut used, &charge.delta);
        quota["status"]["used"] = json!(used);
        Ok(quota)
    };
    let target = Target { endpoint: &endpoint, namespace, name, subresource: "status" };
    let paid = write.registry.update(target, Source::Patch, &transform, &Context::server("kube-apiserver")).await;
    match paid {
        // The quota is gone meanwhile.
        Err(status) if status == Status::not_found(&GroupResource::new("", "resourcequotas"), name) => Ok(()),
        other => other.map(drop),
    }
}
