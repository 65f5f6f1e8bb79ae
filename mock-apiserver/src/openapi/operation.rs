//! The operations of a served resource: paths, methods, parameters, bodies and answers, before any OpenAPI version.

use machinery::names::GroupVersionKind;

use crate::catalog::Endpoint;

/// One query parameter.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) type_: &'static str,
    pub(super) description: &'static str,
}

const fn text(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, type_: "string", description }
}

const fn flag(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, type_: "boolean", description }
}

const fn number(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, type_: "integer", description }
}

/// Parameters of every path.
pub(super) const COMMON: &[Parameter] = &[text("pretty", "Whether the answer is indented for people.")];

const LIST: &[Parameter] = &[
    flag("allowWatchBookmarks", "Whether a watch may contain events of type BOOKMARK."),
    text("continue", "The token of a previous page."),
    text("fieldSelector", "Restricts the answer to objects with these fields."),
    text("labelSelector", "Restricts the answer to objects with these labels."),
    number("limit", "The most objects of one page."),
    text("resourceVersion", "The revision that the answer must show at least, or exactly."),
    text("resourceVersionMatch", "How resourceVersion is meant: Exact or NotOlderThan."),
    flag("sendInitialEvents", "Whether a watch begins with all objects as they are."),
    number("timeoutSeconds", "How long a list or watch may take."),
    flag("watch", "Whether to stream changes in place of a list."),
];

const WRITE: &[Parameter] = &[
    text("dryRun", "All: do everything but store."),
    text("fieldManager", "The name of the one who makes the change."),
    text("fieldValidation", "What to do about unknown and duplicate fields: Ignore, Warn or Strict."),
];

const APPLY: &[Parameter] = &[
    text("dryRun", "All: do everything but store."),
    text("fieldManager", "The name of the one who makes the change; required for apply patches."),
    text("fieldValidation", "What to do about unknown and duplicate fields: Ignore, Warn or Strict."),
    flag("force", "Whether an apply patch takes over fields of other managers."),
];

const DELETE: &[Parameter] = &[
    text("dryRun", "All: do everything but store."),
    number("gracePeriodSeconds", "Seconds before the object is deleted."),
    flag("orphanDependents", "Deprecated: use propagationPolicy."),
    text("propagationPolicy", "What becomes of dependents: Orphan, Background or Foreground."),
];

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
    summary: &'static str,
    parameters: &'static [Parameter],
    body: Content,
    answer: Content,
}

#[rustfmt::skip]
const COLLECTION: &[Verb] = &[
    Verb { name: "list", method: "get", action: "list", word: "list", summary: "list or watch objects of kind", parameters: LIST, body: Content::None, answer: Content::List },
    Verb { name: "create", method: "post", action: "post", word: "create", summary: "create a", parameters: WRITE, body: Content::Object, answer: Content::Object },
    Verb { name: "deletecollection", method: "delete", action: "deletecollection", word: "deleteCollection", summary: "delete a collection of", parameters: LIST, body: Content::DeleteOptions, answer: Content::Status },
];

#[rustfmt::skip]
const OBJECT: &[Verb] = &[
    Verb { name: "get", method: "get", action: "get", word: "read", summary: "read the specified", parameters: &[], body: Content::None, answer: Content::Object },
    Verb { name: "update", method: "put", action: "put", word: "replace", summary: "replace the specified", parameters: WRITE, body: Content::Object, answer: Content::Object },
    Verb { name: "patch", method: "patch", action: "patch", word: "patch", summary: "partially update the specified", parameters: APPLY, body: Content::Patch, answer: Content::Object },
    Verb { name: "delete", method: "delete", action: "delete", word: "delete", summary: "delete a", parameters: DELETE, body: Content::DeleteOptions, answer: Content::Status },
];

/// Verbs of subresources that are posted to.
#[rustfmt::skip]
const POSTED: &[Verb] = &[
    Verb { name: "create", method: "post", action: "post", word: "create", summary: "create", parameters: WRITE, body: Content::Object, answer: Content::Object },
];

/// Subresources that are streams or text, not objects.
const CONNECTIONS: [&str; 5] = ["attach", "exec", "portforward", "proxy", "log"];

/// Every operation of a resource in one version.
pub(super) fn operations(endpoint: &Endpoint) -> Vec<Operation> {
    let definition = endpoint.definition();
    let root = match definition.group.as_ref() {
        "" => format!("/api/{}", endpoint.version().name),
        group => format!("/apis/{group}/{}", endpoint.version().name),
    };
    let namespaced = endpoint.resource.is_namespaced();
    let scope = if namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{root}{scope}/{}", definition.plural);
    let object = format!("{collection}/{{name}}");
    let mut operations = Vec::new();
    let has = |verb: &str| definition.verbs.is_empty() || definition.verbs.iter().any(|known| known == verb);
    let own = Names { endpoint, kind: endpoint.kind(), namespaced, suffix: String::new() };
    if namespaced && has("list") {
        let all = Names { suffix: "ForAllNamespaces".to_owned(), namespaced: false, ..own.clone() };
        operations.push(all.operation(&format!("{root}/{}", definition.plural), &COLLECTION[0]));
    }
    operations.extend(COLLECTION.iter().filter(|verb| has(verb.name)).map(|verb| own.operation(&collection, verb)));
    operations.extend(OBJECT.iter().filter(|verb| has(verb.name)).map(|verb| own.operation(&object, verb)));
    for subresource in &definition.subresources {
        let kind = subresource.kind.clone().unwrap_or_else(|| endpoint.kind());
        let names = Names { suffix: camel(&subresource.name), kind, ..own.clone() };
        let path = format!("{object}/{}", subresource.name);
        let verbs = OBJECT.iter().chain(POSTED).filter(|verb| subresource.verbs.iter().any(|known| known == verb.name));
        operations.extend(verbs.map(|verb| {
            let mut operation = names.operation(&path, verb);
            if CONNECTIONS.contains(&subresource.name.as_ref()) {
                operation.body = Content::None;
                operation.answer = Content::Text;
                if subresource.name != "log" {
                    operation.action = "connect";
                }
            }
            operation
        }));
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
}

impl Names<'_> {
    fn operation(&self, path: &str, verb: &Verb) -> Operation {
        let definition = self.endpoint.definition();
        let group = definition.group.trim_end_matches(".k8s.io");
        let group = if group.is_empty() { "core" } else { group };
        let id = format!(
            "{}{}{}{}{}{}",
            verb.word,
            camel(group),
            camel(&self.endpoint.version().name),
            if self.namespaced { "Namespaced" } else { "" },
            definition.kind,
            self.suffix,
        );
        Operation {
            path: path.to_owned(),
            method: verb.method,
            action: verb.action,
            id,
            summary: format!("{} {}", verb.summary, definition.kind),
            kind: self.kind.clone(),
            parameters: verb.parameters,
            body: verb.body,
            answer: verb.answer,
            strategic: !self.endpoint.resource.is_custom(),
        }
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
