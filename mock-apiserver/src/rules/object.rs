//! Runs the rules of a CRD on an object.

use std::collections::HashMap;

use cel::{Activation, Budget, Fault, FaultKind, Minor, Shape, value_of};
use machinery::field::{self, Error, ErrorKind, Path};
use schema::{ERRORS_MAX, Node, RuleValue, Schema, ValidationRule, structural};
use serde_json::Value;

use super::{
    OLD_SELF, SELF,
    compiled::{CompiledRule, Compiler, Expression},
    site::{Site, sites},
};

/// What one evaluation may cost: upstream's `PerCallLimit`, in CEL cost units.
const EVALUATION_COST_MAX: u64 = 1_000_000;
/// What all evaluations for one object may cost: upstream's `RuntimeCELCostBudget`.
const OBJECT_COST_MAX: u64 = 10_000_000;
/// Bytes of a computed message: upstream's `MaxEvaluatedMessageExpressionSizeBytes`.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

/// The compiled rules of one version of a custom resource.
#[derive(Debug)]
pub(crate) struct ObjectRules {
    /// By number of the schema node.
    sites: HashMap<u32, SiteRules>,
}

/// The rules of one place.
#[derive(Debug)]
struct SiteRules {
    type_name: String,
    /// Stays away where CEL cannot express the type.
    shape: Option<Shape>,
    rules: Vec<ObjectRule>,
    uses_old_self: bool,
}

#[derive(Debug)]
struct ObjectRule {
    rule: ValidationRule,
    compiled: CompiledRule,
    /// Which field is to blame, seen from the value.
    field: Option<Path>,
}

impl SiteRules {
    fn compile(site: &Site<'_>) -> Self {
        let node = site.place.node;
        let shape = site.shape();
        let compiler = shape.as_ref().map(|shape| Compiler::new(shape, Minor::LATEST));
        let rules: Vec<ObjectRule> = compiler.iter().flat_map(|compiler| compile_all(compiler, node)).collect();
        let uses_old_self = rules.iter().any(|rule| rule.compiled.uses_old_self);
        Self { type_name: site.type_name().to_owned(), shape, rules, uses_old_self }
    }
}

fn compile_all(compiler: &Compiler, node: Node<'_>) -> Vec<ObjectRule> {
    let rules = node.validations().iter().filter(|rule| !rule.rule.trim().is_empty());
    rules
        .map(|rule| {
            let path = rule.field_path.as_deref().filter(|path| !path.is_empty());
            let field = path.and_then(|path| structural::field_path(path, node).ok()).map(|(path, _)| path);
            ObjectRule { rule: rule.clone(), compiled: compiler.compile(rule), field }
        })
        .collect()
}

impl ObjectRules {
    /// Compiles the rules of a schema, which was loaded from `open_api`.
    pub(crate) fn compile(schema: &Schema, open_api: &Value) -> Self {
        let sites = sites(schema, open_api);
        Self { sites: sites.iter().map(|site| (site.place.node.number(), SiteRules::compile(site))).collect() }
    }

    /// True for a schema without rules.
    pub(crate) fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// The rules that `object` breaks; `old` is the stored one on update. Rules that a part of the object broke before and that an
    /// update left as it was are only told to `warn`. Evaluation ends when it has cost too much, or when enough is found wrong.
    pub(crate) fn errors(
        &self,
        root: Node<'_>,
        object: &Value,
        old: Option<&Value>,
        warn: &mut dyn FnMut(String),
    ) -> Vec<Error> {
        let mut run = Run { remaining: OBJECT_COST_MAX, found: 0, errors: Vec::new(), warn };
        root.visit_rules(object, old, &mut |at| match self.sites.get(&at.node.number()) {
            Some(site) => run.site(site, at).is_ok(),
            None => true,
        });
        run.errors
    }
}

/// The evaluation ends here; why is among the errors.
struct Ended;

/// One evaluation of all rules on an object.
struct Run<'w> {
    /// Cost units left.
    remaining: u64,
    /// Broken rules, tolerated ones included.
    found: usize,
    errors: Vec<Error>,
    warn: &'w mut dyn FnMut(String),
}

/// What `oldSelf` is.
#[derive(Clone, Copy)]
enum Old<'v> {
    Unknown,
    Known(&'v Value),
    Optional(Option<&'v Value>),
}

struct Variables<'v> {
    value: &'v Value,
    old: Old<'v>,
    shape: &'v Shape,
}

impl Activation for Variables<'_> {
    fn variable(&self, name: &str) -> Option<cel::Value<'_>> {
        match (name, self.old) {
            (SELF, _) => Some(value_of(self.value, self.shape)),
            (OLD_SELF, Old::Known(old)) => Some(value_of(old, self.shape)),
            (OLD_SELF, Old::Optional(Some(old))) => Some(cel::Value::some(value_of(old, self.shape))),
            (OLD_SELF, Old::Optional(None)) => Some(cel::Value::Optional(None)),
            _ => None,
        }
    }
}

impl Run<'_> {
    fn site(&mut self, site: &SiteRules, at: &RuleValue<'_, '_>) -> Result<(), Ended> {
        let blame = |detail: &str| Error::invalid(&at.path, &site.type_name.as_str().into(), detail);
        let Some(shape) = &site.shape else {
            let detail = "rule compiler initialization error: failed to convert to declType for CEL validation rules";
            return self.report(blame(detail));
        };
        if self.remaining == 0 {
            return self.end(blame(OUT_OF_BUDGET));
        }
        let old = at.old.filter(|_| site.uses_old_self).map_or(Old::Unknown, Old::Known);
        let plain = Variables { value: at.value, old, shape };
        for rule in &site.rules {
            let condition = match &rule.compiled.condition {
                Ok(condition) => condition,
                Err(detail) => {
                    self.report(blame(&format!("rule compile error: {detail}")))?;
                    continue;
                }
            };
            let is_optional = rule.rule.optional_old_self == Some(true);
            if rule.compiled.uses_old_self && at.old.is_none() && !is_optional {
                continue;
            }
            let old = if is_optional && site.uses_old_self { Old::Optional(at.old) } else { plain.old };
            let variables = Variables { old, ..plain };
            let (result, cost) = holds(condition, &variables);
            let Some(remaining) = self.remaining.checked_sub(cost) else {
                return self.end(blame(OUT_OF_BUDGET));
            };
            self.remaining = remaining;
            match result {
                Ok(true) => {}
                Ok(false) => self.broken(site, rule, at, &plain)?,
                Err(fault) if fault.kind() == FaultKind::Error => {
                    self.report(blame(&unevaluated(&fault, &rule.rule)))?;
                }
                Err(fault) => {
                    let text = rule_text(&rule.rule);
                    return self.end(blame(&format!(
                        "'{fault}': no further validation rules will be run due to call cost exceeds limit for rule: {text}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Reports a rule that does not hold.
    fn broken(
        &mut self,
        site: &SiteRules,
        rule: &ObjectRule,
        at: &RuleValue<'_, '_>,
        variables: &Variables<'_>,
    ) -> Result<(), Ended> {
        let path = rule.field.as_ref().map_or_else(|| at.path.clone(), |field| at.path.child(field.as_str()));
        let is_tolerated = !rule.compiled.uses_old_self && at.is_unchanged();
        let computed = match &rule.compiled.message {
            Some(Ok(message)) => self.message(message, rule.rule.message_expression.as_deref(), variables),
            _ => Ok(None),
        };
        match computed {
            Ok(computed) => {
                let detail = computed.unwrap_or_else(|| default_message(&rule.rule));
                let has_parts = matches!(site.type_name.as_str(), "object" | "array");
                let value = (!has_parts).then_some(at.value);
                self.add(failure(&path, value, &detail, rule.rule.reason.as_deref()), is_tolerated)
            }
            Err(detail) => {
                // The error may be tolerated; that evaluation ends is not.
                let _ = self.add(Error::invalid(&path, &site.type_name.as_str().into(), &detail), is_tolerated);
                Err(Ended)
            }
        }
    }

    /// The computed message; `None` when the expression gives none that can be used. The error ends the evaluation.
    ///
    /// As upstream, `oldSelf` is never an optional here, whatever the rule says.
    fn message(
        &mut self,
        message: &Expression,
        source: Option<&str>,
        variables: &Variables<'_>,
    ) -> Result<Option<String>, String> {
        let mut budget = Budget::new(EVALUATION_COST_MAX);
        let result = message.program.eval(variables, &mut budget);
        let Some(remaining) = self.remaining.checked_sub(budget.cost()) else {
            return Err(
                "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run"
                    .to_owned(),
            );
        };
        match result {
            Ok(value) => {
                self.remaining = remaining;
                let text = value.as_str().map(str::trim).filter(|text| is_usable(text));
                Ok(text.map(str::to_owned))
            }
            Err(fault) if fault.kind() == FaultKind::Error => {
                self.remaining = remaining;
                Ok(None)
            }
            Err(_) => Err(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {}",
                field::quote(source.unwrap_or_default())
            )),
        }
    }

    fn add(&mut self, error: Error, is_tolerated: bool) -> Result<(), Ended> {
        if !is_tolerated {
            return self.report(error);
        }
        (self.warn)(error.to_string());
        self.count()
    }

    fn report(&mut self, error: Error) -> Result<(), Ended> {
        self.errors.push(error);
        self.count()
    }

    fn end(&mut self, error: Error) -> Result<(), Ended> {
        self.errors.push(error);
        Err(Ended)
    }

    fn count(&mut self) -> Result<(), Ended> {
        self.found += 1;
        if self.found < ERRORS_MAX { Ok(()) } else { Err(Ended) }
    }
}

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// Whether a condition holds, and what it cost to find out.
fn holds(condition: &Expression, variables: &Variables<'_>) -> (Result<bool, Fault>, u64) {
    let mut budget = Budget::new(EVALUATION_COST_MAX);
    let result = condition.program.eval(variables, &mut budget).map(|value| matches!(value, cel::Value::Bool(true)));
    (result, budget.cost())
}

fn is_usable(message: &str) -> bool {
    !message.is_empty() && message.len() <= MESSAGE_BYTES_MAX && !message.contains('\n')
}

/// How errors name a rule.
fn rule_text(rule: &ValidationRule) -> &str {
    match rule.message.as_deref() {
        None | Some("") => rule.rule.trim(),
        Some(message) => message.trim(),
    }
}

fn default_message(rule: &ValidationRule) -> String {
    match rule.message.as_deref() {
        None | Some("") => format!("failed rule: {}", rule_text(rule)),
        Some(message) => message.trim().to_owned(),
    }
}

fn unevaluated(fault: &Fault, rule: &ValidationRule) -> String {
    let text = rule_text(rule);
    if fault.message().starts_with("no such overload") {
        // Only what is typed as `dyn` gets past the checker with this.
        return format!(
            "'{fault}': call arguments did not match a supported operator, function or macro signature for rule: {text}"
        );
    }
    format!("{fault} evaluating rule: {text}")
}

/// The error of a broken rule, as the rule wants it. Objects and lists are not shown.
fn failure(path: &Path, value: Option<&Value>, detail: &str, reason: Option<&str>) -> Error {
    let unshown = |kind, message: String| Error { kind, path: path.clone(), message };
    match (reason, value) {
        (Some("FieldValueForbidden"), _) => Error::forbidden(path, detail),
        (Some("FieldValueRequired"), _) => Error::required(path, detail),
        (Some("FieldValueDuplicate"), Some(value)) => Error::duplicate(path, value),
        (Some("FieldValueDuplicate"), None) => unshown(ErrorKind::Duplicate, "Duplicate value".to_owned()),
        (_, Some(value)) => Error::invalid(path, value, detail),
        (_, None) => unshown(ErrorKind::Invalid, format!("Invalid value: {detail}")),
    }
}
