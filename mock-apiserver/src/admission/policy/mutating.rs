//! MutatingAdmissionPolicy: changes objects that are about to be written.

use cel::{Minor, json_of};
use futures::future::BoxFuture;
use machinery::status::{Cause, Reason, Status};
use patch::{apply, json::Patch};
use serde_json::Value;

use super::{
    super::{
        expression::{COST_MAX, Compiler, Documents, Evaluation, Expression, Extent, Gives, Variables},
        matching::is_exempt,
        request::{absorb, seen},
    },
    hooks::{Hooks, Invocation, with_inputs},
    validating::list,
};
use crate::registry::{Admission, Admitted};

/// What this plug-in remembers its hooks by.
const PLUGIN: &str = "MutatingAdmissionPolicy";

/// The expressions of a policy.
#[derive(Debug)]
pub(super) struct Body {
    variables: Variables,
    mutations: Vec<Mutation>,
    /// A variable that does not compile.
    wrong: Option<String>,
    /// Wants to see the object again when others change it.
    reinvoked: bool,
}

#[derive(Debug)]
struct Mutation {
    applies: bool,
    expression: Result<Expression, String>,
}

fn compile(policy: &Value) -> Body {
    let documents = Documents::unknown(policy.pointer("/spec/paramKind").is_some_and(Value::is_object));
    let mut wrong = None;
    let (variables, compiler) = Variables::compile(
        Compiler::new(&documents, Extent::Mutation, Minor::LATEST).with_variables(),
        list(policy, "/spec/variables"),
        &mut |_, why| {
            wrong.get_or_insert(why);
        },
    );
    let mutations = list(policy, "/spec/mutations").iter().map(|mutation| {
        let (source, gives, _) = source(mutation);
        Mutation { applies: gives == Gives::Object, expression: compiler.compile(source, gives) }
    });
    let mutations = mutations.collect();
    let reinvoked = policy.pointer("/spec/reinvocationPolicy").is_some_and(|wanted| wanted == "IfNeeded");
    Body { variables, mutations, wrong, reinvoked }
}

/// The expression of a mutation, what it gives, and the member that holds it.
pub(super) fn source(mutation: &Value) -> (&str, Gives, &'static str) {
    let (gives, member) = match mutation.get("patchType").and_then(Value::as_str) {
        Some("JSONPatch") => (Gives::Patches, "jsonPatch"),
        _ => (Gives::Object, "applyConfiguration"),
    };
    let expression = mutation.get(member).and_then(|patch| patch.get("expression")).and_then(Value::as_str);
    (expression.unwrap_or_default(), gives, member)
}

/// Asks the mutating policies.
pub(crate) struct MutatingPolicies(Hooks<Body>);

impl MutatingPolicies {
    pub(crate) fn new() -> Self {
        Self(Hooks::new("mutatingadmissionpolicies", "mutatingadmissionpolicybindings", compile))
    }

    fn change(&self, write: &Admitted<'_>, object: &mut Value) -> Result<(), Status> {
        if is_exempt(write) {
            return Ok(());
        }
        let Some(selected) = self.0.select(write, Some(object)) else { return Ok(()) };
        let mut errors: Vec<String> = Vec::new();
        for wrong in selected.misconfigured.iter().filter(|wrong| wrong.policy.fails) {
            let binding = wrong.binding.as_ref().map(|binding| binding.name.as_str());
            errors.push(denied(&wrong.policy.name, binding, &wrong.why));
        }
        write.rounds.begin(PLUGIN, object);
        for invocation in &selected.invocations {
            if let Err(why) = invoke(invocation, write, object)
                && invocation.policy.fails
            {
                errors.push(denied(&invocation.policy.name, Some(&invocation.binding.name), &why));
            }
        }
        write.rounds.end(PLUGIN, object);
        if errors.is_empty() { Ok(()) } else { Err(refusal(write, object, errors)) }
    }
}

impl Admission for MutatingPolicies {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(self.change(write, object)))
    }
}

fn denied(policy: &str, binding: Option<&str>, why: &str) -> String {
    match binding {
        Some(binding) => format!("policy '{policy}' with binding '{binding}' denied request: {why}"),
        None => format!("policy {policy:?} denied request: {why}"),
    }
}

/// A refusal as the client gets it: the first error speaks for all.
fn refusal(write: &Admitted<'_>, object: &Value, errors: Vec<String>) -> Status {
    let mut status = write.forbidden(Some(object), "admission request denied by policy");
    status.message = errors.first().cloned().unwrap_or_default();
    status.reason = Reason::Invalid.as_str().to_owned();
    if let Some(details) = &mut status.details {
        let cause = |message| Cause { reason: String::new(), message, field: String::new() };
        details.causes.extend(errors.into_iter().map(cause));
    }
    status
}

/// Runs the mutations of one policy, in order, each on what the last one left.
fn invoke(invocation: &Invocation<Body>, write: &Admitted<'_>, object: &mut Value) -> Result<(), String> {
    let policy = &invocation.policy;
    if !with_inputs(invocation, write, Some(object), |inputs| policy.conditions.hold(inputs))? {
        return Ok(());
    }
    let key = invocation.key();
    if !write.rounds.calls(PLUGIN, &key) {
        return Ok(());
    }
    if let Some(why) = &policy.body.wrong {
        return Err(why.clone());
    }
    let mut changed = false;
    let mut error = None;
    for mutation in &policy.body.mutations {
        match mutate(mutation, invocation, write, object) {
            Ok(after) if after == *object => {}
            Ok(after) => {
                *object = after;
                changed = true;
            }
            Err(why) => error = error.or(Some(why)),
        }
    }
    if changed {
        write.rounds.changed(PLUGIN);
    }
    if policy.body.reinvoked {
        write.rounds.may_call_again(PLUGIN, &key);
    }
    error.map_or(Ok(()), Err)
}

fn mutate(
    mutation: &Mutation,
    invocation: &Invocation<Body>,
    write: &Admitted<'_>,
    object: &Value,
) -> Result<Value, String> {
    let expression = mutation.expression.as_ref().map_err(Clone::clone)?;
    let variables = &invocation.policy.body.variables;
    let made = with_inputs(invocation, write, Some(object), |inputs| {
        let evaluation = Evaluation::new(inputs, variables, COST_MAX);
        let value = evaluation.eval(expression).map_err(|failure| failure.to_string())?;
        json_of(&value).ok_or_else(|| {
            "JSONPath valueExpression evaluated to a type that could not marshal to JSON: it is no document".to_owned()
        })
    })?;
    let endpoint = &invocation.endpoint;
    let mut document = seen(write, endpoint, object).into_owned();
    if mutation.applies {
        match endpoint.schema().map_err(|error| error.to_string())?.filter(|_| write.kind.is_none()) {
            Some(schema) => {
                apply::overlay(&mut document, &made, schema).map_err(|why| format!("error applying patch: {why}"))?;
            }
            None => patch::merge::apply(&mut document, made),
        }
    } else {
        let patch = Patch::parse(made).map_err(|error| format!("JSON Patch: {error}"))?;
        document = match patch.apply(document) {
            Ok(document) => document,
            // A test that fails means that there is nothing to do.
            Err(patch::json::Error::TestFailed(_)) => return Ok(object.clone()),
            Err(error) => return Err(format!("JSON Patch: {error}")),
        };
    }
    absorb(write, endpoint, document).map_err(|status| status.message)
}
