//! Who answers the questions that expressions ask about access: the server's own authorization.

use std::sync::{Arc, Weak};

use cel::{Authorizer, Decision, Question};

use crate::{
    authentication::{User, split_service_account},
    authorization::{Action, On},
    registry::{Admitted, Registry},
};

/// Answers for one user.
struct Asker {
    registry: Weak<Registry>,
    user: Arc<User>,
}

impl Authorizer for Asker {
    fn decide(&self, question: &Question) -> Decision {
        let Some(registry) = self.registry.upgrade() else {
            return Decision { error: "the server is shutting down".to_owned(), ..Decision::default() };
        };
        let other = question.user.as_deref().and_then(split_service_account);
        let other = other.map(|(namespace, name)| User::service_account(namespace, name));
        let user = other.as_ref().unwrap_or(&self.user);
        let on = match &question.path {
            Some(path) => On::Path(path),
            None => On::Resource {
                group: question.group.as_deref().unwrap_or_default(),
                resource: question.resource.as_deref().unwrap_or_default(),
                subresource: &question.subresource,
                namespace: &question.namespace,
                name: &question.name,
            },
        };
        let decision = registry.authorizer.decide(&registry, user, &Action::to(&question.verb, on));
        let allowed = decision.is_allowed();
        Decision { allowed, reason: decision.reason, error: decision.error }
    }
}

/// The authorizer of the one who writes.
pub(super) fn of(write: &Admitted<'_>) -> Arc<dyn Authorizer> {
    Arc::new(Asker { registry: write.registry.this.clone(), user: write.context.user.clone() })
}
