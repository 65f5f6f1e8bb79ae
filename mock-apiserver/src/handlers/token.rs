//! POST of a TokenRequest to a service account.

use axum::body::Body;
use machinery::{
    field::{Error, Path},
    meta,
    names::{GroupResource, GroupVersionKind},
    status::Status,
    time,
};
use serde_json::{Value, json};

use super::{Call, body};
use crate::{
    authentication::{Bound, Claims},
    registry::{Operation, Target},
    respond::Answer,
    server::ApiServer,
};

/// How long a token is good for that does not say so, in seconds.
const DEFAULT_SECONDS: i64 = 3600;

/// The shortest and the longest time that may be asked for, in seconds.
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;

/// Issues a token.
pub(super) async fn create(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let kind = GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest");
    let mut request = body::read_document(server, call, &kind, body).await?;
    let registry = &server.registry;
    check_identity(call, &request)?;
    let target = Target {
        endpoint: &call.endpoint,
        namespace: &call.info.namespace,
        name: &call.info.name,
        subresource: &call.info.subresource,
    };
    registry.admit_about(Operation::Create, target, &kind, &mut request, &call.context).await?;
    let account = registry.get(&call.endpoint, &call.info.namespace, &call.info.name)?;
    check_uid(call, &request, meta::uid(account.value()))?;
    let wanted = request.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(DEFAULT_SECONDS);
    let errors = errors(wanted);
    if !errors.is_empty() {
        return Err(Status::invalid(&kind, "", &errors));
    }
    let seconds = server.authenticator.issuer().seconds(wanted);
    let audiences = request.pointer("/spec/audiences").and_then(Value::as_array).into_iter().flatten();
    let mut audiences: Vec<String> = audiences.filter_map(|one| one.as_str().map(str::to_owned)).collect();
    if audiences.is_empty() {
        audiences = server.authenticator.issuer().audiences().to_vec();
    }
    let reference = request.pointer("/spec/boundObjectRef").filter(|reference| !reference.is_null());
    let bound = reference.map(|reference| bound(server, call, reference)).transpose()?.unwrap_or_default();
    let now = registry.clock.now();
    let claims = Claims {
        id: registry.clock.uid(),
        namespace: call.info.namespace.clone(),
        account: Bound::to(account.value()),
        bound,
        audiences: audiences.clone(),
        issued: now.as_second(),
        seconds,
    };
    let token = server.authenticator.issuer().sign(&claims)?;
    call.context.annotate("authentication.kubernetes.io/issued-credential-id", format!("JTI={}", claims.id));
    let expires = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now);
    meta::set(&mut request, "name", call.info.name.as_str());
    meta::set(&mut request, "namespace", call.info.namespace.as_str());
    meta::set(&mut request, "uid", meta::uid(account.value()));
    meta::set(&mut request, "creationTimestamp", time::format_seconds(now));
    let reference = request.pointer("/spec/boundObjectRef").cloned().unwrap_or_default();
    request["spec"] = json!({"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference});
    request["status"] = json!({"token": token, "expirationTimestamp": time::format_seconds(expires)});
    Ok(Answer::Document { code: 201, document: request })
}

fn check_identity(call: &Call, request: &Value) -> Result<(), Status> {
    let name = meta::name(request);
    if !name.is_empty() && name != call.info.name {
        let detail = "must match the service account name if specified";
        let error = Error::invalid(&Path::new("metadata").child("name"), &name.into(), detail);
        let kind = GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest");
        return Err(Status::invalid(&kind, &call.info.name, &[error]));
    }
    Ok(())
}

/// 409 for a token of an account that is not there any more, though another of its name is.
fn check_uid(call: &Call, request: &Value, uid: &str) -> Result<(), Status> {
    let wanted = meta::uid(request);
    if wanted.is_empty() || wanted == uid {
        return Ok(());
    }
    let why = format!("the UID in the token request ({wanted}) does not match the UID of the service account ({uid})");
    let resource = GroupResource::new("authentication.k8s.io", "TokenRequest");
    Err(Status::conflict(&resource, &call.info.name, &why))
}

fn errors(seconds: i64) -> Vec<Error> {
    let path = Path::new("spec").child("expirationSeconds");
    let mut errors = Vec::new();
    if seconds < SHORTEST {
        errors.push(Error::invalid(&path, &seconds.into(), "may not specify a duration less than 10 minutes"));
    }
    if seconds > LONGEST {
        errors.push(Error::invalid(&path, &seconds.into(), "may not specify a duration larger than 2^32 seconds"));
    }
    errors
}

/// What the token is bound to: it is good as long as that is there.
fn bound(server: &ApiServer, call: &Call, reference: &Value) -> Result<Vec<(&'static str, Bound)>, Status> {
    let text = |member| reference.get(member).and_then(Value::as_str).unwrap_or_default();
    // Of the version only the group counts, and there is none.
    let (kind, plural) = match (text("apiVersion"), text("kind")) {
        ("v1" | "", "Pod") => ("pod", "pods"),
        ("v1" | "", "Secret") => ("secret", "secrets"),
        ("v1" | "", "Node") => ("node", "nodes"),
        (version, other) => {
            let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
            let why = format!("cannot bind token to object of type {group}/{version}, Kind={other}");
            return Err(Status::bad_request(why));
        }
    };
    let registry = &server.registry;
    let endpoint = registry.catalog.endpoint("", "v1", plural).ok_or_else(Status::unknown_resource)?;
    let namespace = if kind == "node" { "" } else { call.info.namespace.as_str() };
    let object = registry.get(&endpoint, namespace, text("name"))?;
    let found = Bound::to(object.value());
    let wanted = text("uid");
    if !wanted.is_empty() && wanted != found.uid {
        let why = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        );
        return Err(Status::conflict(&GroupResource::new("", text("kind")), text("name"), &why));
    }
    let mut all = vec![(kind, found)];
    if kind == "pod" {
        let pod = |path: &str| object.value().pointer(path).and_then(Value::as_str).unwrap_or_default();
        if pod("/spec/serviceAccountName") != call.info.name {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                call.info.name
            )));
        }
        let nodes = registry.catalog.endpoint("", "v1", "nodes");
        let node = nodes.and_then(|nodes| registry.get(&nodes, "", pod("/spec/nodeName")).ok());
        all.extend(node.map(|node| ("node", Bound::to(node.value()))));
    }
    Ok(all)
}
