//! Before anything else: who asks, as whom, and whether they may.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use machinery::{field::quote, status::Status};

use crate::{
    authentication::{Impersonation, Peer, User},
    authorization::{Action, On, selected_name},
    request::{Location, Query, RequestInfo},
    respond,
    server::ApiServer,
};

/// Subresources of pods that are connections: to open one is to create something, also where a WebSocket has to say GET.
const CONNECTIONS: [&str; 3] = ["exec", "attach", "portforward"];

/// Who a request is from, if it may do what it asks for; else the answer that says no.
pub(super) fn check(
    server: &ApiServer,
    request: &mut Request<Body>,
    location: Option<&Location>,
) -> Result<Arc<User>, Box<Response<Body>>> {
    let transport = request.extensions().get::<Peer>().map(|peer| &peer.transport);
    let user = server.authenticator.user(&server.registry, transport, request.headers());
    let user = user.map_err(|status| refuse(request, &status))?;
    drop_credentials(request);
    let user = impersonate(server, request, user)?;
    if !server.authorizer.allows_everything() {
        authorize(server, request, location, &user).map_err(|status| refuse(request, &status))?;
    }
    Ok(user)
}

fn refuse(request: &Request<Body>, status: &Status) -> Box<Response<Body>> {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    Box::new(respond::render_status(request.headers(), &query, status))
}

/// Takes credentials out of the request: nobody further down needs them.
fn drop_credentials(request: &mut Request<Body>) {
    let headers = request.headers_mut();
    headers.remove(header::AUTHORIZATION);
    let protocols = headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    let Some(protocols) = protocols.filter(|protocols| protocols.contains("base64url.bearer.")) else { return };
    let others: Vec<&str> =
        protocols.split(',').map(str::trim).filter(|one| !one.starts_with("base64url.bearer.")).collect();
    match HeaderValue::from_str(&others.join(", ")) {
        Ok(value) if !others.is_empty() => drop(headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value)),
        _ => drop(headers.remove(header::SEC_WEBSOCKET_PROTOCOL)),
    }
}

/// The user that the request acts as: the one who asks, or, where the headers say so, another.
fn impersonate(server: &ApiServer, request: &Request<Body>, user: Arc<User>) -> Result<Arc<User>, Box<Response<Body>>> {
    let asked = match Impersonation::of(request.headers()) {
        Ok(None) => return Ok(user),
        Ok(Some(asked)) => asked,
        Err(why) => {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let mut response = Response::new(Body::from(format!("Internal Server Error: {}: {why}\n", quote(path))));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return Err(Box::new(response));
        }
    };
    for action in asked.actions() {
        let decision = server.authorizer.decide(&server.registry, &user, &action);
        if !decision.is_allowed() {
            return Err(refuse(request, &action.forbidden(&user, &decision)));
        }
    }
    Ok(Arc::new(asked.user()))
}

/// 403 for what the user may not do.
fn authorize(
    server: &ApiServer,
    request: &Request<Body>,
    location: Option<&Location>,
    user: &User,
) -> Result<(), Status> {
    let decide = |action: &Action<'_>| {
        let decision = server.authorizer.decide(&server.registry, user, action);
        if decision.is_allowed() { Ok(()) } else { Err(action.forbidden(user, &decision)) }
    };
    let Some(Location::Resource(info)) = location else {
        return decide(&Action::on_path(request.method(), request.uri().path()));
    };
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let selected = if info.name.is_empty() && request.method() == Method::GET { selected_name(&query) } else { None };
    let name = selected.as_deref().unwrap_or(&info.name);
    decide(&Action::of_request(request.method(), info, name, query.flag("watch") == Some(true)))?;
    if request.method() == Method::GET && is_connection(info) {
        let RequestInfo { group, resource, subresource, namespace, name, .. } = info;
        return decide(&Action { verb: "create", on: On::Resource { group, resource, subresource, namespace, name } });
    }
    Ok(())
}

fn is_connection(info: &RequestInfo) -> bool {
    info.group.is_empty() && info.resource == "pods" && CONNECTIONS.contains(&info.subresource.as_str())
}
