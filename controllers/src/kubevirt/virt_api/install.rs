//! How the API server comes to call virt-api: its Service, its webhooks, its APIServices.

use cluster::{Kind, Writer};
use serde_json::{Value, json};

use super::{GROUP, VERSIONS};
use crate::{install, webhook::Listening};

pub(super) const MUTATE_MACHINE: &str = "/virtualmachines-mutate";
pub(super) const MUTATE_INSTANCE: &str = "/virtualmachineinstances-mutate";
pub(super) const VALIDATE_MACHINE: &str = "/virtualmachines-validate";
pub(super) const VALIDATE_NEW_INSTANCE: &str = "/virtualmachineinstances-validate-create";
pub(super) const VALIDATE_INSTANCE: &str = "/virtualmachineinstances-validate-update";

const NAMESPACE: &str = "kubevirt";
const SERVICE: &str = "virt-api";

const API_SERVICE: Kind = Kind {
    group: "apiregistration.k8s.io",
    version: "v1",
    kind: "APIService",
    plural: "apiservices",
    namespaced: false,
};

/// Has the API server call virt-api where it listens.
pub(super) async fn configure(writer: &Writer, listening: &Listening) -> anyhow::Result<()> {
    install::apply(writer, cluster::kind::SERVICE, &install::local_service(NAMESPACE, SERVICE, listening)).await?;
    let hook = |name: &str, path: &str, operations: &[&str], plural: &str| {
        let rule = json!({
            "apiGroups": ["kubevirt.io"], "apiVersions": ["v1", "v1alpha3"], "operations": operations, "resources": [plural],
        });
        install::webhook(name, install::called_at(NAMESPACE, SERVICE, path, listening), rule)
    };
    let mutating = install::mutating(
        "virt-api-mutator",
        vec![
            hook("virtualmachines-mutator.kubevirt.io", MUTATE_MACHINE, &["CREATE", "UPDATE"], "virtualmachines"),
            hook(
                "virtualmachineinstances-mutator.kubevirt.io",
                MUTATE_INSTANCE,
                &["CREATE", "UPDATE"],
                "virtualmachineinstances",
            ),
        ],
    );
    let validating = install::validating(
        "virt-api-validator",
        vec![
            hook(
                "virtualmachineinstances-create-validator.kubevirt.io",
                VALIDATE_NEW_INSTANCE,
                &["CREATE"],
                "virtualmachineinstances",
            ),
            hook(
                "virtualmachineinstances-update-validator.kubevirt.io",
                VALIDATE_INSTANCE,
                &["UPDATE"],
                "virtualmachineinstances",
            ),
            hook("virtualmachine-validator.kubevirt.io", VALIDATE_MACHINE, &["CREATE", "UPDATE"], "virtualmachines"),
        ],
    );
    install::apply(writer, install::MUTATING_WEBHOOKS, &mutating).await?;
    install::apply(writer, install::VALIDATING_WEBHOOKS, &validating).await?;
    for version in VERSIONS {
        install::apply(writer, API_SERVICE, &api_service(version, listening)).await?;
    }
    Ok(())
}

fn api_service(version: &str, listening: &Listening) -> Value {
    json!({
        "apiVersion": API_SERVICE.api_version(), "kind": API_SERVICE.kind,
        "metadata": {"name": format!("{version}.{GROUP}")},
        "spec": {
            "group": GROUP, "version": version, "groupPriorityMinimum": 1000, "versionPriority": 15,
            "service": {"namespace": NAMESPACE, "name": SERVICE, "port": listening.port},
            "caBundle": listening.ca_bundle,
        },
    })
}
