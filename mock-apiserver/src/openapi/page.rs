//! `Page`: a path that tells clients what there is instead of answering about objects, as `/apis` and `/version` do.

use api::{builtin, definition::SchemaDocument};

use super::operation::{camel, group_tag};
use crate::{catalog::Served, discovery};

/// One path, read by GET.
pub(super) struct Page {
    /// The key of its v3 document: `apis/apps`.
    pub(super) key: String,
    /// The operation's id: `getAppsAPIGroup`.
    pub(super) id: String,
    pub(super) description: &'static str,
    /// The operation's tag: `apps`.
    pub(super) tag: String,
    pub(super) answer: Answer,
}

/// What a page answers.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// A document of discovery.
    Discovery(&'static str),
    /// The version of the server.
    Version,
    /// Text.
    Text,
}

impl Answer {
    /// Its schema; text has none.
    pub(super) fn schema(self) -> Option<SchemaDocument> {
        match self {
            Self::Discovery(kind) => builtin::discovery_schema(kind),
            Self::Version => Some(builtin::version_info()),
            Self::Text => None,
        }
    }
}

impl Page {
    fn new(key: &str, id: &str, description: &'static str, tag: &str, answer: Answer) -> Self {
        Self { key: key.to_owned(), id: id.to_owned(), description, tag: tag.to_owned(), answer }
    }

    /// Its path, as upstream writes it.
    pub(super) fn path(&self) -> String {
        format!("/{}/", self.key)
    }

    /// The page of a group and version, which stands in one document with its resources.
    pub(super) fn of_version(key: &str) -> Option<Self> {
        let (group, version) = match key.split('/').collect::<Vec<_>>().as_slice() {
            ["api", version] => ("core", *version),
            ["apis", group, version] => (*group, *version),
            _ => return None,
        };
        let id = format!("get{}{}APIResources", camel(group.trim_end_matches(".k8s.io")), camel(version));
        let tag = format!("{}_{version}", group_tag(group));
        Some(Self::new(key, &id, "get available resources", &tag, Answer::Discovery("APIResourceList")))
    }
}

/// The pages that have a document of their own.
pub(super) fn pages(served: &Served) -> Vec<Page> {
    let keys = "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)";
    let configuration = "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'";
    let mut pages = vec![
        Page::new(
            ".well-known/openid-configuration",
            "getServiceAccountIssuerOpenIDConfiguration",
            configuration,
            "WellKnown",
            Answer::Text,
        ),
        Page::new("api", "getCoreAPIVersions", "get available API versions", "core", Answer::Discovery("APIVersions")),
        Page::new("apis", "getAPIVersions", "get available API versions", "apis", Answer::Discovery("APIGroupList")),
        Page::new("openid/v1/jwks", "getServiceAccountIssuerOpenIDKeyset", keys, "openid", Answer::Text),
        Page::new(
            "version",
            "getCodeVersion",
            "get the version information for this server",
            "version",
            Answer::Version,
        ),
    ];
    for group in discovery::group_names(served) {
        let id = format!("get{}APIGroup", camel(group.trim_end_matches(".k8s.io")));
        let answer = Answer::Discovery("APIGroup");
        let tag = group_tag(&group);
        pages.push(Page::new(&format!("apis/{group}"), &id, "get information of a group", &tag, answer));
    }
    pages
}
