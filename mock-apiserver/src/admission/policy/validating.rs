//! ValidatingAdmissionPolicy: refuses writes, or warns of them.

use std::collections::BTreeMap;

use cel::Minor;
use futures::future::BoxFuture;
use machinery::status::{Cause, Reason, Status};
use serde_json::Value;

use super::{
    super::{
        expression::{COST_MAX, Compiler, Documents, Evaluation, Expression, Extent, Failure, Gives, Variables},
        matching::is_exempt,
    },
    hooks::{Binding, Hooks, Invocation, with_inputs},
};
use crate::registry::{Admission, Admitted};

/// Longest message that an expression may give: upstream's `MaxEvaluatedMessageExpressionSizeBytes`.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

/// What is longer of a text that a policy wants written down is left out: upstream's `maxAuditAnnotationValueLength`.
const ANNOTATION_CHARS_MAX: usize = 10 * 1024;

/// The expressions of a policy.
#[derive(Debug)]
pub(super) struct Body {
    variables: Variables,
    validations: Vec<Validation>,
    /// What is written down about the request, by key.
    annotations: Vec<(String, Result<Expression, String>)>,
    /// A variable that does not compile.
    wrong: Option<String>,
}

#[derive(Debug)]
struct Validation {
    condition: Result<Expression, String>,
    source: String,
    message: String,
    message_expression: Option<Expression>,
    reason: Option<String>,
}

pub(super) fn list<'a>(policy: &'a Value, pointer: &str) -> &'a [Value] {
    policy.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn compile(policy: &Value) -> Body {
    let documents = Documents::unknown(policy.pointer("/spec/paramKind").is_some_and(Value::is_object));
    let mut wrong = None;
    let (variables, compiler) = Variables::compile(
        Compiler::new(&documents, Extent::Authorizer, Minor::LATEST).with_variables(),
        list(policy, "/spec/variables"),
        &mut |_, why| {
            wrong.get_or_insert(why);
        },
    );
    let validations = list(policy, "/spec/validations").iter().map(|validation| Validation::new(validation, &compiler));
    let annotations = list(policy, "/spec/auditAnnotations").iter().map(|annotation| {
        let source = annotation.get("valueExpression").and_then(Value::as_str).unwrap_or_default();
        let key = annotation.get("key").and_then(Value::as_str).unwrap_or_default();
        (key.to_owned(), compiler.compile(source, Gives::TextOrNull))
    });
    Body { validations: validations.collect(), annotations: annotations.collect(), variables, wrong }
}

impl Validation {
    fn new(validation: &Value, compiler: &Compiler) -> Self {
        let text = |member: &str| validation.get(member).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        let source = text("expression");
        let computed = text("messageExpression");
        Self {
            condition: compiler.compile(&source, Gives::Bool),
            message: text("message"),
            message_expression: compiler.compile(&computed, Gives::Text).ok().filter(|_| !computed.is_empty()),
            reason: Some(text("reason")).filter(|reason| !reason.is_empty()),
            source,
        }
    }

    /// What is said about a validation that does not hold.
    fn failure(&self, evaluation: &Evaluation<'_>) -> String {
        let computed = self.message_expression.as_ref().and_then(|message| evaluation.eval(message).ok());
        let computed = computed.as_ref().and_then(cel::Value::as_str).map(str::trim);
        let usable =
            computed.filter(|text| !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n'));
        match (usable, self.message.as_str()) {
            (Some(text), _) => text.to_owned(),
            (None, "") => format!("failed expression: {}", self.source),
            (None, message) => message.to_owned(),
        }
    }
}

/// A policy's no.
#[derive(Debug, PartialEq, Eq)]
struct Denial {
    /// Which of the validations says it.
    at: usize,
    message: String,
    reason: Option<String>,
    /// Refuses the write whatever the binding says: an audit annotation that fails.
    always: bool,
}

impl Denial {
    fn error(message: String) -> Self {
        Self { at: 0, message, reason: None, always: false }
    }
}

impl Body {
    /// What a policy has against a write. Errors count when `fails` says so.
    fn denials(&self, evaluation: &Evaluation<'_>, fails: bool) -> Vec<Denial> {
        let mut denials = Vec::new();
        let error_at = |denials: &mut Vec<Denial>, at: usize, message: String| {
            if fails {
                denials.push(Denial { at, ..Denial::error(message) });
            }
        };
        let error = |denials: &mut Vec<Denial>, message: String| error_at(denials, 0, message);
        if let Some(why) = &self.wrong {
            error(&mut denials, why.clone());
            return denials;
        }
        for (at, validation) in self.validations.iter().enumerate() {
            match validation.condition.as_ref().map(|condition| evaluation.eval(condition)) {
                Err(why) => error_at(&mut denials, at, why.clone()),
                Ok(Ok(cel::Value::Bool(true))) => {}
                Ok(Ok(_)) => {
                    let message = validation.failure(evaluation);
                    denials.push(Denial { at, message, reason: validation.reason.clone(), always: false });
                }
                Ok(Err(Failure::OutOfBudget)) => {
                    // What was found so far does not count, as upstream has it.
                    denials.clear();
                    error(&mut denials, Failure::OutOfBudget.to_string());
                    return denials;
                }
                Ok(Err(failure)) => error_at(&mut denials, at, failure.to_string()),
            }
        }
        denials
    }
}

/// Asks the validating policies.
pub(crate) struct ValidatingPolicies(Hooks<Body>);

impl ValidatingPolicies {
    pub(crate) fn new() -> Self {
        Self(Hooks::new("validatingadmissionpolicies", "validatingadmissionpolicybindings", compile))
    }

    fn check(&self, write: &Admitted<'_>, object: Option<&Value>) -> Result<(), Status> {
        if is_exempt(write) {
            return Ok(());
        }
        let Some(selected) = self.0.select(write, object) else { return Ok(()) };
        let mut denied: Option<Status> = None;
        for wrong in selected.misconfigured.iter().filter(|wrong| wrong.policy.fails) {
            let binding = wrong.binding.as_ref().map(|binding| binding.name.as_str());
            let denial = Denial::error(wrong.why.clone());
            denied.get_or_insert_with(|| status(write, object, &wrong.policy.name, binding, &denial));
        }
        let mut said = Said::default();
        for invocation in &selected.invocations {
            for denial in denials(invocation, write, object, &mut said) {
                let binding = &invocation.binding;
                if denial.always {
                    let policy = &invocation.policy.name;
                    denied.get_or_insert_with(|| status(write, object, policy, Some(&binding.name), &denial));
                    continue;
                }
                for action in &binding.actions {
                    match action.as_str() {
                        "Deny" => {
                            let policy = &invocation.policy.name;
                            denied.get_or_insert_with(|| status(write, object, policy, Some(&binding.name), &denial));
                        }
                        "Warn" => write.context.warn(format!(
                            "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                            invocation.policy.name, binding.name, denial.message
                        )),
                        _ => note_failure(write, &invocation.policy.name, binding, &denial),
                    }
                }
            }
        }
        for ((policy, key), texts) in said {
            write.context.annotate(&format!("{policy}/{key}"), texts.join(", "));
        }
        denied.map_or(Ok(()), Err)
    }
}

impl Admission for ValidatingPolicies {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(self.check(write, object)))
    }
}

/// What policies want written down about a request: the different texts under the name of a policy and a key.
type Said = BTreeMap<(String, String), Vec<String>>;

/// Has a no written down, as bindings want it that say `Audit`.
fn note_failure(write: &Admitted<'_>, policy: &str, binding: &Binding, denial: &Denial) {
    let failures = [Failed {
        message: &denial.message,
        policy,
        binding: &binding.name,
        expression_index: denial.at,
        validation_actions: &binding.actions,
    }];
    let text = serde_json::to_string(&failures).unwrap_or_default();
    write.context.annotate("validation.policy.admission.k8s.io/validation_failure", text);
}

/// A no as it is written down.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    message: &'a str,
    policy: &'a str,
    binding: &'a str,
    expression_index: usize,
    validation_actions: &'a [String],
}

fn denials(
    invocation: &Invocation<Body>,
    write: &Admitted<'_>,
    object: Option<&Value>,
    said: &mut Said,
) -> Vec<Denial> {
    let policy = &invocation.policy;
    with_inputs(invocation, write, object, |inputs| {
        match policy.conditions.hold(inputs) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(message) if policy.fails => return vec![Denial::error(message)],
            Err(_) => return Vec::new(),
        }
        let body = &policy.body;
        let mut denials = body.denials(&Evaluation::new(inputs, &body.variables, COST_MAX), policy.fails);
        let evaluation = Evaluation::new(inputs, &body.variables, COST_MAX);
        for (key, annotation) in &body.annotations {
            let text = match annotation {
                Ok(expression) => evaluation.eval(expression).map_err(|failure| failure.to_string()),
                Err(why) => Err(why.clone()),
            };
            match text {
                Err(message) if policy.fails => denials.push(Denial { always: true, ..Denial::error(message) }),
                Ok(cel::Value::String(text)) if write.context.notes.is_some() => {
                    let text: String = text.trim().chars().take(ANNOTATION_CHARS_MAX).collect();
                    let texts = said.entry((policy.name.clone(), key.clone())).or_default();
                    if !text.is_empty() && !texts.contains(&text) {
                        texts.push(text);
                    }
                }
                Ok(_) | Err(_) => {}
            }
        }
        denials
    })
}

/// A refusal as the client gets it.
fn status(
    write: &Admitted<'_>,
    object: Option<&Value>,
    policy: &str,
    binding: Option<&str>,
    denial: &Denial,
) -> Status {
    let with = binding.map(|binding| format!(" with binding '{binding}'")).unwrap_or_default();
    let message = format!("ValidatingAdmissionPolicy '{policy}'{with} denied request: {}", denial.message);
    let mut status = write.forbidden(object, &message);
    let (reason, code) = match denial.reason.as_deref() {
        Some("Forbidden") => (Reason::Forbidden, 403),
        Some("Unauthorized") => (Reason::Unauthorized, 401),
        Some("RequestEntityTooLarge") => (Reason::RequestEntityTooLarge, 413),
        _ => (Reason::Invalid, 422),
    };
    status.reason = reason.as_str().to_owned();
    status.code = code;
    if let Some(details) = &mut status.details {
        details.causes.push(Cause { reason: String::new(), message, field: String::new() });
    }
    status
}
