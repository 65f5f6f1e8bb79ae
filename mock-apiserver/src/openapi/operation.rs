//! The operations of a served resource: paths, methods, parameters, bodies and answers, before any OpenAPI version.

use machinery::names::GroupVersionKind;

use super::parameters::{APPLY, DELETE, DELETE_MANY, LIST, Parameter, READ, WRITE, of_connection};
use crate::catalog::Endpoint;

/// What a request body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing.
    None,
    /// An object of the operation's kind.
    Object,
    /// A list of them.
    List,
    /// A patch of one.
    Patch,
    /// Options of a delete.
    DeleteOptions,
    /// Success or failure.
    Status,
    /// Events of a watch.
    Event,
    /// What a connection carries.
    Stream,
    /// Text.
    Text,
}

/// One operation.
pub(super) struct Operation {
    pub(super) path: String,
    /// The HTTP method in lower case.
    pub(super) method: &'static str,
    /// `x-kubernetes-action`.
    pub(super) action: &'static str,
    pub(super) id: String,
    pub(super) summary: String,
    /// The kind it is about.
    pub(super) kind: GroupVersionKind,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Content,
    pub(super) answer: Content,
    /// Codes of good answers.
    pub(super) codes: &'static [u16],
    /// Strategic merge patches are understood.
    pub(super) strategic: bool,
}

/// How a verb looks on the wire.
struct Verb {
    name: &'static str,
    method: &'static str,
    action: &'static str,
    /// First word of operation ids.
    word: &'static str,
    /// What stands between group and resource there.
    infix: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    body: Content,
    answer: Content,
    codes: &'static [u16],
}

#[rustfmt::skip]
const COLLECTION: &[Verb] = &[
    Verb { name: "list", method: "get", action: "list", word: "list", infix: "", summary: "list or watch objects of kind", parameters: LIST, body: Content::None, answer: Content::List, codes: &[200] },
    Verb { name: "create", method: "post", action: "post", word: "create", infix: "", summary: "create a", parameters: WRITE, body: Content::Object, answer: Content::Object, codes: &[200, 201, 202] },
    Verb { name: "deletecollection", method: "delete", action: "deletecollection", word: "delete", infix: "Collection", summary: "delete collection of", parameters: DELETE_MANY, body: Content::DeleteOptions, answer: Content::Status, codes: &[200] },
];

#[rustfmt::skip]
const OBJECT: &[Verb] = &[
    Verb { name: "get", method: "get", action: "get", word: "read", infix: "", summary: "read the specified", parameters: READ, body: Content::None, answer: Content::Object, codes: &[200] },
    Verb { name: "update", method: "put", action: "put", word: "replace", infix: "", summary: "replace the specified", parameters: WRITE, body: Content::Object, answer: Content::Object, codes: &[200, 201] },
    Verb { name: "patch", method: "patch", action: "patch", word: "patch", infix: "", summary: "partially update the specified", parameters: APPLY, body: Content::Patch, answer: Content::Object, codes: &[200, 201] },
    Verb { name: "delete", method: "delete", action: "delete", word: "delete", infix: "", summary: "delete a", parameters: DELETE, body: Content::DeleteOptions, answer: Content::Status, codes: &[200, 202] },
];

/// Subresources that are posted to.
#[rustfmt::skip]
const POSTED: &[Verb] = &[
    Verb { name: "create", method: "post", action: "post", word: "create", infix: "", summary: "create", parameters: WRITE, body: Content::Object, answer: Content::Object, codes: &[200, 201, 202] },
];

/// The old paths of watches, of one object and of all.
#[rustfmt::skip]
const WATCHES: [Verb; 2] = [
    Verb { name: "watch", method: "get", action: "watch", word: "watch", infix: "", summary: "watch changes to an object of kind", parameters: LIST, body: Content::None, answer: Content::Event, codes: &[200] },
    Verb { name: "watch", method: "get", action: "watchlist", word: "watch", infix: "", summary: "watch individual changes to a list of", parameters: LIST, body: Content::None, answer: Content::Event, codes: &[200] },
];

/// Every operation of a resource in one version. Those of one path stand together.
pub(super) fn operations(endpoint: &Endpoint) -> Vec<Operation> {
    let definition = endpoint.definition();
    let root = match definition.group.as_ref() {
        "" => format!("/api/{}", endpoint.version().name),
        group => format!("/apis/{group}/{}", endpoint.version().name),
    };
    let namespaced = endpoint.resource.is_namespaced();
    let scope = if namespaced { "/namespaces/{namespace}" } else { "" };
    let plural = &definition.plural;
    let (collection, object) = (format!("{scope}/{plural}"), format!("{scope}/{plural}/{{name}}"));
    let mut operations = Vec::new();
    let has = |verb: &str| definition.verbs.is_empty() || definition.verbs.iter().any(|known| known == verb);
    let own = Names { endpoint, kind: endpoint.kind(), namespaced, suffix: String::new(), of: "" };
    let everywhere = Names { suffix: "ForAllNamespaces".to_owned(), namespaced: false, ..own.clone() };
    if namespaced && has("list") {
        operations.push(everywhere.operation(&format!("{root}/{plural}"), &COLLECTION[0]));
    }
    let path = format!("{root}{collection}");
    operations.extend(COLLECTION.iter().filter(|verb| has(verb.name)).map(|verb| own.operation(&path, verb)));
    let path = format!("{root}{object}");
    operations.extend(OBJECT.iter().filter(|verb| has(verb.name)).map(|verb| own.operation(&path, verb)));
    for subresource in endpoint.subresources() {
        let path = format!("{path}/{}", subresource.name);
        if let Some(parameters) = of_connection(&subresource.name) {
            operations.extend(own.connections(&path, &subresource.name, &subresource.verbs, parameters));
            continue;
        }
        let kind = subresource.kind.clone().unwrap_or_else(|| endpoint.kind());
        let names = Names { suffix: camel(&subresource.name), kind, of: &subresource.name, ..own.clone() };
        let verbs = OBJECT.iter().chain(POSTED).filter(|verb| subresource.verbs.iter().any(|known| known == verb.name));
        operations.extend(verbs.map(|verb| names.operation(&path, verb)));
    }
    // What serves custom resources never had these.
    if has("watch") && !endpoint.resource.is_custom() {
        let [one, many] = &WATCHES;
        if namespaced {
            let names = Names { suffix: "ListForAllNamespaces".to_owned(), ..everywhere };
            operations.push(names.operation(&format!("{root}/watch/{plural}"), many));
        }
        let list = Names { suffix: "List".to_owned(), ..own.clone() };
        operations.push(list.operation(&format!("{root}/watch{collection}"), many));
        operations.push(own.operation(&format!("{root}/watch{object}"), one));
    }
    operations
}

/// What the names of operations are made of.
#[derive(Clone)]
struct Names<'a> {
    endpoint: &'a Endpoint,
    kind: GroupVersionKind,
    namespaced: bool,
    suffix: String,
    /// The subresource, if it is about one.
    of: &'a str,
}

impl Names<'_> {
    fn operation(&self, path: &str, verb: &Verb) -> Operation {
        let definition = self.endpoint.definition();
        let kind = definition.kind.as_ref();
        let summary = match (verb.action, self.of, verb.summary.strip_suffix(" the specified")) {
            ("watch", ..) => format!(
                "{} {kind}. deprecated: use the 'watch' parameter with a list operation instead, filtered to a single item \
                 with the 'fieldSelector' parameter.",
                verb.summary
            ),
            ("watchlist", ..) => {
                format!("{} {kind}. deprecated: use the 'watch' parameter with a list operation instead.", verb.summary)
            }
            ("list", ..) if !definition.verbs.is_empty() && !definition.verbs.iter().any(|known| known == "watch") => {
                format!("list objects of kind {kind}")
            }
            (_, "", _) => format!("{} {kind}", verb.summary),
            (_, of, Some(verb)) => format!("{verb} {of} of the specified {kind}"),
            (_, of, None) => format!("{} {of} of a {kind}", verb.summary),
        };
        let answer = match verb.answer {
            Content::Status if verb.name == "delete" && definition.delete_returns_object => Content::Object,
            other => other,
        };
        Operation {
            path: path.to_owned(),
            method: verb.method,
            action: verb.action,
            id: self.id(verb.word, verb.infix),
            summary,
            kind: self.kind.clone(),
            parameters: verb.parameters,
            body: verb.body,
            answer,
            codes: verb.codes,
            strategic: !self.endpoint.resource.is_custom(),
        }
    }

    fn id(&self, word: &str, infix: &str) -> String {
        let definition = self.endpoint.definition();
        let group = definition.group.trim_end_matches(".k8s.io");
        let group = if group.is_empty() { "core" } else { group };
        format!(
            "{word}{}{}{infix}{}{}{}",
            camel(group),
            camel(&self.endpoint.version().name),
            if self.namespaced { "Namespaced" } else { "" },
            definition.kind,
            self.suffix,
        )
    }

    /// The operations of a subresource that is a connection to something, or its log.
    fn connections(
        &self,
        path: &str,
        subresource: &str,
        verbs: &[api::definition::Text],
        parameters: &'static [Parameter],
    ) -> Vec<Operation> {
        let kind = &self.endpoint.definition().kind;
        let is_proxy = subresource == "proxy";
        let one = |path: &str, method: &'static str, suffix: String| {
            let names = Names { suffix, ..self.clone() };
            let log = subresource == "log";
            let options = match subresource {
                "portforward" => "PortForward".to_owned(),
                other => camel(other),
            };
            Operation {
                path: path.to_owned(),
                method,
                action: if log { "get" } else { "connect" },
                id: if log { names.id("read", "") } else { names.id("connect", &camel(method)) },
                summary: match log {
                    true => format!("read log of the specified {kind}"),
                    false => format!("connect {} requests to {subresource} of {kind}", method.to_uppercase()),
                },
                kind: match log {
                    true => self.endpoint.kind(),
                    false => GroupVersionKind::new("", "v1", format!("{kind}{options}Options")),
                },
                parameters,
                body: Content::None,
                answer: if log { Content::Text } else { Content::Stream },
                codes: &[200],
                strategic: false,
            }
        };
        let methods = [("get", "get"), ("update", "put"), ("create", "post"), ("delete", "delete"), ("patch", "patch")];
        let mut methods: Vec<&'static str> = methods
            .into_iter()
            .filter(|(verb, _)| verbs.iter().any(|known| known == verb))
            .map(|(_, method)| method)
            .collect();
        if is_proxy {
            methods.extend(["options", "head"]);
        }
        let suffix = camel(subresource);
        let mut operations: Vec<_> = methods.iter().map(|method| one(path, method, suffix.clone())).collect();
        if is_proxy {
            let (path, suffix) = (format!("{path}/{{path}}"), format!("{suffix}WithPath"));
            operations.extend(methods.iter().map(|method| one(&path, method, suffix.clone())));
        }
        operations
    }
}

/// `rbac.authorization` as `RbacAuthorization`.
pub(super) fn camel(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(|character: char| !character.is_ascii_alphanumeric()) {
        let mut characters = word.chars();
        out.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(characters.as_str());
    }
    out
}

/// The tag of a group: `core`, `apps`, `rbacAuthorization`.
pub(super) fn group_tag(group: &str) -> String {
    let words = camel(group.trim_end_matches(".k8s.io"));
    let mut characters = words.chars();
    match characters.next() {
        Some(first) => first.to_ascii_lowercase().to_string() + characters.as_str(),
        None => "core".to_owned(),
    }
}
