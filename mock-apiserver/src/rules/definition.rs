//! What is wrong with the rules of a CRD, and what they may cost.

use cel::Minor;
use machinery::field::{Error, ErrorKind, Path};
use schema::{Node, Schema, ValidationRule};
use serde_json::Value;

use super::{
    compiled::{CompiledRule, Compiler, Expression},
    object::ObjectRules,
    site::{Site, sites},
};
use crate::json;

/// Estimated cost that one expression may have: upstream's `StaticEstimatedCostLimit`.
const EXPRESSION_COST_MAX: u64 = 10_000_000;
/// Estimated cost that all rules of a schema may have: upstream's `StaticEstimatedCRDCostLimit`.
const TOTAL_COST_MAX: u64 = 100_000_000;
/// How many expressions are blamed for the total.
const BLAMED: usize = 4;

/// Everything wrong with the rules in an `openAPIV3Schema`, which must be structural. `path` is where it stands. Without `new`, the
/// release whose functions a new schema may use, the write leaves it unchanged: then it may hold expressions that cost too much and
/// functions of any release, since they were accepted before.
pub(crate) fn errors(open_api: &Value, path: &Path, object_meta: &Schema, new: Option<Minor>) -> Vec<Error> {
    let schema = match Schema::from_custom(open_api, object_meta) {
        Ok(schema) => schema,
        Err(error) => return vec![Error::invalid(path, &"".into(), &error.to_string())],
    };
    let mut check = Check { new, costs: Vec::new(), errors: Vec::new() };
    for site in sites(&schema, open_api) {
        check.site(&site, path);
    }
    check.total(path);
    if new.is_some() && check.errors.is_empty() {
        let rules = ObjectRules::compile(&schema, open_api);
        if !rules.is_empty() {
            default_errors(&rules, schema.root(), open_api, path, &mut check.errors);
        }
    }
    check.errors
}

/// Adds what rules find wrong with the defaults in a schema. Each is looked at as it is, without those that lie in it.
fn default_errors(rules: &ObjectRules, node: Node<'_>, open_api: &Value, path: &Path, errors: &mut Vec<Error>) {
    if let Some(default) = open_api.get("default").filter(|default| !default.is_null()) {
        let path = path.child("default");
        errors.extend(rules.errors(node, default, None, &mut |_| {}).into_iter().map(|mut error| {
            error.path = match error.path.as_str() {
                inside if inside.starts_with('[') => Path::new(&format!("{path}{inside}")),
                _ => below(&path, &error.path),
            };
            error
        }));
    }
    if let (Some(items), Some(open_api)) = (node.items(), open_api.get("items")) {
        default_errors(rules, items, open_api, &path.child("items"), errors);
    }
    for (name, open_api) in open_api.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(property) = node.property(name) {
            default_errors(rules, property, open_api, &path.child("properties").key(name), errors);
        }
    }
}

struct Check {
    new: Option<Minor>,
    /// Where expressions stand, and what they cost.
    costs: Vec<(Path, u64)>,
    errors: Vec<Error>,
}

impl Check {
    fn site(&mut self, site: &Site<'_>, root: &Path) {
        let path = below(root, &site.place.path);
        let rules_path = path.child("x-kubernetes-validations");
        let Some(shape) = site.shape() else {
            let detail = "internal error: failed to construct type information for x-kubernetes-validations rules: \
                          unable to convert structural schema to CEL declarations";
            return self.errors.push(Error::internal(&rules_path, detail));
        };
        let compiler = Compiler::new(&shape, self.new.unwrap_or(Minor::LATEST));
        let cardinality = site.cardinality();
        let uncorrelatable = site.place.uncorrelatable.as_ref().map(|within| below(root, within));
        for (index, rule) in site.place.node.validations().iter().enumerate() {
            let compiled = compiler.compile(rule);
            let path = rules_path.index(index);
            self.condition(rule, &compiled, cardinality, &path);
            self.message(rule, &compiled, &path);
            self.old_self(rule, &compiled, uncorrelatable.as_ref(), &path);
        }
    }

    fn condition(&mut self, rule: &ValidationRule, compiled: &CompiledRule, cardinality: u64, path: &Path) {
        let path = path.child("rule");
        self.cost("estimated rule cost", compiled.max_cost().saturating_mul(cardinality), &path);
        if let Err(detail) = &compiled.condition {
            self.errors.push(invalid_rule(&path, rule, detail));
        }
    }

    fn message(&mut self, rule: &ValidationRule, compiled: &CompiledRule, path: &Path) {
        let path = path.child("messageExpression");
        match &compiled.message {
            None => {}
            Some(Err(detail)) => self.errors.push(invalid_rule(&path, rule, detail)),
            Some(Ok(Expression { max_cost, .. })) => self.cost("estimated messageExpression cost", *max_cost, &path),
        }
    }

    fn old_self(&mut self, rule: &ValidationRule, compiled: &CompiledRule, within: Option<&Path>, path: &Path) {
        match (compiled.uses_old_self, within, rule.optional_old_self) {
            (true, Some(within), _) => {
                let detail =
                    format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {within}");
                self.errors.push(Error::invalid(&path.child("rule"), &rule.rule.as_str().into(), &detail));
            }
            (false, _, Some(optional)) => {
                let detail = "may not be set if oldSelf is not used in rule";
                self.errors.push(Error::invalid(&path.child("optionalOldSelf"), &optional.into(), detail));
            }
            _ => {}
        }
    }

    fn cost(&mut self, what: &str, cost: u64, path: &Path) {
        if self.new.is_some() && cost > EXPRESSION_COST_MAX {
            self.errors.push(Error::forbidden(path, &excess(what, cost, EXPRESSION_COST_MAX)));
        }
        self.costs.push((path.clone(), cost));
    }

    fn total(&mut self, path: &Path) {
        let total = self.costs.iter().fold(0_u64, |total, (_, cost)| total.saturating_add(*cost));
        if total <= TOTAL_COST_MAX {
            return;
        }
        self.costs.retain(|(_, cost)| *cost >= TOTAL_COST_MAX / 100);
        self.costs.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
        self.errors.extend(self.costs.iter().take(BLAMED).map(|(path, _)| Error::forbidden(path, detail)));
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        self.errors.push(Error::forbidden(path, &excess(what, total, TOTAL_COST_MAX)));
    }
}

/// A path within the schema, seen from outside of it.
fn below(root: &Path, path: &Path) -> Path {
    if *path == Path::root() { root.clone() } else { root.child(path.as_str()) }
}

fn excess(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        huge if huge > 100.0 => "more than 100x".to_owned(),
        // One digit would read as a factor of 1.
        small if small < 1.5 => format!("{small:.6}x"),
        other => format!("{other:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength \
         where arrays, maps, and strings are declared)"
    )
}

/// An error that shows the whole rule, as Go encodes upstream's internal type of it: all members, in their order there.
fn invalid_rule(path: &Path, rule: &ValidationRule, detail: &str) -> Error {
    let text = |text: Option<&str>| Value::from(text.unwrap_or_default());
    let members = [
        ("Rule", text(Some(&rule.rule))),
        ("Message", text(rule.message.as_deref())),
        ("MessageExpression", text(rule.message_expression.as_deref())),
        ("Reason", rule.reason.as_deref().map_or(Value::Null, Value::from)),
        ("FieldPath", text(rule.field_path.as_deref())),
        ("OptionalOldSelf", rule.optional_old_self.map_or(Value::Null, Value::from)),
    ];
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("\"{name}\":{}", String::from_utf8_lossy(&json::encode(value)).trim_end()))
        .collect();
    let message = format!("Invalid value: {{{}}}: {detail}", members.join(","));
    Error { kind: ErrorKind::Invalid, path: path.clone(), message }
}
