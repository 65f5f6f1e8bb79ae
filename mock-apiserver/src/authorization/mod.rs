//! What a user may do: modes in the order in which the operator names them, and RBAC, evaluated from the objects in storage.

mod abac;
mod action;
mod aggregation;
mod bindings;
mod bootstrap;
mod config;
mod escalation;
mod impersonator;
mod mode;
mod node;
mod rbac;
mod rule;
mod webhook;

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;

pub use abac::AbacPolicy;
pub(crate) use action::{Action, On, Restriction, selected_name};
pub(crate) use aggregation::ClusterRoleAggregation;
pub(crate) use bindings::GROUP as RBAC_GROUP;
pub(crate) use bootstrap::DefaultRoles;
pub use config::AuthorizationConfig;
pub(crate) use escalation::GrantAdmission;
pub(crate) use impersonator::{Acting, Impersonator};
pub use mode::Mode;
pub(crate) use node::node_of;
pub(crate) use rbac::{Rbac, Rules};
pub use webhook::AccessWebhook;

use crate::{
    authentication::{MASTERS, User},
    config::Access,
    registry::Registry,
};

/// A duration as Go writes it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = machinery::duration::Duration::parse(text).map_err(|error| error.to_string())?;
    parsed.to_std().ok_or_else(|| "it is negative".to_owned())
}

/// What somebody says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Yes.
    Allowed,
    /// Others may decide; without any, no.
    Unknown,
    /// No, whatever others say.
    Denied,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    /// What is to be said about it, if anything.
    pub(crate) reason: String,
    /// Why somebody could not be asked; empty if all could.
    pub(crate) error: String,
}

impl Decision {
    /// A yes; why, where that is known.
    pub(crate) fn allowed(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Allowed, reason: reason.into(), error: String::new() }
    }

    /// Nothing that allows it.
    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, reason: reason.into(), error: String::new() }
    }

    /// A no.
    pub(crate) fn denied(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Denied, reason: reason.into(), error: String::new() }
    }

    /// What counts when the one who was to say it could not be asked.
    pub(crate) fn failed(verdict: Verdict, error: impl Into<String>) -> Self {
        Self { verdict, reason: String::new(), error: error.into() }
    }

    /// True for a yes.
    pub(crate) fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }
}

/// Decides what users may do.
#[derive(Debug)]
pub(crate) struct Authorizer {
    /// Who decides; a file may say it anew while the server runs.
    deciding: ArcSwap<AuthorizationConfig>,
    rbac: Rbac,
    abac: Arc<AbacPolicy>,
}

impl Authorizer {
    /// An authorizer that asks these modes in turn.
    pub(crate) fn new(access: &Access) -> Arc<Self> {
        let deciding = AuthorizationConfig { modes: access.authorization.clone(), webhooks: access.webhooks.clone() };
        Arc::new(Self { deciding: ArcSwap::from_pointee(deciding), rbac: Rbac::default(), abac: access.abac.clone() })
    }

    /// Reads again who decides. Only webhooks may come and go, as upstream has it.
    pub(crate) fn reload(&self, file: &Path) -> Result<(), String> {
        let config = AuthorizationConfig::read(file)?;
        let others = |config: &AuthorizationConfig| {
            let mut others: Vec<Mode> = config.modes.iter().copied().filter(|mode| *mode != Mode::Webhook).collect();
            others.sort_by_key(Mode::to_string);
            others
        };
        if others(&config) != others(&self.deciding.load()) {
            return Err("only authorizers of the type Webhook can be added or removed".to_owned());
        }
        self.deciding.store(Arc::new(config));
        Ok(())
    }

    /// True when everything is allowed, so that nobody needs to ask.
    pub(crate) fn allows_everything(&self) -> bool {
        self.deciding.load().modes.first() == Some(&Mode::AlwaysAllow)
    }

    /// True when every mode allows everything.
    pub(crate) fn is_always_allow(&self) -> bool {
        self.deciding.load().modes.iter().all(|mode| *mode == Mode::AlwaysAllow)
    }

    /// True when RBAC has a say.
    pub(crate) fn has_rbac(&self) -> bool {
        self.deciding.load().modes.contains(&Mode::Rbac)
    }

    /// Whether a user may do something: the first mode that allows or denies it decides. A webhook that has not said it lately
    /// is waited for by the thread.
    pub(crate) fn decide(&self, registry: &Registry, user: &User, action: &Action<'_>) -> Decision {
        let deciding = self.deciding.load();
        let mut webhooks = deciding.webhooks.iter();
        let mut hearing = Hearing::of(user);
        for mode in &deciding.modes {
            hearing.hear(|| match mode {
                Mode::Webhook => webhooks.next().map(|webhook| webhook.decide_blocking(user, action)),
                _ => Some(self.decide_in(*mode, registry, user, action)),
            });
        }
        hearing.reached()
    }

    /// The same, without keeping the thread.
    pub(crate) async fn decide_now(&self, registry: &Registry, user: &User, action: &Action<'_>) -> Decision {
        let deciding = self.deciding.load_full();
        if deciding.webhooks.is_empty() {
            return self.decide(registry, user, action);
        }
        let mut webhooks = deciding.webhooks.iter();
        let mut hearing = Hearing::of(user);
        for mode in deciding.modes.iter().copied() {
            if hearing.reached.is_some() {
                break;
            }
            let decision = match (mode, webhooks.as_slice()) {
                (Mode::Webhook, [webhook, ..]) => {
                    webhooks.next();
                    webhook.decide(user, action).await
                }
                _ => self.decide_in(mode, registry, user, action),
            };
            hearing.hear(|| Some(decision));
        }
        hearing.reached()
    }

    fn decide_in(&self, mode: Mode, registry: &Registry, user: &User, action: &Action<'_>) -> Decision {
        match mode {
            Mode::AlwaysAllow => Decision::allowed(""),
            Mode::AlwaysDeny => Decision::unknown("Everything is forbidden."),
            Mode::Rbac => self.rbac.decide(registry, user, action),
            Mode::Node => node::decide(registry, user, action),
            Mode::Abac => self.abac.decide(user, action),
            Mode::Webhook => Decision::unknown(""),
        }
    }

    /// Everything a user may do in a namespace, as far as it can be listed.
    pub(crate) fn rules(&self, registry: &Registry, user: &User, namespace: &str) -> Rules {
        let mut rules = Rules::default();
        for mode in &self.deciding.load().modes {
            match mode {
                Mode::AlwaysAllow => rules.extend(Rules::everything()),
                Mode::AlwaysDeny => {}
                Mode::Abac => rules.extend(self.abac.rules(user, namespace)),
                Mode::Webhook => rules.incomplete("webhook authorizer does not support user rule resolution"),
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

/// What came of asking the modes so far.
#[derive(Default)]
struct Hearing {
    reached: Option<Decision>,
    said: Vec<String>,
    errors: Vec<String>,
}

impl Hearing {
    /// Before anybody was asked about a user: some may do everything.
    fn of(user: &User) -> Self {
        let reached = user.is_in(MASTERS).then(|| Decision::allowed(""));
        Self { reached, ..Self::default() }
    }

    /// Asks one more, unless it is decided.
    fn hear(&mut self, ask: impl FnOnce() -> Option<Decision>) {
        if self.reached.is_some() {
            return;
        }
        match ask() {
            None => {}
            Some(Decision { verdict: Verdict::Unknown, reason, error }) => {
                self.said.extend(Some(reason).filter(|reason| !reason.is_empty()));
                self.errors.extend(Some(error).filter(|error| !error.is_empty()));
            }
            decided @ Some(_) => self.reached = decided,
        }
    }

    fn reached(self) -> Decision {
        let nobody = || Decision {
            verdict: Verdict::Unknown,
            reason: self.said.join("\n"),
            // As Go's aggregated errors read.
            error: match self.errors.as_slice() {
                [] => String::new(),
                [only] => only.clone(),
                several => format!("[{}]", several.join(", ")),
            },
        };
        self.reached.clone().unwrap_or_else(nobody)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_says_anew_which_webhooks_are_asked() {
        let directory = std::env::temp_dir().join(format!("mock-apiserver-authorizers-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory of ours");
        let file = directory.join("authorizers");
        let kubeconfig = json!({
            "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}], "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "a"}}],
        });
        std::fs::write(directory.join("kubeconfig"), kubeconfig.to_string()).expect("a file of ours");
        let write = |authorizers: serde_json::Value| {
            let document = json!({
                "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
                "authorizers": authorizers,
            });
            std::fs::write(&file, document.to_string()).expect("a file of ours");
        };
        let webhook = json!({"type": "Webhook", "name": "w", "webhook": {
            "timeout": "3s", "subjectAccessReviewVersion": "v1", "matchConditionSubjectAccessReviewVersion": "v1",
            "failurePolicy": "NoOpinion", "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "kubeconfig"},
        }});
        let access = Access { authorization: vec![Mode::Node, Mode::Rbac], ..Access::default() };
        let authorizer = Authorizer::new(&access);
        let modes = || authorizer.deciding.load().modes.clone();
        write(json!([webhook, {"type": "RBAC", "name": "r"}, {"type": "Node", "name": "n"}]));
        authorizer.reload(&file).expect("webhooks may come");
        assert_eq!(modes(), [Mode::Webhook, Mode::Rbac, Mode::Node]);
        for bad in [json!([{"type": "AlwaysAllow", "name": "a"}]), json!([]), json!([{"type": "RBAC", "name": "r"}])] {
            write(bad.clone());
            assert!(authorizer.reload(&file).is_err(), "{bad}");
            assert_eq!(modes(), [Mode::Webhook, Mode::Rbac, Mode::Node], "what was read before still counts");
        }
        drop(std::fs::remove_dir_all(&directory));
    }
}
