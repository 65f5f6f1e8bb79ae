//! Before anything else: who asks, as whom, and whether they may.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use machinery::{
    field::quote,
    selector::{field, label},
    status::Status,
};

use crate::{
    audit::Notes,
    authentication::{Impersonation, Peer, User},
    authorization::{Acting, Action, Decision, On, Restriction, selected_name},
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
) -> Result<Acting, Box<Response<Body>>> {
    let wanted = Impersonation::of(&request.headers).map_err(|status| refuse(request, &status))?;
    if wanted.is_none() && server.authorizer.allows_everything() {
        note(request, &Decision::allowed(""));
        return Ok(Acting::oneself(user));
    }
    let asked = Asked::of(request, location);
    let acting = match wanted {
        None => Acting::oneself(user),
        Some(wanted) => {
            let judges = (server.authorizer.as_ref(), server.registry.as_ref());
            let acting = server.impersonator.permit(judges, &user, wanted, &asked.action()).await;
            let acting = acting.map_err(|status| refuse(request, &status))?;
            if let Some(notes) = Notes::of(&request.extensions) {
                notes.acts_as(&acting);
            }
            acting
        }
    };
    if server.authorizer.allows_everything() {
        note(request, &Decision::allowed(""));
    } else {
        let authorized = authorize(server, request, &asked, &acting.user).await;
        server.metrics.authorize(authorized.is_ok());
        authorized?;
    }
    Ok(acting)
}

/// What a request does.
struct Asked<'a> {
    request: &'a Parts,
    info: Option<&'a RequestInfo>,
    watch: bool,
    /// The name that a collection is restricted to.
    selected: Option<String>,
    fields: field::Selector,
    labels: label::Selector,
}

impl<'a> Asked<'a> {
    fn of(request: &'a Parts, location: Option<&'a Location>) -> Self {
        let (fields, labels) = (field::Selector::everything(), label::Selector::everything());
        let mut asked = Self { request, info: None, watch: false, selected: None, fields, labels };
        let Some(Location::Resource(info)) = location else { return asked };
        asked.info = Some(info);
        let query = Query::parse(request.uri.query().unwrap_or_default());
        asked.watch = query.flag("watch") == Some(true);
        // Selectors of which nothing can be made are refused later.
        if info.name.is_empty() && matches!(request.method, Method::GET | Method::DELETE) {
            let text = |name| query.get(name).unwrap_or_default();
            asked.fields = field::Selector::parse(text("fieldSelector")).unwrap_or(asked.fields);
            asked.labels = label::Selector::parse(text("labelSelector")).unwrap_or(asked.labels);
            asked.selected = selected_name(&asked.fields).filter(|_| request.method == Method::GET);
        }
        asked
    }

    fn action(&self) -> Action<'_> {
        let Parts { method, uri, .. } = self.request;
        let Some(info) = self.info else { return Action::on_path(method, uri.path()) };
        let only = Restriction { fields: self.fields.terms(), labels: self.labels.requirements().unwrap_or_default() };
        Action::of_request(method, info, self.selected.as_deref().unwrap_or(&info.name), self.watch).restricted(only)
    }
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

/// Lets pass what the user may do.
async fn authorize(
    server: &ApiServer,
    request: &Parts,
    asked: &Asked<'_>,
    user: &User,
) -> Result<(), Box<Response<Body>>> {
    may(server, request, user, &asked.action()).await?;
    if let Some(info) = asked.info.filter(|info| request.method == Method::GET && is_connection(info)) {
        let RequestInfo { group, resource, subresource, namespace, name, .. } = info;
        let on = On::Resource { group, resource, subresource, namespace, name };
        return may(server, request, user, &Action::to("create", on)).await;
    }
    Ok(())
}

/// 403 for an action that is not allowed, 500 where that could not be found out.
async fn may(server: &ApiServer, request: &Parts, user: &User, action: &Action<'_>) -> Result<(), Box<Response<Body>>> {
    let decision = server.authorizer.decide_now(&server.registry, user, action).await;
    note(request, &decision);
    match decision.is_allowed() {
        true => Ok(()),
        false if !decision.error.is_empty() => Err(fail(request, &decision.error)),
        false => Err(refuse(request, &action.forbidden(user, &decision))),
    }
}

/// Notes a decision for whoever writes down what happens.
fn note(request: &Parts, decision: &Decision) {
    let Some(notes) = Notes::of(&request.extensions) else { return };
    match decision {
        Decision { error, .. } if !decision.is_allowed() && !error.is_empty() => {
            notes.annotate("authorization.k8s.io/reason", "internal error");
        }
        Decision { reason, .. } => {
            let verdict = if decision.is_allowed() { "allow" } else { "forbid" };
            notes.annotate("authorization.k8s.io/decision", verdict);
            notes.annotate("authorization.k8s.io/reason", reason);
        }
    }
}

fn is_connection(info: &RequestInfo) -> bool {
    info.group.is_empty() && info.resource == "pods" && CONNECTIONS.contains(&info.subresource.as_str())
}
