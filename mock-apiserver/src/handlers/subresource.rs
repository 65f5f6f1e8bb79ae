//! Subresources: the object seen from one side.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use machinery::{names::GroupVersionKind, status::Status};
use serde_json::Value;

use super::{Call, body, kubelet, object, patch, proxy, scale, token};
use crate::{
    registry::{Operation, Target},
    request::DeleteOptions,
    respond::{self, Answer, Shape},
    server::ApiServer,
};

/// Answers a request to a subresource.
pub(super) async fn serve(
    server: &Arc<ApiServer>,
    call: &mut Call,
    verb: &'static str,
    body: Body,
) -> Result<Response<Body>, Status> {
    if matches!(call.info.subresource.as_str(), "log" | "exec" | "attach" | "portforward") {
        return Box::pin(kubelet::serve(server, call, body)).await;
    }
    if call.info.subresource == "proxy" {
        return Box::pin(proxy::serve(server, call, body)).await;
    }
    let representation = respond::negotiate(&call.parts.headers, &call.query, Shape::Object, &call.endpoint)?;
    let subresources = call.endpoint.subresources();
    let own_kind = subresources.iter().any(|known| known.name == call.info.subresource && known.kind.is_none());
    let answer = match (call.info.subresource.as_str(), verb) {
        ("scale", _) => scale::serve(server, call, verb, body).await?,
        ("binding", "create") => bind(server, call, body).await?,
        ("eviction", "create") => evict(server, call, body).await?,
        ("token", "create") => token::create(server, call, body).await?,
        (_, "get") if own_kind => object::get(server, call)?,
        (_, "update") if own_kind => object::update(server, call, body).await?,
        (_, "patch") if own_kind => patch::patch(server, call, body).await?,
        _ => return Err(Status::method_not_allowed()),
    };
    Ok(respond::render(&server.registry.clock, &representation, answer))
}

/// POST of a Binding to a pod.
async fn bind(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let binding = body::read_document(server, call, &GroupVersionKind::new("", "v1", "Binding"), body).await?;
    server.registry.bind(call.target(), call.target(), &binding, &call.context).await?;
    Ok(Answer::Status(Status::success(201, None)))
}

/// POST of a Binding to the collection of bindings.
pub(super) async fn bind_by_name(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let binding = body::read_document(server, call, &GroupVersionKind::new("", "v1", "Binding"), body).await?;
    let Some(pods) = server.registry.catalog.endpoint("", "v1", "pods") else {
        return Err(Status::unknown_resource());
    };
    let name = machinery::meta::name(&binding);
    if name.is_empty() {
        return Err(Status::bad_request("Name parameter required."));
    }
    let target = Target { endpoint: &pods, namespace: &call.info.namespace, name, subresource: "binding" };
    let asked = Target { name, ..call.target() };
    server.registry.bind(target, asked, &binding, &call.context).await?;
    Ok(Answer::Status(Status::success(201, None)))
}

/// POST of an Eviction to a pod.
async fn evict(server: &ApiServer, call: &Call, body: Body) -> Result<Answer, Status> {
    let eviction = body::read_document(server, call, &GroupVersionKind::new("policy", "v1", "Eviction"), body).await?;
    if machinery::meta::name(&eviction) != call.info.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let kind = GroupVersionKind::new("policy", "v1", "Eviction");
    let mut eviction = eviction;
    machinery::meta::set(&mut eviction, "namespace", call.info.namespace.as_str());
    let registry = &server.registry;
    registry.admit_about(Operation::Create, call.target(), &kind, &mut eviction, &call.context).await?;
    let mut options = match eviction.get("deleteOptions") {
        Some(options @ Value::Object(_)) => DeleteOptions::from_body(options)?,
        None | Some(Value::Null) => DeleteOptions::default(),
        Some(other) => {
            let found = machinery::json_type::json_type(other);
            return Err(Status::bad_request(format!(
                "Eviction in version \"v1\" cannot be handled as a Eviction: json: cannot unmarshal {found} into Go struct \
                 field Eviction.deleteOptions of type v1.DeleteOptions"
            )));
        }
    };
    options.dry_run |= call.context.options.dry_run;
    server.registry.evict(call.target(), &options, &call.context).await?;
    Ok(Answer::Status(Status::success(201, None)))
}
