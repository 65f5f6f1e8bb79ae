//! `Action`: what somebody wants to do, in the words of authorization.

use http::Method;
use machinery::{
    field::quote,
    names::{self, GroupResource},
    selector::{field, label},
    status::Status,
};

use super::Decision;
use crate::{authentication::User, request::RequestInfo};

/// Something that somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action<'a> {
    /// What: `get`, `list`, `create`, `impersonate` …
    pub(crate) verb: &'a str,
    /// To what.
    pub(crate) on: On<'a>,
    /// To which of them.
    pub(crate) only: Restriction<'a>,
}

/// The selectors of a list, a watch or the delete of a collection, for authorizers that look at them (KEP-4601).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restriction<'a> {
    pub(crate) fields: &'a [field::Term],
    pub(crate) labels: &'a [label::Requirement],
}

impl Restriction<'_> {
    /// Whether a field has that one value.
    pub(super) fn has(&self, field: &str, value: &str) -> bool {
        self.fields.iter().any(|term| term.equal && term.field == field && term.value == value)
    }
}

/// What something is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On<'a> {
    /// A resource, or one object of it.
    Resource {
        /// API group, empty for core.
        group: &'a str,
        /// Plural name.
        resource: &'a str,
        /// Empty for the object itself.
        subresource: &'a str,
        /// Empty for cluster-scoped resources, and for all namespaces.
        namespace: &'a str,
        /// Empty for all of them.
        name: &'a str,
    },
    /// A path that is no resource.
    Path(&'a str),
}

impl<'a> Action<'a> {
    /// An action on a resource itself.
    pub(crate) fn on(verb: &'a str, group: &'a str, resource: &'a str, namespace: &'a str, name: &'a str) -> Self {
        Self::to(verb, On::Resource { group, resource, subresource: "", namespace, name })
    }

    /// An action on something, whichever of them.
    pub(crate) fn to(verb: &'a str, on: On<'a>) -> Self {
        Self { verb, on, only: Restriction::default() }
    }

    /// The same, restricted.
    pub(crate) fn restricted(self, only: Restriction<'a>) -> Self {
        Self { only, ..self }
    }

    /// What a request to a path that is no resource does.
    pub(crate) fn on_path(method: &'a Method, path: &'a str) -> Self {
        Self::to(lower_case(method), On::Path(path))
    }

    /// What a request to a resource does.
    pub(crate) fn of_request(method: &Method, info: &'a RequestInfo, name: &'a str, watch: bool) -> Self {
        let is_collection = info.name.is_empty();
        let verb = match *method {
            Method::GET | Method::HEAD if info.watch || (is_collection && watch) => "watch",
            Method::GET | Method::HEAD if is_collection => "list",
            Method::GET | Method::HEAD => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if is_collection => "deletecollection",
            Method::DELETE => "delete",
            _ => "",
        };
        // A namespace is in itself: whoever may read what is in it may be allowed to read it too.
        let is_namespace = info.group.is_empty() && info.resource == "namespaces" && !is_collection;
        let namespace = if is_namespace { &info.name } else { &info.namespace };
        let RequestInfo { group, resource, subresource, .. } = info;
        Self::to(verb, On::Resource { group, resource, subresource, namespace, name })
    }

    /// 403 in upstream's words.
    pub(crate) fn forbidden(&self, user: &User, decision: &Decision) -> Status {
        let who = quote(&user.name);
        let mut why = match self.on {
            On::Path(path) => format!("User {who} cannot {} path {}", self.verb, quote(path)),
            On::Resource { group, resource, subresource, namespace, .. } => {
                let slash = if subresource.is_empty() { "" } else { "/" };
                let place = match namespace {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace {}", quote(namespace)),
                };
                format!(
                    "User {who} cannot {} resource \"{resource}{slash}{subresource}\" in API group {} {place}",
                    self.verb,
                    quote(group)
                )
            }
        };
        if !decision.reason.is_empty() {
            why.push_str(": ");
            why.push_str(&decision.reason);
        }
        match self.on {
            On::Path(_) => Status::forbidden(&GroupResource::new("", ""), "", &why),
            On::Resource { group, resource, name, .. } => {
                Status::forbidden(&GroupResource::new(group, resource), name, &why)
            }
        }
    }
}

/// The name that a list or a watch of a collection is restricted to, which roles may name.
pub(crate) fn selected_name(selector: &field::Selector) -> Option<String> {
    let name = selector.exact("metadata.name")?;
    names::path_segment_errors(name).is_empty().then(|| name.to_owned())
}

fn lower_case(method: &Method) -> &str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => method.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Location, parse_path};

    fn message(method: Method, path: &str) -> String {
        let user = User::new("jane", &[]);
        let denied = Decision::unknown("");
        match parse_path(path) {
            Some(Location::Resource(info)) => {
                Action::of_request(&method, &info, &info.name, false).forbidden(&user, &denied).message
            }
            _ => Action::on_path(&method, path).forbidden(&user, &denied).message,
        }
    }

    #[test]
    fn a_refusal_reads_as_upstream() {
        for (method, path, expected) in [
            (
                Method::GET,
                "/api/v1/namespaces/a/pods",
                "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"a\"",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/pods/p/log",
                "pods \"p\" is forbidden: User \"jane\" cannot get resource \"pods/log\" in API group \"\" in the \
                 namespace \"a\"",
            ),
            (
                Method::DELETE,
                "/apis/apps/v1/namespaces/a/deployments",
                "deployments.apps is forbidden: User \"jane\" cannot deletecollection resource \"deployments\" in API \
                 group \"apps\" in the namespace \"a\"",
            ),
            (
                Method::GET,
                "/api/v1/nodes",
                "nodes is forbidden: User \"jane\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
            ),
            (
                Method::PATCH,
                "/api/v1/namespaces/a",
                "namespaces \"a\" is forbidden: User \"jane\" cannot patch resource \"namespaces\" in API group \"\" in \
                 the namespace \"a\"",
            ),
            (Method::GET, "/metrics", "forbidden: User \"jane\" cannot get path \"/metrics\""),
        ] {
            assert_eq!(message(method, path), expected, "{path}");
        }
    }

    #[test]
    fn a_reason_follows_the_refusal() {
        let refused = Decision::unknown("Everything is forbidden.");
        let status = Action::on("list", "", "nodes", "", "").forbidden(&User::new("j", &[]), &refused);
        assert!(status.message.ends_with("at the cluster scope: Everything is forbidden."), "{}", status.message);
    }

    #[test]
    fn a_list_of_one_name_is_about_that_name() {
        for (text, expected) in [
            ("metadata.name=x", Some("x")),
            ("metadata.name=x,spec.nodeName=n", Some("x")),
            ("metadata.name!=x", None),
            ("metadata.name=..", None),
            ("", None),
        ] {
            let selector = field::Selector::parse(text).expect("a selector");
            assert_eq!(selected_name(&selector).as_deref(), expected, "{text}");
        }
    }
}
