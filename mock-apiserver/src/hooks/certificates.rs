//! Certificate signing requests: who asks is written into them, and those that are approved are signed by the server's own
//! authority, as the signers of `kube-controller-manager` do.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use machinery::{meta, status::Status, time};
use serde_json::{Value, json};

use crate::{
    authentication::MASTERS,
    catalog::Endpoint,
    registry::{Admission, Admitted, Change, Context, Operation, Reaction, Registry, Source, Target},
    storage::{ChangeKind, Stored},
    tls::{CertificateRequest, ClientAuthorities},
};

/// For users of the API.
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";

/// For kubelets as users of the API.
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// For kubelets as servers.
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";

/// How long a certificate is good that does not say so, in seconds: a year, as `--cluster-signing-duration` has it.
const DEFAULT_SECONDS: i64 = 365 * 24 * 3600;

/// Completes requests, and signs approved ones.
pub(crate) struct CertificateSigning {
    authorities: ClientAuthorities,
}

impl CertificateSigning {
    pub(crate) fn new(authorities: ClientAuthorities) -> Self {
        Self { authorities }
    }
}

fn is_request(endpoint: &Endpoint) -> bool {
    let definition = endpoint.definition();
    definition.group == "certificates.k8s.io" && definition.plural == "certificatesigningrequests"
}

fn text<'a>(request: &'a Value, path: &str) -> &'a str {
    request.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn has_condition(request: &Value, kind: &str) -> bool {
    let conditions = request.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["type"] == kind)
}

/// The request of a document, as its key signed it.
fn parse(request: &Value) -> Result<CertificateRequest, String> {
    let pem = STANDARD.decode(text(request, "/spec/request")).map_err(|error| error.to_string())?;
    CertificateRequest::parse(&String::from_utf8_lossy(&pem))
}

impl Admission for CertificateSigning {
    fn complete(&self, write: &Admitted<'_>, object: &mut Value) {
        if write.operation != Operation::Create || !is_request(write.endpoint) {
            return;
        }
        let user = write.context.user.info();
        let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
        for member in ["username", "uid", "groups", "extra"] {
            match user.get(member) {
                Some(value) => drop(spec.insert(member.to_owned(), value.clone())),
                None => drop(spec.remove(member)),
            }
        }
    }

    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let is_new = write.operation == Operation::Create && is_request(write.endpoint);
        let refused = object.filter(|_| is_new).filter(|request| text(request, "/spec/signerName") == CLIENT);
        let is_master = |request: &Value| {
            parse(request).is_ok_and(|request| request.organizations().iter().any(|group| group == MASTERS))
        };
        Box::pin(std::future::ready(if refused.is_some_and(is_master) {
            let why = format!("use of {CLIENT} signer with {MASTERS} group is not allowed");
            Err(Status::forbidden(&write.endpoint.group_resource(), write.name, &why))
        } else {
            Ok(())
        }))
    }
}

impl Reaction for CertificateSigning {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let request = change.object.value();
        let is_due = is_request(change.endpoint)
            && change.kind == ChangeKind::Updated
            && has_condition(request, "Approved")
            && !has_condition(request, "Denied")
            && !has_condition(request, "Failed")
            && text(request, "/status/certificate").is_empty()
            && [CLIENT, KUBELET_CLIENT, KUBELET_SERVING].contains(&text(request, "/spec/signerName"));
        if !is_due {
            return None;
        }
        let (endpoint, name) = (change.endpoint.clone(), meta::name(request).to_owned());
        Some(Box::pin(async move {
            if let Err(status) = self.sign(registry, &endpoint, &name).await {
                tracing::warn!(name, error = %status, "a certificate could not be signed");
            }
        }))
    }
}

impl CertificateSigning {
    async fn sign(&self, registry: &Registry, endpoint: &Endpoint, name: &str) -> Result<(), Status> {
        let target = Target { endpoint, namespace: "", name, subresource: "status" };
        let now = time::format_seconds(registry.clock.now());
        let transform = |current: &Stored| {
            let mut request = current.value().clone();
            match self.certificate(&request) {
                Ok(certificate) => request["status"]["certificate"] = STANDARD.encode(certificate).into(),
                Err(why) => {
                    let failed = json!({
                        "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why,
                        "lastUpdateTime": now, "lastTransitionTime": now,
                    });
                    let conditions = request.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
                    conditions.into_iter().for_each(|conditions| conditions.push(failed.clone()));
                }
            }
            Ok(request)
        };
        let context = Context::server("kube-controller-manager");
        match registry.update(target, Source::Patch, &transform, &context).await {
            Err(status) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }

    fn certificate(&self, document: &Value) -> Result<String, String> {
        let request = parse(document).map_err(|why| format!("unable to parse csr: {why}"))?;
        let usages = document.pointer("/spec/usages").and_then(Value::as_array).into_iter().flatten();
        let usages: Vec<&str> = usages.filter_map(Value::as_str).collect();
        check(text(document, "/spec/signerName"), &request, &usages)?;
        let seconds = document.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(DEFAULT_SECONDS);
        self.authorities.own()?.sign(request, &usages, seconds.min(DEFAULT_SECONDS))
    }
}

/// What a signer asks of a request (Kubernetes documentation, "Kubernetes signers").
fn check(signer: &str, request: &CertificateRequest, usages: &[&str]) -> Result<(), String> {
    let wanted = if signer == KUBELET_SERVING { "server auth" } else { "client auth" };
    let allowed = [wanted, "digital signature", "key encipherment"];
    if !usages.contains(&wanted) || usages.iter().any(|usage| !allowed.contains(usage)) {
        return Err(format!("usages did not match {allowed:?}"));
    }
    if signer == CLIENT {
        return Ok(());
    }
    if request.organizations() != ["system:nodes"] {
        return Err("organization in subject is not system:nodes".to_owned());
    }
    if !request.common_name().starts_with("system:node:") {
        return Err("subject common name does not begin with system:node: ".to_owned());
    }
    match (signer, request.has_alternative_names()) {
        (KUBELET_CLIENT, true) => Err("DNS subjectAltNames are not allowed".to_owned()),
        (KUBELET_SERVING, false) => Err("DNS or IP subjectAltName is required".to_owned()),
        _ => Ok(()),
    }
}
