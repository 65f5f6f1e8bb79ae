//! `User`: who asks, as authentication found out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Members of this group may do everything, whatever the authorization says (upstream's `SystemPrivilegedGroup`).
pub(crate) const MASTERS: &str = "system:masters";

/// Everybody who has proven who they are.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";

/// Everybody who has not.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";

/// The name of everybody who has not.
pub(crate) const ANONYMOUS: &str = "system:anonymous";

/// What the user name of a service account begins with; its namespace and name follow.
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    /// The name.
    pub(crate) name: String,
    /// What tells users of one name apart; often empty.
    pub(crate) uid: String,
    /// The groups, in the order in which they were found.
    pub(crate) groups: Vec<String>,
    /// What else is known, by key.
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user of that name in these groups.
    pub(crate) fn new(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Self { name: name.to_owned(), groups, ..Self::default() }
    }

    /// Somebody who did not say who they are.
    pub(crate) fn anonymous() -> Self {
        Self::new(ANONYMOUS, &[UNAUTHENTICATED])
    }

    /// A service account, in the groups that every one is in.
    pub(crate) fn service_account(namespace: &str, name: &str) -> Self {
        let of_namespace = format!("system:serviceaccounts:{namespace}");
        Self::new(
            &format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
            &["system:serviceaccounts", &of_namespace, AUTHENTICATED],
        )
    }

    /// The same, in one more group unless it is in it already.
    #[must_use]
    pub(crate) fn in_group(mut self, group: &str) -> Self {
        if !self.is_in(group) {
            self.groups.push(group.to_owned());
        }
        self
    }

    /// Whether the user is in a group.
    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|known| known == group)
    }

    /// The node that the token of a service account is bound to, if it is one.
    pub(crate) fn bound_node(&self) -> Option<&str> {
        split_service_account(&self.name)?;
        match self.extra.get("authentication.kubernetes.io/node-name")?.as_slice() {
            [node] if machinery::names::dns1123_subdomain_errors(node).is_empty() => Some(node),
            _ => None,
        }
    }

    /// `UserInfo` of `authentication.k8s.io/v1`, without members that are empty.
    pub(crate) fn info(&self) -> Value {
        let mut info = Map::new();
        if !self.name.is_empty() {
            info.insert("username".to_owned(), self.name.as_str().into());
        }
        if !self.uid.is_empty() {
            info.insert("uid".to_owned(), self.uid.as_str().into());
        }
        if !self.groups.is_empty() {
            info.insert("groups".to_owned(), json!(self.groups));
        }
        if !self.extra.is_empty() {
            info.insert("extra".to_owned(), json!(self.extra));
        }
        Value::Object(info)
    }
}

/// Namespace and name in the user name of a service account.
pub(crate) fn split_service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    let fits = machinery::names::dns1123_label_errors(namespace).is_empty()
        && machinery::names::dns1123_subdomain_errors(name).is_empty();
    fits.then_some((namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_accounts_have_names_that_can_be_read_again() {
        let user = User::service_account("team", "robot");
        assert_eq!(split_service_account(&user.name), Some(("team", "robot")));
        assert!(user.is_in("system:serviceaccounts:team") && user.is_in(AUTHENTICATED));
        for other in ["system:serviceaccount:a", "system:serviceaccount::b", "system:serviceaccount:a:B", "jane"] {
            assert_eq!(split_service_account(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_empty_is_not_told() {
        assert_eq!(User::new("jane", &[]).info(), json!({"username": "jane"}));
        assert_eq!(User::default().info(), json!({}));
    }
}
