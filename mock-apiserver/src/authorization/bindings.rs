//! `Bindings`: who has which roles, found by subject instead of by looking through every binding.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use machinery::meta;
use serde_json::Value;

use crate::{
    authentication::User,
    registry::Registry,
    storage::{Snapshot, Stored},
};

/// The API group of roles and bindings.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// Bindings of one namespace, or of the cluster, by the name of a subject.
#[derive(Debug, Default)]
struct BySubject {
    users: HashMap<String, Vec<Arc<Stored>>>,
    groups: HashMap<String, Vec<Arc<Stored>>>,
}

impl BySubject {
    fn add(&mut self, binding: &Arc<Stored>) {
        let namespace = meta::namespace(binding.value());
        for subject in binding.value().get("subjects").and_then(Value::as_array).into_iter().flatten() {
            let text = |member| subject.get(member).and_then(Value::as_str).unwrap_or_default();
            let (subjects, name) = match text("kind") {
                "User" => (&mut self.users, text("name").to_owned()),
                "Group" => (&mut self.groups, text("name").to_owned()),
                "ServiceAccount" => {
                    let namespace = if text("namespace").is_empty() { namespace } else { text("namespace") };
                    (&mut self.users, User::service_account(namespace, text("name")).name)
                }
                _ => continue,
            };
            subjects.entry(name).or_default().push(binding.clone());
        }
    }

    fn of<'a>(&'a self, user: &'a User) -> impl Iterator<Item = Bound<'a>> {
        let group = |group: &'a String| {
            let found = self.groups.get(group).into_iter().flatten();
            found.map(move |binding| Bound { binding, subject: Subject::Group(group) })
        };
        let by_name = self.users.get(&user.name).into_iter().flatten();
        let by_name = by_name.map(|binding| Bound { binding, subject: Subject::User(&user.name) });
        by_name.chain(user.groups.iter().flat_map(group))
    }
}

/// A binding that a user has, and as whom.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) binding: &'a Arc<Stored>,
    pub(super) subject: Subject<'a>,
}

/// As whom a user has a binding.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    User(&'a str),
    Group(&'a str),
}

/// Every binding, as they were at one moment.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    /// The revisions of cluster role bindings and of role bindings.
    revisions: Option<(u64, u64)>,
    cluster: BySubject,
    namespaces: HashMap<String, BySubject>,
}

impl Bindings {
    fn read(cluster: &Snapshot, namespaced: &Snapshot) -> Self {
        let mut bindings = Self { revisions: Some((cluster.revision(), namespaced.revision())), ..Self::default() };
        for binding in cluster.range("", None) {
            bindings.cluster.add(binding);
        }
        for binding in namespaced.range("", None) {
            let namespace = meta::namespace(binding.value());
            if !bindings.namespaces.contains_key(namespace) {
                bindings.namespaces.insert(namespace.to_owned(), BySubject::default());
            }
            if let Some(of_namespace) = bindings.namespaces.get_mut(namespace) {
                of_namespace.add(binding);
            }
        }
        bindings
    }

    /// The bindings of a user in the cluster, then those in a namespace; an empty one is none.
    pub(super) fn of<'a>(&'a self, user: &'a User, namespace: &str) -> impl Iterator<Item = Bound<'a>> {
        let of_namespace = self.namespaces.get(namespace);
        self.cluster.of(user).chain(of_namespace.into_iter().flat_map(|of_namespace| of_namespace.of(user)))
    }
}

/// The bindings, read again when one has changed.
#[derive(Debug, Default)]
pub(super) struct BindingIndex {
    current: OnceLock<ArcSwap<Bindings>>,
}

impl BindingIndex {
    /// The bindings as they are now.
    pub(super) fn now(&self, registry: &Registry) -> Arc<Bindings> {
        let snapshot = |plural| {
            let endpoint = registry.catalog.endpoint(GROUP, "v1", plural)?;
            Some(endpoint.resource.space().snapshot())
        };
        let (Some(cluster), Some(namespaced)) = (snapshot("clusterrolebindings"), snapshot("rolebindings")) else {
            return Arc::default();
        };
        let current = self.current.get_or_init(ArcSwap::default);
        let known = current.load();
        if known.revisions == Some((cluster.revision(), namespaced.revision())) {
            return known.clone();
        }
        let read = Arc::new(Bindings::read(&cluster, &namespaced));
        current.store(read.clone());
        read
    }
}
