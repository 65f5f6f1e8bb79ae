//! For whom a kubelet may have tokens made: for those whom the pod's volumes name, by themselves or by their driver, and for those
//! whom roles name (`ServiceAccountNodeAudienceRestriction`).

use std::sync::Arc;

use machinery::{field::quote, meta, names::GroupResource, status::Status};
use serde_json::Value;

use crate::{
    authorization::{Action, On},
    registry::Admitted,
    storage::Stored,
};

/// Volumes of Kubernetes itself, and the drivers that stand for them now.
const MIGRATED: [(&str, &str); 7] = [
    ("awsElasticBlockStore", "ebs.csi.aws.com"),
    ("azureDisk", "disk.csi.azure.com"),
    ("azureFile", "file.csi.azure.com"),
    ("cinder", "cinder.csi.openstack.org"),
    ("gcePersistentDisk", "pd.csi.storage.gke.io"),
    ("portworxVolume", "pxd.portworx.com"),
    ("vsphereVolume", "csi.vsphere.vmware.com"),
];

/// Refuses a token for somebody who has nothing to do with the pod.
pub(super) fn check(write: &Admitted<'_>, request: &Value, pod: &Value) -> Result<(), String> {
    let audiences = request.pointer("/spec/audiences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let audience = match audiences {
        [] => "",
        [one] => one.as_str().unwrap_or_default(),
        _ => return Err("node may only request 0 or 1 audiences".to_owned()),
    };
    let shown = quote(audience);
    if is_named(write, pod, audience).map_err(|why| format!("error validating audience {shown}: {why}"))? {
        return Ok(());
    }
    let on =
        On::Resource { group: "", resource: audience, subresource: "", namespace: write.namespace, name: write.name };
    let action = Action::to("request-serviceaccounts-token-audience", on);
    let user = &write.context.user;
    let decision = write.registry.authorizer.decide(write.registry, user, &action);
    if decision.is_allowed() {
        return Ok(());
    }
    let name = &user.name;
    Err(match decision.error.as_str() {
        "" => {
            format!(
                "audience {shown} not found in pod spec volume, {name} is not authorized to request tokens for this audience"
            )
        }
        why => {
            format!(
                "audience {shown} not found in pod spec volume, error authorizing {name} to request tokens for this audience: {why}"
            )
        }
    })
}

/// Whether a volume of the pod names somebody; else what stood in the way of finding out.
fn is_named(write: &Admitted<'_>, pod: &Value, audience: &str) -> Result<bool, String> {
    let mut errors = Vec::new();
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    for volume in volumes {
        if is_projected_for(volume, audience) {
            return Ok(true);
        }
        let found = driver(write, pod, volume).and_then(|driver| match driver {
            Some(driver) => asks_for(write, &driver, audience),
            None => Ok(false),
        });
        match found {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(status) if errors.contains(&status.message) => {}
            Err(status) => errors.push(status.message),
        }
    }
    match errors.as_slice() {
        [] => Ok(false),
        [only] => Err(only.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}

/// Whether a volume has a token for somebody in it.
fn is_projected_for(volume: &Value, audience: &str) -> bool {
    let sources = volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten();
    let mut tokens = sources.filter_map(|source| source.get("serviceAccountToken").filter(|token| token.is_object()));
    tokens.any(|token| token.get("audience").and_then(Value::as_str).unwrap_or_default() == audience)
}

/// The driver of a volume, if it has one.
fn driver(write: &Admitted<'_>, pod: &Value, volume: &Value) -> Result<Option<String>, Status> {
    let text = |pointer: &str| volume.pointer(pointer).and_then(Value::as_str);
    if volume.pointer("/ephemeral/volumeClaimTemplate").is_some_and(Value::is_object) {
        let claim = format!("{}-{}", meta::name(pod), text("/name").unwrap_or_default());
        return driver_of_claim(write, meta::namespace(pod), &claim);
    }
    if let Some(claim) = text("/persistentVolumeClaim/claimName") {
        return driver_of_claim(write, meta::namespace(pod), claim);
    }
    Ok(driver_of(volume))
}

/// The driver of a source of volumes: one that it names, or that stands for it now.
fn driver_of(source: &Value) -> Option<String> {
    let named = source.pointer("/csi/driver").and_then(Value::as_str);
    let migrated = || MIGRATED.iter().find(|(kind, _)| source.get(kind).is_some_and(Value::is_object));
    named.or_else(|| migrated().map(|(_, driver)| *driver)).map(str::to_owned)
}

fn driver_of_claim(write: &Admitted<'_>, namespace: &str, claim: &str) -> Result<Option<String>, Status> {
    let claim = find(write, ("", "persistentvolumeclaims", "persistentvolumeclaim"), namespace, claim)?;
    let volume = claim.value().pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default();
    let volume = find(write, ("", "persistentvolumes", "persistentvolume"), "", volume)?;
    Ok(volume.value().get("spec").and_then(driver_of))
}

/// Whether a driver wants tokens for somebody.
fn asks_for(write: &Admitted<'_>, driver: &str, audience: &str) -> Result<bool, Status> {
    let driver = find(write, ("storage.k8s.io", "csidrivers", "csidriver"), "", driver)?;
    let mut requests = driver.value().pointer("/spec/tokenRequests").and_then(Value::as_array).into_iter().flatten();
    Ok(requests.any(|request| request.get("audience").and_then(Value::as_str).unwrap_or_default() == audience))
}

/// An object; a missing one is named in the singular, as upstream's listers do.
fn find(
    write: &Admitted<'_>,
    (group, plural, singular): (&str, &str, &str),
    namespace: &str,
    name: &str,
) -> Result<Arc<Stored>, Status> {
    let endpoint = write.registry.catalog.endpoint(group, "v1", plural);
    let found = endpoint.and_then(|endpoint| write.registry.get(&endpoint, namespace, name).ok());
    found.ok_or_else(|| Status::not_found(&GroupResource::new(group, singular), name))
}
