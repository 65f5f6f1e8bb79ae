//! Nobody gives away more than they have: checks on writes of roles, bindings and approvals.

use std::sync::Arc;

use futures::future::BoxFuture;
use machinery::{
    field::quote,
    meta,
    names::GroupResource,
    status::{Reason, Status},
};
use serde_json::Value;

use super::{Action, Authorizer, On, bindings::GROUP, rbac, rule};
use crate::{
    authentication::{MASTERS, User},
    registry::{Admission, Admitted, Operation},
};

/// Most single permissions that are compared one by one.
const PERMISSIONS_MAX: usize = 20_000;

/// Checks grants before they are stored.
pub(crate) struct GrantAdmission {
    authorizer: Arc<Authorizer>,
}

impl GrantAdmission {
    pub(crate) fn new(authorizer: Arc<Authorizer>) -> Self {
        Self { authorizer }
    }
}

impl Admission for GrantAdmission {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let checked = match object {
            Some(object) if write.operation != Operation::Delete => self.check(write, object),
            _ => Ok(()),
        };
        Box::pin(std::future::ready(checked))
    }
}

impl GrantAdmission {
    fn check(&self, write: &Admitted<'_>, object: &Value) -> Result<(), Status> {
        if self.authorizer.allows_everything() || write.context.user.is_in(MASTERS) {
            return Ok(());
        }
        let definition = write.endpoint.definition();
        match (definition.group.as_ref(), definition.plural.as_ref()) {
            (GROUP, "roles" | "clusterroles") => self.check_role(write, object),
            (GROUP, "rolebindings" | "clusterrolebindings") => self.check_binding(write, object),
            ("certificates.k8s.io", "certificatesigningrequests") => self.check_signer(write, object),
            _ => Ok(()),
        }
    }

    /// A role holds only what its author has, unless they may `escalate`.
    fn check_role(&self, write: &Admitted<'_>, role: &Value) -> Result<(), Status> {
        let same = |member: &str| write.old.is_some_and(|old| old.get(member) == role.get(member));
        if same("rules") && same("aggregationRule") {
            return Ok(());
        }
        let name = meta::name(role);
        if self.may(write, "escalate", &write.endpoint.definition().plural, name) {
            return Ok(());
        }
        let aggregates = |role: &Value| role.get("aggregationRule").is_some_and(|rule| !rule.is_null());
        if (aggregates(role) || write.old.is_some_and(aggregates))
            && self.missing(write, &super::Rules::everything().rules).is_err()
        {
            let why = "must have cluster-admin privileges to use the aggregationRule";
            return Err(Status::forbidden(&write.endpoint.group_resource(), name, why));
        }
        self.missing(write, rbac::rules(role))
            .map_err(|why| Status::forbidden(&write.endpoint.group_resource(), name, &why))
    }

    /// A binding gives only what its author has, unless they may `bind` the role.
    fn check_binding(&self, write: &Admitted<'_>, binding: &Value) -> Result<(), Status> {
        let same = |member: &str| write.old.is_some_and(|old| old.get(member) == binding.get(member));
        if same("roleRef") && same("subjects") {
            return Ok(());
        }
        let text = |path: &str| binding.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let plural = if text("/roleRef/kind") == "Role" { "roles" } else { "clusterroles" };
        if self.may(write, "bind", plural, text("/roleRef/name")) {
            return Ok(());
        }
        let role = rbac::role_of(write.registry, binding).map_err(|_| {
            Status::failure(
                Reason::NotFound,
                format!("{} {} not found", GroupResource::new(GROUP, plural), quote(text("/roleRef/name"))),
            )
        })?;
        self.missing(write, rbac::rules(role.value()))
            .map_err(|why| Status::forbidden(&write.endpoint.group_resource(), meta::name(binding), &why))
    }

    /// Whoever approves or signs must be allowed to do so for the signer.
    fn check_signer(&self, write: &Admitted<'_>, request: &Value) -> Result<(), Status> {
        let (verb, deed) = match write.subresource {
            "approval" => ("approve", "approve"),
            "status" if signs(request, write.old) => ("sign", "sign"),
            _ => return Ok(()),
        };
        let signer = request.pointer("/spec/signerName").and_then(Value::as_str).unwrap_or_default();
        let domain = format!("{}/*", signer.split('/').next().unwrap_or_default());
        let user = &write.context.user;
        let allowed = [signer, domain.as_str()].iter().any(|name| {
            let action = Action::on(verb, "certificates.k8s.io", "signers", "", name);
            self.authorizer.decide(write.registry, user, &action).is_allowed()
        });
        if allowed {
            return Ok(());
        }
        let why = format!("user not permitted to {deed} requests with signerName {}", quote(signer));
        Err(Status::forbidden(&write.endpoint.group_resource(), write.name, &why))
    }

    fn may(&self, write: &Admitted<'_>, verb: &str, plural: &str, name: &str) -> bool {
        let namespace = if plural == "roles" { write.namespace } else { namespace_of_binding(write) };
        let on = On::Resource { group: GROUP, resource: plural, subresource: "", namespace, name };
        self.authorizer.decide(write.registry, &write.context.user, &Action::to(verb, on)).is_allowed()
    }

    /// What of `wanted` the author does not have, as upstream tells it.
    fn missing(&self, write: &Admitted<'_>, wanted: &[Value]) -> Result<(), String> {
        let user: &User = &write.context.user;
        if wanted.iter().map(rule::count).fold(0, usize::saturating_add) > PERMISSIONS_MAX {
            return Err(format!(
                "its rules stand for more than {PERMISSIONS_MAX} permissions, which cannot be compared"
            ));
        }
        let held = self.authorizer.granted(write.registry, user, write.namespace);
        let mut told: Vec<String> = rule::uncovered(&held.rules, wanted).iter().map(rule::told).collect();
        if told.is_empty() {
            return Ok(());
        }
        told.sort();
        let groups: Vec<String> = user.groups.iter().map(|group| quote(group)).collect();
        let mut why = format!(
            "user {} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            quote(&user.name),
            groups.join(" "),
            told.join("\n")
        );
        if !held.errors.is_empty() {
            why.push_str(&format!("; resolution errors: [{}]", held.errors.join(", ")));
        }
        Err(why)
    }
}

/// Where a cluster role is bound: the namespace of the binding, or the cluster.
fn namespace_of_binding<'a>(write: &Admitted<'a>) -> &'a str {
    if write.endpoint.resource.is_namespaced() { write.namespace } else { "" }
}

/// Whether a write to the status of a request signs it, or says that it failed.
fn signs(request: &Value, old: Option<&Value>) -> bool {
    let certificate = |request: &Value| request.pointer("/status/certificate").cloned();
    let failed = |request: &Value| {
        let conditions = request.pointer("/status/conditions").and_then(Value::as_array);
        conditions.is_some_and(|conditions| conditions.iter().any(|condition| condition["type"] == "Failed"))
    };
    old.is_none_or(|old| certificate(request) != certificate(old) || failed(request) != failed(old))
}
