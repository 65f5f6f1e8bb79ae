//! Checks the expressions of policies and webhooks when they are written.

use cel::Minor;
use futures::future::BoxFuture;
use machinery::{
    field::{Error, Path},
    meta,
    status::Status,
};
use serde_json::Value;

use super::{
    super::{
        conditions::Conditions,
        expression::{Compiler, Documents, Extent, Gives, Variables},
    },
    GROUP,
    mutating::source,
    validating::list,
};
use crate::registry::{Admission, Admitted};

/// Refuses policies and webhooks whose expressions do not compile.
pub(crate) struct PolicyDefinitions;

impl Admission for PolicyDefinitions {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        let definition = write.endpoint.definition();
        let errors = match object {
            Some(object) if definition.group == GROUP && write.subresource.is_empty() => {
                // What is stored stays, whichever release accepted it.
                let is_unchanged =
                    write.old.is_some_and(|old| same(old, object, "spec") && same(old, object, "webhooks"));
                let minor = if is_unchanged { Minor::LATEST } else { write.registry.feature_gates.new_expressions() };
                match definition.plural.as_ref() {
                    "validatingadmissionpolicies" => policy_errors(object, false, minor),
                    "mutatingadmissionpolicies" => policy_errors(object, true, minor),
                    "validatingwebhookconfigurations" | "mutatingwebhookconfigurations" => {
                        webhook_errors(object, minor)
                    }
                    _ => Vec::new(),
                }
            }
            _ => Vec::new(),
        };
        let result = match (errors.as_slice(), object) {
            ([], _) | (_, None) => Ok(()),
            (errors, Some(object)) => Err(Status::invalid(&write.endpoint.kind(), meta::name(object), errors)),
        };
        Box::pin(std::future::ready(result))
    }
}

fn same(old: &Value, new: &Value, member: &str) -> bool {
    old.get(member) == new.get(member)
}

fn webhook_errors(configuration: &Value, minor: Minor) -> Vec<Error> {
    let webhooks = list(configuration, "/webhooks").iter().enumerate();
    webhooks
        .flat_map(|(index, webhook)| Conditions::errors(webhook, &Path::new("webhooks").index(index), false, minor))
        .collect()
}

fn policy_errors(policy: &Value, mutates: bool, minor: Minor) -> Vec<Error> {
    let spec = Path::new("spec");
    let has_params = policy.pointer("/spec/paramKind").is_some_and(Value::is_object);
    let mut errors = Conditions::errors(policy.get("spec").unwrap_or(&Value::Null), &spec, has_params, minor);
    let variables = list(policy, "/spec/variables");
    let compiler = |extent| {
        let plain = Compiler::new(&Documents::unknown(has_params), extent, minor);
        if mutates || !variables.is_empty() { plain.with_variables() } else { plain }
    };
    // Variables are no place for constructors of objects.
    let (_, known) = Variables::compile(compiler(Extent::Authorizer), variables, &mut |index, why| {
        let path = spec.child("variables").index(index).child("expression");
        errors.push(Error::invalid(&path, variables[index].get("expression").unwrap_or(&Value::Null), &why));
    });
    let of = |extent| if variables.is_empty() { compiler(extent) } else { compiler(extent).with_variables_of(&known) };
    let (compiler, messages) = (of(if mutates { Extent::Mutation } else { Extent::Authorizer }), of(Extent::Message));
    let mut check = |compiler: &Compiler, source: &str, gives: Gives, path: Path| {
        if !source.trim().is_empty()
            && let Err(why) = compiler.compile(source, gives)
        {
            errors.push(Error::invalid(&path, &source.into(), &why));
        }
    };
    let text = |object: &Value, member: &str| object.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    for (index, validation) in list(policy, "/spec/validations").iter().enumerate() {
        let path = spec.child("validations").index(index);
        check(&compiler, &text(validation, "expression"), Gives::Bool, path.child("expression"));
        check(&messages, &text(validation, "messageExpression"), Gives::Text, path.child("messageExpression"));
    }
    for (index, annotation) in list(policy, "/spec/auditAnnotations").iter().enumerate() {
        let path = spec.child("auditAnnotations").index(index).child("valueExpression");
        check(&compiler, &text(annotation, "valueExpression"), Gives::TextOrNull, path);
    }
    for (index, mutation) in list(policy, "/spec/mutations").iter().enumerate() {
        let (source, gives, member) = source(mutation);
        check(&compiler, source, gives, spec.child("mutations").index(index).child(member).child("expression"));
    }
    errors
}
