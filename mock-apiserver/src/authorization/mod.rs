//! What a user may do: modes in the order in which the operator names them, and RBAC, evaluated from the objects in storage.

mod action;
mod aggregation;
mod bindings;
mod bootstrap;
mod escalation;
mod mode;
mod node;
mod rbac;
mod rule;

use std::sync::Arc;

pub(crate) use action::{Action, On, selected_name};
pub(crate) use aggregation::ClusterRoleAggregation;
pub(crate) use bootstrap::create_roles;
pub(crate) use escalation::GrantAdmission;
pub use mode::Mode;
pub(crate) use rbac::{Rbac, Rules};

use crate::{
    authentication::{MASTERS, User},
    registry::Registry,
};

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Somebody allows it; why, where that is known.
    Allowed(String),
    /// Nobody allows it; what is to be said about that, if anything.
    Unknown(String),
}

impl Decision {
    /// True for a yes.
    pub(crate) fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

/// Decides what users may do.
#[derive(Debug)]
pub(crate) struct Authorizer {
    modes: Vec<Mode>,
    rbac: Rbac,
}

impl Authorizer {
    /// An authorizer that asks these modes in turn.
    pub(crate) fn new(modes: &[Mode]) -> Arc<Self> {
        Arc::new(Self { modes: modes.to_vec(), rbac: Rbac::default() })
    }

    /// True when everything is allowed, so that nobody needs to ask.
    pub(crate) fn allows_everything(&self) -> bool {
        self.modes.first() == Some(&Mode::AlwaysAllow)
    }

    /// True when every mode allows everything.
    pub(crate) fn is_always_allow(&self) -> bool {
        self.modes.iter().all(|mode| *mode == Mode::AlwaysAllow)
    }

    /// True when RBAC has a say.
    pub(crate) fn has_rbac(&self) -> bool {
        self.modes.contains(&Mode::Rbac)
    }

    /// Whether a user may do something: the first mode that allows it decides.
    pub(crate) fn decide(&self, registry: &Registry, user: &User, action: &Action<'_>) -> Decision {
        if user.is_in(MASTERS) {
            return Decision::Allowed(String::new());
        }
        let mut said = Vec::new();
        for mode in &self.modes {
            let decision = match mode {
                Mode::AlwaysAllow => Decision::Allowed(String::new()),
                Mode::AlwaysDeny => Decision::Unknown("Everything is forbidden.".to_owned()),
                Mode::Rbac => self.rbac.decide(registry, user, action),
                Mode::Node => node::decide(registry, user, action),
            };
            match decision {
                Decision::Unknown(reason) if reason.is_empty() => {}
                Decision::Unknown(reason) => said.push(reason),
                allowed @ Decision::Allowed(_) => return allowed,
            }
        }
        Decision::Unknown(said.join("\n"))
    }

    /// Everything a user may do in a namespace, as far as it can be listed.
    pub(crate) fn rules(&self, registry: &Registry, user: &User, namespace: &str) -> Rules {
        if user.is_in(MASTERS) {
            return Rules::everything();
        }
        let mut rules = Rules::default();
        for mode in &self.modes {
            match mode {
                Mode::AlwaysAllow => rules.extend(Rules::everything()),
                Mode::AlwaysDeny => {}
                Mode::Rbac => rules.extend(self.rbac.rules(registry, user, namespace)),
                Mode::Node if node::node_of(user).is_some() => {
                    rules.incomplete("node authorizer does not support user rule resolution");
                }
                Mode::Node => {}
            }
        }
        rules
    }

    /// The rules that RBAC's objects give a user in a namespace, whatever the modes are.
    pub(crate) fn granted(&self, registry: &Registry, user: &User, namespace: &str) -> Rules {
        self.rbac.rules(registry, user, namespace)
    }
}
