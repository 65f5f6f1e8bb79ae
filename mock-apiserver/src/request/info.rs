//! `RequestInfo`: what a URL path names.

use percent_encoding::percent_decode_str;

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A resource, an object or a subresource below `/api` or `/apis`.
    Resource(RequestInfo),
    /// Anything else, by its decoded segments: discovery, OpenAPI, health, or nothing.
    Other(Vec<String>),
}

/// What a path below `/api/<version>` or `/apis/<group>/<version>` names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestInfo {
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// The namespace; empty for cluster-scoped resources and for requests across all namespaces.
    pub namespace: String,
    /// Plural resource name.
    pub resource: String,
    /// Name of the object; empty for the collection.
    pub name: String,
    /// The subresource; empty for the object itself.
    pub subresource: String,
    /// What follows the subresource (`proxy` has a path of its own).
    pub rest: Vec<String>,
    /// The old way to ask for a watch: `/api/v1/watch/…`.
    pub watch: bool,
}

/// Subresources of a namespace; every other third segment after `namespaces/<ns>/` is a resource in the namespace.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// Reads a path: it is percent-decoded, slashes are trimmed, and those that were encoded count as all others.
pub(crate) fn parse_path(path: &str) -> Option<Location> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let segments = path.trim_matches('/').split('/').filter(|segment| !segment.is_empty());
    let segments: Vec<String> = segments.map(str::to_owned).collect();
    let prefix = match segments.first().map(String::as_str) {
        Some("api") if segments.len() > 2 => 1,
        Some("apis") if segments.len() > 3 => 2,
        _ => return Some(Location::Other(segments)),
    };
    let mut segments = segments.into_iter().skip(1);
    let group = if prefix == 2 { segments.next()? } else { String::new() };
    let version = segments.next()?;
    Some(Location::Resource(parse_resource(group, version, segments.collect())))
}

fn parse_resource(group: String, version: String, mut segments: Vec<String>) -> RequestInfo {
    let mut info = RequestInfo { group, version, ..RequestInfo::default() };
    if segments.len() > 1 && segments[0] == "watch" {
        info.watch = true;
        segments.remove(0);
    }
    let in_namespace = segments.len() > 2
        && segments[0] == "namespaces"
        && !(segments.len() == 3 && NAMESPACE_SUBRESOURCES.contains(&segments[2].as_str()));
    let mut segments = segments.into_iter();
    if in_namespace {
        segments.next();
        info.namespace = segments.next().unwrap_or_default();
    }
    info.resource = segments.next().unwrap_or_default();
    info.name = segments.next().unwrap_or_default();
    info.subresource = segments.next().unwrap_or_default();
    info.rest = segments.collect();
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(path: &str) -> String {
        match parse_path(path) {
            Some(Location::Resource(info)) => format!(
                "{}|{}|{}|{}|{}|{}|{}{}",
                info.group,
                info.version,
                info.namespace,
                info.resource,
                info.name,
                info.subresource,
                info.rest.join("/"),
                if info.watch { " watch" } else { "" }
            ),
            Some(Location::Other(segments)) => segments.join(" "),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn paths_name_resources() {
        let cases = [
            ("/api/v1/pods", "|v1||pods|||"),
            ("/api/v1/namespaces/a/pods/", "|v1|a|pods|||"),
            ("/api/v1/namespaces/a/pods/p/log", "|v1|a|pods|p|log|"),
            ("/api/v1/namespaces/a", "|v1||namespaces|a||"),
            ("/api/v1/namespaces/a/status", "|v1||namespaces|a|status|"),
            ("/api/v1/namespaces/a/finalize", "|v1||namespaces|a|finalize|"),
            ("/api/v1/namespaces/a/status/x", "|v1|a|status|x||"),
            ("/apis/apps/v1/namespaces/a/deployments/d/scale", "apps|v1|a|deployments|d|scale|"),
            ("/apis/a.b/v1/watch/namespaces/n/foos/x", "a.b|v1|n|foos|x|| watch"),
            ("/api/v1/watch", "|v1||watch|||"),
            ("/api/v1/nodes/n/proxy/a/b", "|v1||nodes|n|proxy|a/b"),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%2Fb",
                "rbac.authorization.k8s.io|v1||clusterroles|system:a|b|",
            ),
            ("/api/v1", "api v1"),
            ("/apis/apps/v1/", "apis apps v1"),
            ("/", ""),
            ("/api/v1/pods/%ff", "none"),
        ];
        for (path, expected) in cases {
            assert_eq!(info(path), expected, "{path}");
        }
    }
}
