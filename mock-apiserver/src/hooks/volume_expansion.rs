//! The plug-in `PersistentVolumeClaimResize`: a claim grows only where its class says that its volumes do.

use futures::future::BoxFuture;
use machinery::{quantity::Quantity, status::Status};
use serde_json::Value;

use super::is;
use crate::registry::{Admission, Admitted, Operation};

const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Refuses claims that ask for more than their volumes can give.
pub(crate) struct VolumeExpansion;

impl VolumeExpansion {
    /// The name by which it can be left out.
    pub(crate) const NAME: &str = "PersistentVolumeClaimResize";
}

impl Admission for VolumeExpansion {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let is_change = write.operation == Operation::Update
            && write.subresource.is_empty()
            && is(write.endpoint, "", "persistentvolumeclaims");
        let checked = match (write.old, object) {
            (Some(old), Some(claim)) if is_change => check(write, claim, old),
            _ => Ok(()),
        };
        Box::pin(std::future::ready(checked.map_err(|why| write.forbidden(object, why))))
    }
}

fn check(write: &Admitted<'_>, claim: &Value, old: &Value) -> Result<(), &'static str> {
    let asked = |claim: &Value| {
        let amount = claim.pointer("/spec/resources/requests/storage");
        amount.and_then(|amount| Quantity::from_json(amount).ok()).unwrap_or_default()
    };
    if asked(claim).sub(&asked(old)).sign() <= 0 {
        return Ok(());
    }
    if old.pointer("/status/phase").and_then(Value::as_str) != Some("Bound") {
        return Err("Only bound persistent volume claims can be expanded");
    }
    let class = class_of(claim);
    let grows = || {
        let classes = write.registry.catalog.endpoint("storage.k8s.io", "v1", "storageclasses")?;
        classes.resource.space().get(class).map(|class| class.value()["allowVolumeExpansion"] == true)
    };
    if class.is_empty() || class != class_of(old) || grows() != Some(true) {
        return Err(
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support \
             resize",
        );
    }
    Ok(())
}

/// The class of a claim, as the older annotation or the member names it.
fn class_of(claim: &Value) -> &str {
    let annotation = machinery::meta::annotation(claim, OLD_CLASS);
    annotation.or_else(|| claim.pointer("/spec/storageClassName").and_then(Value::as_str)).unwrap_or_default()
}
