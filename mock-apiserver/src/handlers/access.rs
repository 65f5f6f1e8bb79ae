//! Before anything else: who asks, as whom, and whether they may.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
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

/// Who a request is from; else the answer that says that nobody knows.
pub(super) async fn identify(server: &ApiServer, request: &mut Parts) -> Result<Arc<User>, Box<Response<Body>>> {
    let transport = request.extensions.get::<Peer>().map(|peer| &peer.transport);
    let user = server.authenticator.user(&server.registry, transport, &mut request.headers, request.uri.path()).await;
    server.metrics.authenticate(user.is_ok());
    user.map_err(|status| refuse(request, &status))
}

/// Whom a request acts as, if it may, and if they may do what it asks for; else the answer that says no.
pub(super) async fn permit(
    server: &ApiServer,
    request: &Parts,
    location: Option<&Location>,
    user: Arc<User>,
) -> Result<Arc<User>, Box<Response<Body>>> {
    let user = impersonate(server, request, user).await?;
    if !server.authorizer.allows_everything() {
        let authorized = authorize(server, request, location, &user).await;
        server.metrics.authorize(authorized.is_ok());
        authorized?;
    }
    Ok(user)
}

fn refuse(request: &Parts, status: &Status) -> Box<Response<Body>> {
    let query = Query::parse(request.uri.query().unwrap_or_default());
    Box::new(respond::render_status(&request.headers, &query, status))
}

/// 500 as kube-apiserver's filters answer it: plain text.
fn fail(request: &Parts, why: &str) -> Box<Response<Body>> {
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    // Nothing of the path may be taken for markup.
    let path = quote(path).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut response = Response::new(Body::from(format!("Internal Server Error: {path}: {why}\n")));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Box::new(response)
}

/// The user that the request acts as: the one who asks, or, where the headers say so, another.
async fn impersonate(server: &ApiServer, request: &Parts, user: Arc<User>) -> Result<Arc<User>, Box<Response<Body>>> {
    let asked = match Impersonation::of(&request.headers) {
        Ok(None) => return Ok(user),
        Ok(Some(asked)) => asked,
        Err(why) => return Err(fail(request, &why)),
    };
    for action in asked.actions() {
        let decision = server.authorizer.decide_now(&server.registry, &user, &action).await;
        if !decision.is_allowed() {
            return Err(refuse(request, &action.forbidden(&user, &decision)));
        }
    }
    Ok(Arc::new(asked.user()))
}

/// Lets pass what the user may do.
async fn authorize(
    server: &ApiServer,
    request: &Parts,
    location: Option<&Location>,
    user: &User,
) -> Result<(), Box<Response<Body>>> {
    let (method, path) = (&request.method, request.uri.path());
    let query = Query::parse(request.uri.query().unwrap_or_default());
    let Some(Location::Resource(info)) = location else {
        return may(server, request, user, &Action::on_path(method, path)).await;
    };
    let selected = if info.name.is_empty() && *method == Method::GET { selected_name(&query) } else { None };
    let name = selected.as_deref().unwrap_or(&info.name);
    may(server, request, user, &Action::of_request(method, info, name, query.flag("watch") == Some(true))).await?;
    if *method == Method::GET && is_connection(info) {
        let RequestInfo { group, resource, subresource, namespace, name, .. } = info;
        let on = On::Resource { group, resource, subresource, namespace, name };
        return may(server, request, user, &Action { verb: "create", on }).await;
    }
    Ok(())
}

/// 403 for an action that is not allowed, 500 where that could not be found out.
async fn may(server: &ApiServer, request: &Parts, user: &User, action: &Action<'_>) -> Result<(), Box<Response<Body>>> {
    let decision = server.authorizer.decide_now(&server.registry, user, action).await;
    match decision.is_allowed() {
        true => Ok(()),
        false if !decision.error.is_empty() => Err(fail(request, &decision.error)),
        false => Err(refuse(request, &action.forbidden(user, &decision))),
    }
}

fn is_connection(info: &RequestInfo) -> bool {
    info.group.is_empty() && info.resource == "pods" && CONNECTIONS.contains(&info.subresource.as_str())
}
