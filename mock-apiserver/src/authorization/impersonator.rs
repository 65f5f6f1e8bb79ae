//! Who may act as whom: the constrained ways of KEP-5284, of which each also asks what is done, and the one that was there
//! before them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use machinery::{
    field::{self, Path, quote},
    names,
    status::Status,
};

use super::{Action, Authorizer, Decision, On};
use crate::{
    authentication::{AUTHENTICATED, Impersonation, MASTERS, User, split_service_account},
    registry::Registry,
};

/// The API group in which users and what is known of them may be impersonated.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// What the user name of a kubelet begins with; the name of its node follows.
const NODE_PREFIX: &str = "system:node:";

/// From so many groups or extras on it is asked first whether all may be had.
const MANY: usize = 4;

/// Of so many users it is remembered in which way they acted as others.
const REMEMBERED_MAX: usize = 10_000;

/// A way to act as somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A pod, as the node that it runs on.
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    /// Anybody who is neither.
    UserInfo,
    /// Whatever is done.
    Unconstrained,
}

/// In the order in which they are tried.
const WAYS: [Way; 5] =
    [Way::AssociatedNode, Way::ArbitraryNode, Way::ServiceAccount, Way::UserInfo, Way::Unconstrained];

/// Somebody as whom a request acts.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    pub(crate) user: Arc<User>,
    /// The verb that allowed it, for one of the constrained ways.
    pub(crate) constraint: Option<&'static str>,
}

impl Acting {
    /// As the one who asks.
    pub(crate) fn oneself(user: Arc<User>) -> Self {
        Self { user, constraint: None }
    }
}

/// Decides who may act as whom.
#[derive(Debug, Default)]
pub(crate) struct Impersonator {
    is_constrained: bool,
    /// The way in which a user acted last; it is tried first, so that an old role costs what it always did.
    last: Mutex<HashMap<String, Way>>,
}

impl Impersonator {
    /// `is_constrained`: the constrained ways are tried, too.
    pub(crate) fn new(is_constrained: bool) -> Self {
        Self { is_constrained, last: Mutex::default() }
    }

    /// Whom a request acts as that does something, if its user may.
    ///
    /// # Errors
    /// 403 for the way that was tried first.
    pub(crate) async fn permit(
        &self,
        (authorizer, registry): (&Authorizer, &Registry),
        requestor: &User,
        asked: Impersonation,
        action: &Action<'_>,
    ) -> Result<Acting, Status> {
        let remembered = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = remembered().get(&requestor.name).copied();
        let others = WAYS.into_iter().filter(|way| Some(*way) != last);
        let ways = last.into_iter().chain(others).filter(|way| self.is_constrained || *way == Way::Unconstrained);
        let mut first = None;
        for way in ways.filter(|way| way.suits(&asked, requestor)) {
            match (Attempt { authorizer, registry, requestor, way }).check(&asked, action).await {
                Err(status) => first = first.or(Some(status)),
                Ok(()) => {
                    if last != Some(way) {
                        let mut remembered = remembered();
                        if remembered.len() >= REMEMBERED_MAX {
                            remembered.clear();
                        }
                        remembered.insert(requestor.name.clone(), way);
                    }
                    let user = Arc::new(way.user(asked));
                    return Ok(Acting { user, constraint: way.constraint() });
                }
            }
        }
        Err(first.unwrap_or_else(|| Status::internal("all impersonation modes failed")))
    }
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::AssociatedNode => "associated-node",
            Self::ArbitraryNode => "arbitrary-node",
            Self::ServiceAccount => "serviceaccount",
            Self::UserInfo => "user-info",
            Self::Unconstrained => "",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::AssociatedNode => "impersonate:associated-node",
            Self::ArbitraryNode => "impersonate:arbitrary-node",
            Self::ServiceAccount => "impersonate:serviceaccount",
            Self::UserInfo => "impersonate:user-info",
            Self::Unconstrained => "impersonate",
        }
    }

    fn constraint(self) -> Option<&'static str> {
        (self != Self::Unconstrained).then(|| self.verb())
    }

    /// Whether this is how to act as that one.
    fn suits(self, asked: &Impersonation, requestor: &User) -> bool {
        let (node, account) = (node(&asked.user), split_service_account(&asked.user));
        match self {
            Self::AssociatedNode => asked.is_name_only() && node.is_some() && requestor.bound_node() == node,
            Self::ArbitraryNode => asked.is_name_only() && node.is_some(),
            Self::ServiceAccount => asked.is_name_only() && account.is_some(),
            Self::UserInfo => node.is_none() && account.is_none(),
            Self::Unconstrained => true,
        }
    }

    /// Whom the request acts as.
    fn user(self, asked: Impersonation) -> User {
        match self {
            Self::AssociatedNode | Self::ArbitraryNode => User::new(&asked.user, &["system:nodes", AUTHENTICATED]),
            Self::ServiceAccount | Self::UserInfo | Self::Unconstrained => asked.user(),
        }
    }
}

/// The name of the node whose kubelet has this name.
fn node(user: &str) -> Option<&str> {
    user.strip_prefix(NODE_PREFIX).filter(|name| names::dns1123_subdomain_errors(name).is_empty())
}

/// One way, tried by one user.
struct Attempt<'a> {
    authorizer: &'a Authorizer,
    registry: &'a Registry,
    requestor: &'a User,
    way: Way,
}

impl Attempt<'_> {
    /// 403 for the first thing that must be allowed and is not.
    async fn check(&self, asked: &Impersonation, action: &Action<'_>) -> Result<(), Status> {
        let is_constrained = self.way != Way::Unconstrained;
        if is_constrained {
            let verb = format!("impersonate-on:{}:{}", self.way.name(), action.verb);
            self.may(&Action { verb: &verb, ..*action }).await?;
        }
        let group = if is_constrained { AUTHENTICATION } else { "" };
        self.may(&self.on_user(group, &asked.user)).await?;
        if !asked.uid.is_empty() {
            self.may(&self.on(AUTHENTICATION, "uids", "", &asked.uid)).await?;
        }
        self.check_groups(group, &asked.groups).await?;
        self.check_extra(asked).await
    }

    /// Acting as somebody of that name.
    fn on_user<'n>(&self, group: &'n str, user: &'n str) -> Action<'n> {
        let verb = self.way.verb();
        match (split_service_account(user), node(user)) {
            (Some((namespace, name)), _) => Action::on(verb, group, "serviceaccounts", namespace, name),
            // What is allowed for one's own node is so whichever node that is.
            (None, Some(_)) if self.way == Way::AssociatedNode => Action::on(verb, group, "nodes", "", "*"),
            (None, Some(name)) if self.way != Way::Unconstrained => Action::on(verb, group, "nodes", "", name),
            _ => Action::on(verb, group, "users", "", user),
        }
    }

    async fn check_groups(&self, group: &str, groups: &[String]) -> Result<(), Status> {
        if self.way != Way::Unconstrained {
            let never = |name: &str, why: &str| {
                self.on(group, "groups", "", name).forbidden(self.requestor, &Decision::unknown(why))
            };
            if groups.iter().any(String::is_empty) {
                return Err(never("", "impersonating the empty string group is not allowed"));
            }
            if groups.iter().any(|name| name == MASTERS) {
                return Err(never(MASTERS, "impersonating the system:masters group is not allowed"));
            }
            if groups.len() >= MANY && self.may(&self.on(group, "groups", "", "*")).await.is_ok() {
                return Ok(());
            }
        }
        for name in groups {
            self.may(&self.on(group, "groups", "", name)).await?;
        }
        Ok(())
    }

    async fn check_extra(&self, asked: &Impersonation) -> Result<(), Status> {
        if self.way != Way::Unconstrained {
            if let Some(why) = asked.extra.iter().find_map(|(key, values)| extra_error(key, values)) {
                let action = self.on(AUTHENTICATION, "userextras", "", "");
                return Err(action.forbidden(self.requestor, &Decision::unknown(why)));
            }
            let values: usize = asked.extra.values().map(Vec::len).sum();
            if values >= MANY && self.may(&self.on(AUTHENTICATION, "userextras", "*", "*")).await.is_ok() {
                return Ok(());
            }
        }
        for (key, values) in &asked.extra {
            for value in values {
                self.may(&self.on(AUTHENTICATION, "userextras", key, value)).await?;
            }
        }
        Ok(())
    }

    fn on<'n>(&self, group: &'n str, resource: &'n str, subresource: &'n str, name: &'n str) -> Action<'n> {
        Action::to(self.way.verb(), On::Resource { group, resource, subresource, namespace: "", name })
    }

    async fn may(&self, action: &Action<'_>) -> Result<(), Status> {
        let decision = self.authorizer.decide_now(self.registry, self.requestor, action).await;
        if decision.is_allowed() { Ok(()) } else { Err(action.forbidden(self.requestor, &decision)) }
    }
}

/// Why no constrained way takes an extra.
fn extra_error(key: &str, values: &[String]) -> Option<String> {
    if key.is_empty() {
        return Some("impersonating the empty string key in extra is not allowed".to_owned());
    }
    let path = Path::new("extra").child("key");
    let invalid = |value: &str, why: &str| {
        let error = field::Error::invalid(&path, &value.into(), why);
        Some(format!("impersonating an invalid key in extra is not allowed: {error}"))
    };
    match key.split_once('/').filter(|(domain, path)| !domain.is_empty() && !path.is_empty()) {
        None => return invalid(key, "must be a domain-prefixed path (such as \"acme.io/foo\")"),
        Some((domain, _)) => {
            if let [why, ..] = names::dns1123_subdomain_errors(domain).as_slice() {
                return invalid(domain, why);
            }
        }
    }
    if key.chars().any(char::is_uppercase) {
        return Some(format!("impersonating a non-lowercase key in extra is not allowed: {}", quote(key)));
    }
    values
        .iter()
        .any(String::is_empty)
        .then(|| "impersonating the empty string value in extra is not allowed".to_owned())
}
