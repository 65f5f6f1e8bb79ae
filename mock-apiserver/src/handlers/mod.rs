//! From a request to an answer: one file per verb. Knows requests and the registry, never storage's insides.

mod access;
mod apply;
mod body;
mod collection;
mod component;
mod conversion;
mod in_flight;
mod kubelet;
mod object;
mod patch;
mod proxy;
mod receiving;
mod review;
mod scale;
mod subresource;
mod token;
mod upgrade;
mod web_socket;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::{Body, HttpBody as _};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use machinery::status::Status;

use self::conversion::Conversion;
use crate::{
    aggregation,
    audit::{Event, Notes},
    authentication::User,
    authorization::RBAC_GROUP,
    catalog::Endpoint,
    discovery,
    meta::{self, Answered, RequestLabels},
    openapi,
    registry::{Context, Target},
    request::{Location, MediaType, Query, RequestInfo, Write, WriteOptions, parse_path},
    respond::{self, Answer, Shape},
    server::ApiServer,
};

pub(crate) use in_flight::InFlight;
pub(crate) use kubelet::tunnel;
pub(crate) use receiving::Receiving;

/// Longest path and query that are read.
const URL_BYTES_MAX: usize = 64 * 1024;

/// Answers any request.
pub(crate) async fn serve(server: Arc<ApiServer>, request: Request<Body>) -> Response<Body> {
    let uri = request.uri();
    if uri.path().len() + uri.query().map_or(0, str::len) > URL_BYTES_MAX {
        let mut response = Response::new(Body::from("URI too long\n"));
        *response.status_mut() = StatusCode::URI_TOO_LONG;
        return response;
    }
    let location = parse_path(uri.path());
    let (mut parts, body) = request.into_parts();
    let id = respond::asked_id(&parts.headers).unwrap_or_else(|| server.registry.clock.uid());
    let mut response = match access::identify(&server, &mut parts).await {
        Ok(user) => received(&server, location, user, parts, body, &id).await,
        Err(refusal) => {
            receiving::drain(body).await;
            refused(&server, location.as_ref(), &parts, *refusal, &id).await
        }
    };
    respond::identify(&mut response, &id);
    if let Some(strictness) = &server.config.strict_transport_security {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, strictness.clone());
    }
    response
}

/// Answers a user whose request is there as a whole.
async fn received(
    server: &Arc<ApiServer>,
    location: Option<Location>,
    user: Arc<User>,
    parts: Parts,
    body: Body,
    id: &str,
) -> Response<Body> {
    if !receiving::is_whole(&parts.method, location.as_ref()) {
        return audited(server, location, user, parts, body, id).await;
    }
    match server.receiving.whole(body, server.config.limits.body).await {
        Ok(body) => audited(server, location, user, parts, body, id).await,
        Err(status) => {
            let query = Query::parse(parts.uri.query().unwrap_or_default());
            respond::render_status(&parts.headers, &query, &status)
        }
    }
}

/// Answers a user, and writes down what the operator wants to have written down.
async fn audited(
    server: &Arc<ApiServer>,
    location: Option<Location>,
    user: Arc<User>,
    mut parts: Parts,
    body: Body,
    id: &str,
) -> Response<Body> {
    let Some(audit) = &server.config.audit else { return permitted(server, location, user, parts, body).await };
    let clock = &server.registry.clock;
    let Some(mut event) = Event::begin(audit, &parts, location.as_ref(), Some(&user), id, clock.now()) else {
        return permitted(server, location, user, parts, body).await;
    };
    event.received(clock.now());
    parts.extensions.insert(event.notes().clone());
    let body = event.hear(&parts.headers, body).await;
    let response = permitted(server, location, user, parts, body).await;
    event.answer(response, clock).await
}

/// Answers somebody whom nobody knows, and writes it down.
async fn refused(
    server: &Arc<ApiServer>,
    location: Option<&Location>,
    parts: &Parts,
    refusal: Response<Body>,
    id: &str,
) -> Response<Body> {
    let Some(audit) = &server.config.audit else { return refusal };
    let clock = &server.registry.clock;
    match Event::begin(audit, parts, location, None, id, clock.now()) {
        Some(event) => event.refused(refusal, clock).await,
        None => refusal,
    }
}

/// Answers a user, if they may ask, and it is their turn.
async fn permitted(
    server: &Arc<ApiServer>,
    location: Option<Location>,
    user: Arc<User>,
    parts: Parts,
    body: Body,
) -> Response<Body> {
    let acting = match access::permit(server, &parts, location.as_ref(), user).await {
        Ok(acting) => acting,
        Err(refusal) => return *refusal,
    };
    let request = Request::from_parts(parts, body);
    let lane = server.in_flight.lane(&request, location.as_ref(), &acting.user);
    match in_flight::enter(lane).await {
        Ok(_place) => route(server, location, acting.user, request).await,
        Err(too_many) => *too_many,
    }
}

async fn route(
    server: &Arc<ApiServer>,
    location: Option<Location>,
    user: Arc<User>,
    request: Request<Body>,
) -> Response<Body> {
    if let Some((group, version)) = remote(server, location.as_ref()) {
        let (headers, query) = (request.headers().clone(), Query::parse(request.uri().query().unwrap_or_default()));
        let answer = server.aggregation.pass_on(&server.registry, (group, version), &user, request).await;
        return answer.unwrap_or_else(|status| respond::render_status(&headers, &query, &status));
    }
    match location {
        None => page_not_found(),
        Some(Location::Resource(info)) => serve_resource(server, info, user, request).await,
        Some(Location::Other(segments)) => {
            let began = Instant::now();
            let (parts, _) = request.into_parts();
            let response = match segments.first().map(String::as_str) {
                Some("api" | "apis") => Box::pin(discovery::serve(server, &parts, &segments)).await,
                Some("openapi") => Box::pin(openapi::serve(server, &parts, &segments)).await,
                _ => Box::pin(meta::serve(server, &parts, &segments)).await,
            };
            count_other(server, &segments, &response, began.elapsed());
            response
        }
    }
}

/// The group and version of a request that another server answers.
fn remote<'a>(server: &ApiServer, location: Option<&'a Location>) -> Option<(&'a str, &'a str)> {
    let (group, version) = match location? {
        Location::Resource(info) => (info.group.as_str(), info.version.as_str()),
        Location::Other(segments) => match segments.as_slice() {
            [root, group, version] if root == "apis" => (group.as_str(), version.as_str()),
            _ => return None,
        },
    };
    let registry = &server.registry;
    let served = registry.catalog.served().has_version(group, version);
    (!served && aggregation::is_remote(registry, group, version)).then_some((group, version))
}

/// A request to a resource.
pub(crate) struct Call {
    pub(crate) info: RequestInfo,
    pub(crate) endpoint: Endpoint,
    pub(crate) query: Query,
    pub(crate) parts: Parts,
    pub(crate) context: Context,
    /// How long its body may take.
    pub(crate) patience: Duration,
}

impl Call {
    /// The object that the path names.
    fn target(&self) -> Target<'_> {
        Target {
            endpoint: &self.endpoint,
            namespace: &self.info.namespace,
            name: &self.info.name,
            subresource: &self.info.subresource,
        }
    }
}

async fn serve_resource(
    server: &Arc<ApiServer>,
    info: RequestInfo,
    user: Arc<User>,
    request: Request<Body>,
) -> Response<Body> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let Some(endpoint) = server.registry.catalog.endpoint(&info.group, &info.version, &info.resource) else {
        if server.registry.catalog.served().has_built_in(&info.group) {
            return respond::render_status(&parts.headers, &query, &Status::unknown_resource());
        }
        return page_not_found();
    };
    // Before anybody can have a say in them, too: webhooks and policies.
    if [RBAC_GROUP, "admissionregistration.k8s.io"].contains(&info.group.as_str())
        && let Err(status) = Box::pin(server.roles.ensure(&server.registry)).await
    {
        return respond::render_status(&parts.headers, &query, &status);
    }
    let is_apply = parts.method == Method::PATCH && MediaType::of(&parts.headers) == MediaType::ApplyPatch;
    let write = match parts.method {
        Method::PUT => Some(Write::Update),
        Method::PATCH if is_apply => Some(Write::Apply),
        Method::PATCH => Some(Write::Patch),
        Method::POST => Some(Write::Create),
        _ => None,
    };
    let options = write.map_or_else(|| Ok(WriteOptions::default()), |write| WriteOptions::parse(&query, write));
    let (options, wrong) = match query.check_timeout().and(options) {
        Ok(options) => (options, None),
        Err(status) => (WriteOptions::default(), Some(status)),
    };
    let mut context = Context::new(user, &manager(&parts, &options), options);
    context.notes = Notes::of(&parts.extensions).cloned();
    context.patches = parts.method == Method::PATCH;
    context.in_collection = parts.method == Method::DELETE && info.name.is_empty();
    context.applied = is_apply || info.subresource == "scale";
    let mut call = Call { info, endpoint, query, parts, context, patience: server.config.limits.body };
    if let Some(wrong) = wrong {
        // Where nobody would listen, nobody reads options.
        let status = verb(&call).err().unwrap_or(wrong);
        return respond::render_status(&call.parts.headers, &call.query, &status);
    }
    let mut response = match answer(server, &mut call, body).await {
        Ok(response) => in_web_socket(&mut call, response),
        Err(status) => respond::render_status(&call.parts.headers, &call.query, &status),
    };
    respond::add_warnings(&mut response, &call.context.take_warnings());
    count(server, &call, &response, began.elapsed());
    response
}

/// The answer to a watch, or a log, as a WebSocket, where the client wants one.
fn in_web_socket(call: &mut Call, response: Response<Body>) -> Response<Body> {
    if !web_socket::is_wanted(&call.parts.headers) {
        return response;
    }
    let contents = match verb(call) {
        Ok("watch") => web_socket::Contents::Events,
        Ok("get") if call.info.subresource == "log" => web_socket::Contents::Bytes,
        _ => return response,
    };
    match call.parts.extensions.remove::<OnUpgrade>() {
        Some(client) => web_socket::serve(&call.parts.headers, client, response, contents),
        None => response,
    }
}

/// The release that has not any more what a warning is about.
fn removed_in(warning: &str) -> Option<&str> {
    let (_, release) = warning.split_once("unavailable in v")?;
    Some(release.trim_end_matches('+'))
}

/// Counts an answered request for `/metrics`.
fn count(server: &ApiServer, call: &Call, response: &Response<Body>, took: Duration) {
    let warning = call.endpoint.version().deprecation_warning.as_deref();
    server.metrics.count(
        labels(call),
        Answered {
            code: response.status().as_u16(),
            took,
            bytes: response.body().size_hint().exact().filter(|_| call.parts.method == Method::GET),
            deprecated: warning.map(|warning| removed_in(warning).unwrap_or_default().to_owned()),
        },
    );
}

/// Under what a request is counted.
fn labels(call: &Call) -> RequestLabels {
    let info = &call.info;
    let verb = match verb(call) {
        Ok(_) if matches!(info.subresource.as_str(), "attach" | "exec" | "portforward" | "proxy") => "CONNECT",
        Ok("get") => "GET",
        Ok("list") => "LIST",
        Ok("watch") => "WATCH",
        Ok("create") => "POST",
        Ok("update") => "PUT",
        Ok("patch") if MediaType::of(&call.parts.headers) == MediaType::ApplyPatch => "APPLY",
        Ok("patch") => "PATCH",
        Ok("delete") => "DELETE",
        Ok("deletecollection") => "DELETECOLLECTION",
        _ => "other",
    };
    RequestLabels {
        verb,
        group: info.group.clone(),
        version: info.version.clone(),
        resource: info.resource.clone(),
        subresource: if verb == "other" { String::new() } else { info.subresource.clone() },
        scope: match (info.name.is_empty() && verb != "POST", info.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        },
        dry_run: call.context.options.dry_run,
    }
}

/// Counts an answer about the server itself under its path, as kube-apiserver spells it.
fn count_other(server: &ApiServer, segments: &[String], response: &Response<Body>, took: Duration) {
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let path = match segments.as_slice() {
        ["api"] => "api",
        ["apis"] => "apis",
        ["openapi", "v2"] => "openapi/v2",
        ["openapi", "v3", ..] => "openapi/v3",
        ["healthz", ..] => "/healthz",
        ["livez", ..] => "/livez",
        ["readyz", ..] => "/readyz",
        ["metrics", ..] => "/metrics",
        ["version"] => "/version",
        _ => return,
    };
    let labels = RequestLabels { verb: "GET", subresource: path.to_owned(), ..RequestLabels::default() };
    let bytes = response.body().size_hint().exact();
    server.metrics.count(labels, Answered { code: response.status().as_u16(), took, bytes, deprecated: None });
}

/// The manager of changed fields: as the client says, else the program's name from its User-Agent.
fn manager(parts: &Parts, options: &WriteOptions) -> String {
    if !options.field_manager.is_empty() {
        return options.field_manager.clone();
    }
    let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    agent.split('/').next().unwrap_or_default().chars().take(128).collect()
}

/// What takes more than a look at a snapshot is boxed: every request, and every connection, has room for the largest of
/// what stands here.
async fn answer(server: &Arc<ApiServer>, call: &mut Call, body: Body) -> Result<Response<Body>, Status> {
    let info = &call.info;
    let namespaced = call.endpoint.resource.is_namespaced();
    let scope_fits =
        if namespaced { info.name.is_empty() || !info.namespace.is_empty() } else { info.namespace.is_empty() };
    let too_long = !info.rest.is_empty() && info.subresource != "proxy";
    if too_long {
        return Err(unknown_subresource(call));
    }
    if !scope_fits {
        return Err(Status::unknown_resource());
    }
    let verb = verb(call)?;
    if let Some(warning) = &call.endpoint.version().deprecation_warning {
        call.context.warn(warning.clone());
        call.context.annotate("k8s.io/deprecated", "true");
        if let Some(release) = removed_in(warning) {
            call.context.annotate("k8s.io/removed-release", release);
        }
    }
    if !info.name.is_empty() {
        call.endpoint = owner_of(server, call);
    }
    if matches!(call.info.subresource.as_str(), "" | "status")
        && let Some(conversion) = Conversion::of(server, &call.endpoint, verb)
    {
        return Box::pin(conversion.answer(server, call, verb, body)).await;
    }
    let info = &call.info;
    if !info.subresource.is_empty() {
        return Box::pin(subresource::serve(server, call, verb, body)).await;
    }
    let shape = match verb {
        "list" | "deletecollection" => Shape::List,
        "watch" => Shape::Watch,
        _ => Shape::Object,
    };
    let representation = respond::negotiate(&call.parts.headers, &call.query, shape, &call.endpoint)?;
    let answer = match verb {
        "get" if component::is_one(call) => Box::pin(component::get(call)).await?,
        "list" if component::is_one(call) => Box::pin(component::list(call)).await?,
        "get" => object::get(server, call)?,
        "list" => collection::list(server, call, &representation)?,
        "watch" => collection::watch(server, call, &representation)?,
        "create" if review::is_review(call) => Box::pin(review::answer(server, call, body)).await?,
        "create" if call.info.group.is_empty() && call.info.resource == "bindings" => {
            Box::pin(subresource::bind_by_name(server, call, body)).await?
        }
        "create" => Box::pin(object::create(server, call, body)).await?,
        "update" => Box::pin(object::update(server, call, body)).await?,
        "patch" => Box::pin(patch::patch(server, call, body)).await?,
        "delete" => Box::pin(object::delete(server, call, body)).await?,
        _ => Box::pin(collection::delete(server, call, body)).await?,
    };
    Ok(respond::render(&server.registry.clock, &representation, answer))
}

/// The verb that a request means, if the resource has it.
fn verb(call: &Call) -> Result<&'static str, Status> {
    let info = &call.info;
    let definition = call.endpoint.definition();
    let in_all_namespaces = call.endpoint.resource.is_namespaced() && info.namespace.is_empty();
    let has = |verbs: &[api::definition::Text], verb: &str| verbs.iter().any(|known| known == verb);
    if in_all_namespaces && !definition.verbs.is_empty() && !has(&definition.verbs, "list") {
        return Err(Status::unknown_resource());
    }
    if !info.name.is_empty() && info.subresource.is_empty() && call.endpoint.is_only_created() {
        return Err(Status::unknown_resource());
    }
    let verb = match (&call.parts.method, info.name.is_empty()) {
        // What is passed on may be asked for in any way.
        (&Method::HEAD | &Method::OPTIONS, false) if info.subresource == "proxy" => "get",
        // What serves custom resources goes by the verb, which is the same for both.
        (&Method::HEAD, false) if call.endpoint.resource.is_custom() => "get",
        (&Method::HEAD, true) if call.endpoint.resource.is_custom() => "list",
        (&Method::GET, true) if info.watch || call.query.flag("watch") == Some(true) => "watch",
        (&Method::GET, true) => "list",
        (&Method::GET, false) if info.watch => "watch",
        (&Method::GET, false) => "get",
        (&Method::POST, true) if !in_all_namespaces => "create",
        (&Method::POST, false) if !info.subresource.is_empty() => "create",
        (&Method::DELETE, true) if !in_all_namespaces => "deletecollection",
        (&Method::DELETE, false) => "delete",
        (&Method::PUT, false) => "update",
        (&Method::PATCH, false) => "patch",
        _ => return Err(not_supported(call)),
    };
    let verbs = if info.subresource.is_empty() {
        &definition.verbs
    } else {
        let subresource = call.endpoint.subresources().iter().find(|known| known.name == info.subresource);
        &subresource.ok_or_else(|| unknown_subresource(call))?.verbs
    };
    let served = (verbs.is_empty() && info.subresource.is_empty()) || has(verbs, verb);
    if served { Ok(verb) } else { Err(not_supported(call)) }
}

/// 404 about a subresource that there is not: of custom resources upstream says that they are not there at all.
fn unknown_subresource(call: &Call) -> Status {
    if call.endpoint.resource.is_custom() {
        return Status::not_found(&call.endpoint.group_resource(), &call.info.name);
    }
    Status::unknown_resource()
}

/// 405. What serves custom resources says what they do not support.
fn not_supported(call: &Call) -> Status {
    if !call.endpoint.resource.is_custom() {
        return Status::method_not_allowed();
    }
    let action = match call.parts.method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if call.info.name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ => "get",
    };
    Status::not_supported(&call.endpoint.group_resource(), action)
}

/// The endpoint that has the named object: a sibling generation's, when only that one has it.
fn owner_of(server: &ApiServer, call: &Call) -> Endpoint {
    let Target { endpoint, namespace, name, .. } = call.target();
    let has = |endpoint: &Endpoint| {
        let resource = &endpoint.resource;
        resource.space().get(&resource.key(namespace, name)).is_some()
    };
    if has(endpoint) {
        return endpoint.clone();
    }
    let siblings = server.registry.catalog.served().siblings(&endpoint.resource);
    let same_scope = |other: &Endpoint| other.resource.is_namespaced() == endpoint.resource.is_namespaced();
    siblings.into_iter().find(|sibling| same_scope(sibling) && has(sibling)).unwrap_or_else(|| endpoint.clone())
}

/// One object as the answer.
fn one(code: u16, call: &Call, object: Arc<crate::storage::Stored>) -> Answer {
    Answer::Object { code, endpoint: call.endpoint.clone(), object }
}

/// The answer to a path nobody knows.
pub(crate) fn page_not_found() -> Response<Body> {
    let mut response = Response::new(Body::from("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
