//! Impersonation: headers by which a user who may do so acts as somebody else.

use std::collections::BTreeMap;

use http::HeaderMap;
use machinery::field::quote;
use percent_encoding::percent_decode_str;

use super::user::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User, split_service_account};
use crate::authorization::{Action, On};

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// The API group in which uids and extras may be impersonated.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Whom a request wants to act as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Impersonation {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    /// What the headers ask for, if they do.
    ///
    /// # Errors
    /// They name groups, a uid or extras, and no user.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let mut asked = Self { user: text(USER), uid: text(UID), ..Self::default() };
        asked.groups =
            headers.get_all(GROUP).iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
        for (name, value) in headers {
            let Some(key) = name.as_str().strip_prefix(EXTRA_PREFIX) else { continue };
            let key = percent_decode_str(key).decode_utf8().map_or_else(|_| key.to_owned(), |key| key.to_lowercase());
            if let Ok(value) = value.to_str() {
                asked.extra.entry(key).or_default().push(value.to_owned());
            }
        }
        if asked == Self::default() {
            return Ok(None);
        }
        if asked.user.is_empty() {
            let mut parts: Vec<String> = asked.groups.iter().map(|group| format!("group {}", quote(group))).collect();
            parts.extend(asked.extra.keys().map(|key| format!("extra {}", quote(key))));
            parts.extend((!asked.uid.is_empty()).then(|| format!("uid {}", quote(&asked.uid))));
            return Err(format!("requested {} without impersonating a user", parts.join(", ")));
        }
        Ok(Some(asked))
    }

    /// Everything that the impersonator must be allowed to do.
    pub(crate) fn actions(&self) -> Vec<Action<'_>> {
        let on = |group, resource, subresource, namespace, name| Action {
            verb: "impersonate",
            on: On::Resource { group, resource, subresource, namespace, name },
        };
        let mut actions = vec![match split_service_account(&self.user) {
            Some((namespace, name)) => on("", "serviceaccounts", "", namespace, name),
            None => on("", "users", "", "", &self.user),
        }];
        actions.extend(self.groups.iter().map(|group| on("", "groups", "", "", group)));
        for (key, values) in &self.extra {
            actions.extend(values.iter().map(|value| on(AUTHENTICATION, "userextras", key, "", value)));
        }
        if !self.uid.is_empty() {
            actions.push(on(AUTHENTICATION, "uids", "", "", &self.uid));
        }
        actions
    }

    /// Whom the request acts as.
    pub(crate) fn user(self) -> User {
        let Self { user: name, uid, mut groups, extra } = self;
        if groups.is_empty()
            && let Some((namespace, account)) = split_service_account(&name)
        {
            groups = User::service_account(namespace, account).groups;
        }
        let says = groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED);
        if !says {
            groups.push(if name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED }.to_owned());
        }
        User { name, uid, groups, extra }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Result<Option<Impersonation>, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Impersonation::of(&map)
    }

    fn user(headers: &[(&'static str, &'static str)]) -> User {
        of(headers).expect("well formed").expect("an impersonation").user()
    }

    #[test]
    fn headers_name_whom_to_act_as() {
        assert_eq!(of(&[("accept", "*/*")]), Ok(None));
        assert_eq!(user(&[("impersonate-user", "jane")]), User::new("jane", &["system:authenticated"]));
        let jane = user(&[
            ("impersonate-user", "jane"),
            ("impersonate-group", "devs"),
            ("impersonate-group", "ops"),
            ("impersonate-uid", "7"),
            ("impersonate-extra-acme.com%2fproject", "x"),
            ("impersonate-extra-acme.com%2fproject", "y"),
        ]);
        assert_eq!(jane.groups, ["devs", "ops", "system:authenticated"]);
        assert_eq!((jane.uid.as_str(), &jane.extra["acme.com/project"]), ("7", &vec!["x".to_owned(), "y".to_owned()]));
        let robot = user(&[("impersonate-user", "system:serviceaccount:a:robot")]);
        assert_eq!(robot, User::service_account("a", "robot"));
        assert_eq!(user(&[("impersonate-user", "system:anonymous")]), User::anonymous());
        assert_eq!(
            of(&[("impersonate-group", "devs")]),
            Err("requested group \"devs\" without impersonating a user".to_owned())
        );
    }

    #[test]
    fn each_part_must_be_allowed() {
        let asked = of(&[
            ("impersonate-user", "system:serviceaccount:a:robot"),
            ("impersonate-group", "devs"),
            ("impersonate-extra-k", "v"),
            ("impersonate-uid", "7"),
        ]);
        let asked = asked.expect("well formed").expect("an impersonation");
        let told: Vec<String> = asked
            .actions()
            .iter()
            .map(|action| match action.on {
                On::Resource { group, resource, subresource, namespace, name } => {
                    format!("{group}|{resource}|{subresource}|{namespace}|{name}")
                }
                On::Path(path) => path.to_owned(),
            })
            .collect();
        assert_eq!(
            told,
            [
                "|serviceaccounts||a|robot",
                "|groups|||devs",
                "authentication.k8s.io|userextras|k||v",
                "authentication.k8s.io|uids|||7",
            ]
        );
    }
}
