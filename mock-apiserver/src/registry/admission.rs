//! Admission: what else has a say in a write.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use futures::future::BoxFuture;
use machinery::{meta, names::GroupVersionKind, status::Status};
use serde_json::Value;

use super::{Context, Registry};
use crate::{catalog::Endpoint, request::DeleteOptions};

/// What is being done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It is created.
    Create,
    /// It is replaced or patched.
    Update,
    /// It is deleted.
    Delete,
    /// It is connected to.
    Connect,
}

impl Operation {
    /// As rules and requests of admission name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// A write that is to be admitted.
pub(crate) struct Admitted<'a> {
    /// The server's objects, for looking things up.
    pub(crate) registry: &'a Registry,
    /// Who asks, and how the write is meant.
    pub(crate) context: &'a Context,
    pub(crate) operation: Operation,
    /// The kind and version that the client used.
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
    /// The kind of what is written, where it is not the resource's own: `Binding`, `Eviction`, `PodExecOptions`.
    pub(crate) kind: Option<&'a GroupVersionKind>,
    /// How the delete is meant, when it is one.
    pub(crate) delete: Option<&'a DeleteOptions>,
    /// The object before the write; absent on create.
    pub(crate) old: Option<&'a Value>,
    /// What the plug-ins remember between the first and the second round of mutation.
    pub(crate) rounds: Rounds,
}

impl Admitted<'_> {
    /// True when nothing will be stored.
    pub(crate) fn dry_run(&self) -> bool {
        self.context.options.dry_run || self.delete.is_some_and(|options| options.dry_run)
    }

    /// 403, in the words of upstream's `admission.NewForbidden`. A name that is still to be generated shows as its beginning.
    pub(crate) fn forbidden(&self, object: Option<&Value>, why: &str) -> Status {
        let generated = object.map(|object| match meta::name(object) {
            "" => meta::generate_name(object),
            name => name,
        });
        let name = match (self.name, generated) {
            ("", Some(name)) if !name.is_empty() => name,
            ("", _) => "Unknown",
            (name, _) => name,
        };
        Status::forbidden(&self.endpoint.group_resource(), name, why)
    }
}

/// Mutation runs a second time when a plug-in that is not of the server changed the object, for those that ask for it.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    second: bool,
    again: bool,
    plugins: HashMap<&'static str, PluginMemory>,
}

#[derive(Debug, Default)]
struct PluginMemory {
    /// The object as the plug-in left it.
    last: Option<Value>,
    /// What was called and wants to be called again, by key.
    called: HashSet<String>,
    /// What is to be called again.
    again: HashSet<String>,
}

impl Rounds {
    fn with<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number of the round; the first is 0.
    pub(crate) fn number(&self) -> u8 {
        self.with(|memory| memory.second.into())
    }

    /// Begins a plug-in's turn: what others changed since its last one calls for all of its hooks.
    pub(crate) fn begin(&self, plugin: &'static str, object: &Value) {
        self.with(|memory| {
            let second = memory.second;
            let memory = memory.plugins.entry(plugin).or_default();
            if second && memory.last.as_ref().is_some_and(|last| last != object) {
                memory.again.extend(memory.called.drain());
            }
        });
    }

    /// Whether a hook is to be called in this round.
    pub(crate) fn calls(&self, plugin: &'static str, hook: &str) -> bool {
        self.with(|memory| {
            let is_asked = || memory.plugins.get(plugin).is_some_and(|memory| memory.again.contains(hook));
            !memory.second || is_asked()
        })
    }

    /// Takes note of a hook that changed the object: those before it may have to see it again.
    pub(crate) fn changed(&self, plugin: &'static str) {
        self.with(|memory| {
            memory.again = true;
            let memory = memory.plugins.entry(plugin).or_default();
            memory.again.extend(memory.called.drain());
        });
    }

    /// Takes note of a hook that was called, and wants to be called again if need be.
    pub(crate) fn may_call_again(&self, plugin: &'static str, hook: &str) {
        self.with(|memory| {
            memory.plugins.entry(plugin).or_default().called.insert(hook.to_owned());
        });
    }

    /// Ends a plug-in's turn.
    pub(crate) fn end(&self, plugin: &'static str, object: &Value) {
        self.with(|memory| memory.plugins.entry(plugin).or_default().last = Some(object.clone()));
    }

    /// Starts the second round, if there is to be one.
    fn start_second(&self) -> bool {
        self.with(|memory| {
            let starts = memory.again && !memory.second;
            memory.second |= starts;
            starts
        })
    }
}

/// A plug-in that may change or refuse writes. Objects are in the storage version. Every method has the behaviour of a
/// plug-in that does not care as its default.
pub(crate) trait Admission: Send + Sync {
    /// Changes the object, or refuses the write, before it is validated.
    fn mutate<'a>(&'a self, _write: &'a Admitted<'a>, _object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Has its say in a delete, before those who only check.
    fn mutate_delete<'a>(&'a self, _write: &'a Admitted<'a>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Sets what only the server sets, after the kind's own preparation.
    fn complete(&self, _write: &Admitted<'_>, _object: &mut Value) {}

    /// Changes an object that is about to be marked as deleted.
    fn begin_delete(&self, _write: &Admitted<'_>, _object: &mut Value) {}

    /// Refuses the write. `object` is absent on delete.
    fn validate<'a>(
        &'a self,
        _write: &'a Admitted<'a>,
        _object: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Takes back what admitting the write has set aside for it: it did not happen.
    fn withdraw(&self, _write: &Admitted<'_>) {}
}

impl Registry {
    pub(super) async fn mutate(&self, write: &Admitted<'_>, object: &mut Value) -> Result<(), Status> {
        for plugin in &self.admission {
            plugin.mutate(write, object).await?;
        }
        if write.rounds.start_second() {
            for plugin in &self.admission {
                plugin.mutate(write, object).await?;
            }
        }
        Ok(())
    }

    /// Has a delete admitted.
    pub(super) async fn admit_delete(&self, write: &Admitted<'_>) -> Result<(), Status> {
        for plugin in &self.admission {
            plugin.mutate_delete(write).await?;
        }
        self.admit(write, None).await
    }

    pub(super) fn complete(&self, write: &Admitted<'_>, object: &mut Value) {
        for plugin in &self.admission {
            plugin.complete(write, object);
        }
    }

    pub(super) async fn admit(&self, write: &Admitted<'_>, object: Option<&Value>) -> Result<(), Status> {
        for plugin in &self.admission {
            plugin.validate(write, object).await?;
        }
        Ok(())
    }

    /// Tells the plug-ins that an admitted write did not happen.
    pub(super) fn withdraw(&self, write: &Admitted<'_>) {
        for plugin in &self.admission {
            plugin.withdraw(write);
        }
    }

    /// Has a document admitted that is about an object without taking its place: a Binding, an Eviction, the options of an `exec`.
    pub(crate) async fn admit_about(
        &self,
        operation: Operation,
        target: super::Target<'_>,
        kind: &GroupVersionKind,
        document: &mut Value,
        context: &Context,
    ) -> Result<(), Status> {
        let write = Admitted {
            registry: self,
            context,
            operation,
            endpoint: target.endpoint,
            namespace: target.namespace,
            name: target.name,
            subresource: target.subresource,
            kind: Some(kind),
            delete: None,
            old: None,
            rounds: Rounds::default(),
        };
        self.mutate(&write, document).await?;
        self.admit(&write, Some(document)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_second_round_calls_those_that_saw_an_older_object() {
        let rounds = Rounds::default();
        let object = json!({"a": 1});
        rounds.begin("p", &object);
        for hook in ["first", "second"] {
            assert!(rounds.calls("p", hook));
            rounds.may_call_again("p", hook);
        }
        // A third changes the object, after the first two saw it.
        rounds.changed("p");
        rounds.may_call_again("p", "third");
        rounds.end("p", &json!({"a": 2}));
        assert!(rounds.start_second());
        rounds.begin("p", &json!({"a": 2}));
        assert!(rounds.calls("p", "first") && rounds.calls("p", "second") && !rounds.calls("p", "third"));
        assert!(!rounds.start_second());
        let quiet = Rounds::default();
        quiet.begin("p", &object);
        quiet.end("p", &object);
        assert!(!quiet.start_second());
    }
}
