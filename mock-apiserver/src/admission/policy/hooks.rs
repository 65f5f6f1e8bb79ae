//! Which policies there are, compiled once, and which of them a write is for.

use std::sync::Arc;

use arc_swap::ArcSwap;
use machinery::meta;
use serde_json::Value;

use super::{
    super::{
        authorizer,
        conditions::Conditions,
        expression::Inputs,
        matching::Matcher,
        request::{document, seen},
    },
    GROUP, params,
};
use crate::{
    catalog::Endpoint,
    registry::{Admitted, Registry},
    storage::{Snapshot, Stored},
};

/// A policy, ready to be evaluated; `body` is what only its kind has.
#[derive(Debug)]
pub(super) struct Policy<B> {
    pub(super) name: String,
    matcher: Result<Matcher, String>,
    /// `apiVersion` and `kind` of the parameters.
    param_kind: Option<(String, String)>,
    /// Whether an error refuses the write.
    pub(super) fails: bool,
    pub(super) conditions: Conditions,
    pub(super) body: B,
}

/// A binding of a policy.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) name: String,
    matcher: Result<Option<Matcher>, String>,
    param_ref: Option<Value>,
    /// `validationActions`.
    pub(super) actions: Vec<String>,
}

/// A policy with its bindings.
#[derive(Debug)]
struct Hook<B> {
    generation: (String, i64),
    policy: Arc<Policy<B>>,
    bindings: Vec<Arc<Binding>>,
}

/// The hooks at one moment.
#[derive(Debug)]
struct Set<B> {
    revisions: (u64, u64),
    hooks: Vec<Hook<B>>,
}

/// The policies of one kind.
pub(super) struct Hooks<B> {
    policies: &'static str,
    bindings: &'static str,
    compile: fn(&Value) -> B,
    set: ArcSwap<Set<B>>,
}

/// One policy that a write is for, by one binding and with one set of parameters.
pub(super) struct Invocation<B> {
    pub(super) policy: Arc<Policy<B>>,
    pub(super) binding: Arc<Binding>,
    /// The version in which the policy sees the write.
    pub(super) endpoint: Endpoint,
    pub(super) params: Option<Arc<Value>>,
}

impl<B> Invocation<B> {
    /// What tells it apart from other invocations of the same write.
    pub(super) fn key(&self) -> String {
        let params = self.params.as_deref().map(|params| (meta::namespace(params), meta::name(params)));
        let (namespace, name) = params.unwrap_or_default();
        format!("{}/{}/{namespace}/{name}", self.policy.name, self.binding.name)
    }
}

/// A policy or binding that cannot be used for a write.
pub(super) struct Misconfigured<B> {
    pub(super) policy: Arc<Policy<B>>,
    pub(super) binding: Option<Arc<Binding>>,
    pub(super) why: String,
}

/// What a write is for.
pub(super) struct Selected<B> {
    pub(super) invocations: Vec<Invocation<B>>,
    pub(super) misconfigured: Vec<Misconfigured<B>>,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

impl<B> Policy<B> {
    fn new(object: &Value, body: B) -> Self {
        let constraints = object.pointer("/spec/matchConstraints").unwrap_or(&Value::Null);
        let param_kind = object.pointer("/spec/paramKind").filter(|kind| kind.is_object());
        Self {
            name: meta::name(object).to_owned(),
            matcher: Matcher::of_policy(constraints),
            param_kind: param_kind.map(|kind| (text(kind, "/apiVersion").to_owned(), text(kind, "/kind").to_owned())),
            fails: text(object, "/spec/failurePolicy") != "Ignore",
            conditions: Conditions::compile(object.get("spec").unwrap_or(&Value::Null), param_kind.is_some()),
            body,
        }
    }
}

impl Binding {
    fn new(object: &Value) -> Self {
        let resources = object.pointer("/spec/matchResources").filter(|resources| resources.is_object());
        let actions = object.pointer("/spec/validationActions").and_then(Value::as_array);
        Self {
            name: meta::name(object).to_owned(),
            matcher: resources.map(Matcher::of_policy).transpose(),
            param_ref: object.pointer("/spec/paramRef").filter(|reference| reference.is_object()).cloned(),
            actions: actions.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }
}

impl<B> Hooks<B> {
    pub(super) fn new(policies: &'static str, bindings: &'static str, compile: fn(&Value) -> B) -> Self {
        let set = ArcSwap::from_pointee(Set { revisions: (0, 0), hooks: Vec::new() });
        Self { policies, bindings, compile, set }
    }

    /// What a write is for; `None`, and hardly any work, when there are no policies.
    pub(super) fn select(&self, write: &Admitted<'_>, object: Option<&Value>) -> Option<Selected<B>> {
        let set = self.current(write.registry)?;
        let mut selected = Selected { invocations: Vec::new(), misconfigured: Vec::new() };
        for hook in &set.hooks {
            select_hook(hook, write, object, &mut selected);
        }
        let is_for_nothing = selected.invocations.is_empty() && selected.misconfigured.is_empty();
        (!is_for_nothing).then_some(selected)
    }

    fn current(&self, registry: &Registry) -> Option<Arc<Set<B>>> {
        let snapshot =
            |plural| registry.catalog.endpoint(GROUP, "v1", plural).map(|found| found.resource.space().snapshot());
        let (policies, bindings) = (snapshot(self.policies)?, snapshot(self.bindings)?);
        if policies.is_empty() || bindings.is_empty() {
            return None;
        }
        let revisions = (policies.revision(), bindings.revision());
        let known = self.set.load_full();
        if known.revisions == revisions {
            return Some(known);
        }
        let set = Arc::new(Set { revisions, hooks: self.compile_all(&policies, &bindings, &known) });
        self.set.store(set.clone());
        Some(set)
    }

    /// Compiles what is new, and keeps the rest.
    fn compile_all(&self, policies: &Snapshot, bindings: &Snapshot, known: &Set<B>) -> Vec<Hook<B>> {
        let bindings: Vec<&Arc<Stored>> = bindings.range("", None).collect();
        let hook = |stored: &Arc<Stored>| {
            let object = stored.value();
            let own = bindings.iter().filter(|binding| text(binding.value(), "/spec/policyName") == meta::name(object));
            let bindings: Vec<_> = own.map(|binding| Arc::new(Binding::new(binding.value()))).collect();
            let generation = (meta::uid(object).to_owned(), meta::generation(object));
            let compiled = known.hooks.iter().find(|hook| hook.generation == generation);
            let policy = match compiled {
                Some(hook) => hook.policy.clone(),
                None => Arc::new(Policy::new(object, (self.compile)(object))),
            };
            (!bindings.is_empty()).then_some(Hook { generation, policy, bindings })
        };
        policies.range("", None).filter_map(hook).collect()
    }
}

fn select_hook<B>(hook: &Hook<B>, write: &Admitted<'_>, object: Option<&Value>, selected: &mut Selected<B>) {
    let policy = &hook.policy;
    let misconfigured = |binding: Option<&Arc<Binding>>, why: String| {
        let why = match binding {
            None => format!("failed to configure policy: {why}"),
            Some(_) => format!("failed to configure binding: {why}"),
        };
        Misconfigured { policy: policy.clone(), binding: binding.cloned(), why }
    };
    let found = policy.matcher.as_ref().map_err(Clone::clone).and_then(|matcher| matcher.find(write, object));
    let endpoint = match found {
        Err(why) => return selected.misconfigured.push(misconfigured(None, why)),
        Ok(None) => return,
        Ok(Some(endpoint)) => endpoint,
    };
    let param_kind = match &policy.param_kind {
        None => None,
        Some((api_version, kind)) => match params::endpoint(write.registry, api_version, kind) {
            Some(endpoint) => Some(endpoint),
            None => {
                let shown = params::shown_kind(api_version, kind);
                let why = format!("failed to find resource referenced by paramKind: '{shown}'");
                return selected.misconfigured.push(misconfigured(None, why));
            }
        },
    };
    for binding in &hook.bindings {
        let matches = match &binding.matcher {
            Ok(None) => Ok(true),
            Ok(Some(matcher)) => matcher.find(write, object).map(|found| found.is_some()),
            Err(why) => Err(why.clone()),
        };
        match matches {
            Ok(true) => {}
            Ok(false) => continue,
            Err(why) => {
                selected.misconfigured.push(misconfigured(Some(binding), why));
                continue;
            }
        }
        match params::collect(write, param_kind.as_ref(), binding.param_ref.as_ref()) {
            Err(why) => selected.misconfigured.push(misconfigured(Some(binding), why)),
            Ok(all) => selected.invocations.extend(all.into_iter().map(|params| Invocation {
                policy: policy.clone(),
                binding: binding.clone(),
                endpoint: endpoint.clone(),
                params,
            })),
        }
    }
}

/// Runs `work` with what the expressions of an invocation look at.
pub(super) fn with_inputs<B, T>(
    invocation: &Invocation<B>,
    write: &Admitted<'_>,
    object: Option<&Value>,
    work: impl FnOnce(&Inputs<'_>) -> T,
) -> T {
    let endpoint = &invocation.endpoint;
    let shown = object.map(|object| seen(write, endpoint, object));
    let old = write.old.map(|old| seen(write, endpoint, old));
    let request = document(write, endpoint, object);
    let namespace = Some(write.namespace).filter(|name| !name.is_empty());
    let namespace = namespace.and_then(|name| write.registry.namespace(name));
    work(&Inputs {
        object: shown.as_deref(),
        old: old.as_deref(),
        params: invocation.params.as_deref(),
        request: &request,
        namespace: namespace.as_deref().map(Stored::value),
        authorizer: authorizer::of(write),
    })
}
