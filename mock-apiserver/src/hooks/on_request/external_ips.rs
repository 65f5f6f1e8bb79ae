//! The plug-in `DenyServiceExternalIPs`: services get no new external addresses (CVE-2020-8554).

use futures::future::BoxFuture;
use machinery::status::Status;
use serde_json::Value;

use crate::{
    hooks::is,
    registry::{Admission, Admitted, Operation},
};

/// Refuses services with external addresses that they did not have before.
pub(crate) struct DenyExternalIps;

impl DenyExternalIps {
    /// The name by which it is asked for.
    pub(crate) const NAME: &str = "DenyServiceExternalIPs";
}

impl Admission for DenyExternalIps {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let writes = matches!(write.operation, Operation::Create | Operation::Update) && write.kind.is_none();
        let refused = match object
            .filter(|_| writes && write.subresource.is_empty() && is(write.endpoint, "", "services"))
        {
            Some(service)
                if addresses(service).iter().any(|new| !write.old.map(addresses).unwrap_or_default().contains(new)) =>
            {
                Err(write.forbidden(object, "Use of external IPs is denied by admission control"))
            }
            _ => Ok(()),
        };
        Box::pin(std::future::ready(refused))
    }
}

fn addresses(service: &Value) -> &[Value] {
    service.pointer("/spec/externalIPs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
