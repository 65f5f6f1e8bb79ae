//! What there is to reconcile.

use cluster::{Generation, Key, Kind, Objects, claim_reference, generation, kind};
use machinery::meta;
use serde_json::Value;

use crate::{Options, action::Action, claim, pod, pod_claims};

/// What is reconciled about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Concern {
    /// The claims of a pod exist, are recorded, and are reserved for it once it has a node.
    PodClaims,
    /// A claim of this kind is used by those who exist, and goes when nobody needs it.
    Claim(Kind),
}

/// One object to reconcile in one respect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Task {
    /// In which respect.
    pub(crate) concern: Concern,
    /// The object.
    pub(crate) key: Key,
}

impl Task {
    pub(crate) fn new(concern: Concern, key: Key) -> Self {
        Self { concern, key }
    }

    /// What must be written now.
    pub(crate) fn reconcile(&self, objects: &Objects) -> Vec<Action> {
        match self.concern {
            Concern::PodClaims => match objects.get(kind::POD, &self.key) {
                Some(document) => pod_claims::reconcile(document, objects),
                None => Vec::new(),
            },
            Concern::Claim(kind) => match (objects.get(kind, &self.key), Generation::of(kind)) {
                (Some(document), Some(generation)) => claim::reconcile(document, generation, objects),
                _ => Vec::new(),
            },
        }
    }
}

/// The kinds that the chosen controllers watch.
pub(crate) fn kinds(options: Options) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if options.claims {
        kinds.push(kind::POD);
        for one in generation::ALL {
            // One kind plays two parts in some generations.
            for kind in [one.claim, one.template] {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
    }
    kinds
}

/// What is to be looked at when an object changed: `document` is its state before or after. `users` are the pods that
/// name a claim or template.
pub(crate) fn touched(options: Options, of: Kind, document: &Value, users: &dyn Fn(&Key) -> Vec<Key>) -> Vec<Task> {
    let mut tasks = Vec::new();
    if options.claims {
        claims_touched(of, document, users, &mut tasks);
    }
    tasks
}

fn claims_touched(of: Kind, document: &Value, users: &dyn Fn(&Key) -> Vec<Key>, tasks: &mut Vec<Task>) {
    let key = Key::of(document);
    let namespaced = |name: &str| Key::new(meta::namespace(document), name);
    if of == kind::POD {
        if !pod::has_claims(document) {
            return;
        }
        for name in claim_reference::claim_names(document) {
            tasks.extend(generation::ALL.map(|one| Task::new(Concern::Claim(one.claim), namespaced(&name))));
        }
        tasks.push(Task::new(Concern::PodClaims, key));
        return;
    }
    if generation::ALL.iter().any(|one| one.claim == of) {
        tasks.push(Task::new(Concern::Claim(of), key.clone()));
        if let Some(owner) = pod::owner(document) {
            tasks.push(Task::new(Concern::PodClaims, namespaced(&owner.name)));
        }
    }
    tasks.extend(users(&key).into_iter().map(|user| Task::new(Concern::PodClaims, user)));
}
