//! `x-kubernetes-validations`: the CEL rules of a CRD, compiled once and run on every write of its objects.
//!
//! The words and the limits are those of apiextensions.

use std::collections::HashMap;

use cel::{Activation, Budget, Environment, FaultKind, Program, Shape, Type, Value as CelValue};
use machinery::{
    field::{Error, ErrorKind, Path},
    limits,
};
use schema::{Node, RuleSite, Schema, ValidationRule, structural};
use serde_json::Value;

/// Cost of one evaluation: upstream's `PerCallLimit`.
const CALL_COST_MAX: u64 = 1_000_000;

/// Cost of all rules of one object: upstream's `RuntimeCELCostBudget`.
const OBJECT_COST_MAX: u64 = 10_000_000;

/// Estimated cost of one rule: upstream's `StaticEstimatedCostLimit`.
const RULE_ESTIMATE_MAX: u64 = 10_000_000;

/// Estimated cost of all rules of a schema: upstream's `StaticEstimatedCRDCostLimit`.
const SCHEMA_ESTIMATE_MAX: u64 = 100_000_000;

const SELF: &str = "self";
const OLD_SELF: &str = "oldSelf";

/// The rules of one schema.
#[derive(Default)]
pub struct RuleSet {
    /// Rules by the number of the schema node they stand at.
    sites: HashMap<u32, Site>,
}

impl std::fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSet").field("sites", &self.sites.len()).finish()
    }
}

/// The rules of one node.
struct Site {
    shape: Shape,
    rules: Vec<Rule>,
}

struct Rule {
    declared: ValidationRule,
    program: Program,
    /// Makes the message, where it is computed.
    message: Option<Program>,
    uses_old: bool,
}

/// Why a rule is none.
enum Wrong {
    Missing,
    Invalid(String),
}

/// A rule that compiles, and what it may cost.
struct Compiled {
    rule: Rule,
    cost: u64,
    message_cost: u64,
}

impl RuleSet {
    /// Compiles the rules of a schema; those that do not compile were refused when they were written, and are left out.
    pub fn new(schema: &Schema, open_api: &Value) -> Self {
        let mut sites = HashMap::new();
        for site in schema.rule_sites() {
            let Some(shape) = shape(open_api, &site) else { continue };
            let rules = site
                .node
                .validations()
                .iter()
                .filter_map(|rule| compile(rule, &shape).ok())
                .map(|compiled| compiled.rule)
                .collect();
            sites.insert(site.node.number(), Site { shape, rules });
        }
        Self { sites }
    }

    /// True when there is nothing to check.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// What the rules have to say about an object; `old` is the stored one on update.
    pub fn errors(&self, schema: &Schema, object: &Value, old: Option<&Value>) -> Vec<Error> {
        let mut errors = Vec::new();
        let mut spent = 0_u64;
        schema.root().visit_rules(object, old, &mut |path, node, value, old| {
            let Some(site) = self.sites.get(&node.number()) else { return true };
            for rule in &site.rules {
                let mut found = Vec::new();
                let goes_on = site.run(rule, path, node, value, old, &mut spent, &mut found);
                // What is wrong with a value that did not change is tolerated.
                if rule.uses_old || old != Some(value) {
                    errors.append(&mut found);
                }
                if !goes_on {
                    return false;
                }
            }
            true
        });
        errors
    }
}

/// The variables of a rule.
struct Variables<'a> {
    current: CelValue<'a>,
    old: Option<CelValue<'a>>,
}

impl Activation for Variables<'_> {
    fn variable(&self, name: &str) -> Option<CelValue<'_>> {
        match name {
            SELF => Some(self.current.clone()),
            OLD_SELF => self.old.clone(),
            _ => None,
        }
    }
}

impl Site {
    /// Runs one rule. False when no other is to be run.
    #[allow(clippy::too_many_arguments, reason = "one call site, and all of it differs from rule to rule")]
    fn run(
        &self,
        rule: &Rule,
        path: &Path,
        node: Node<'_>,
        value: &Value,
        old: Option<&Value>,
        spent: &mut u64,
        errors: &mut Vec<Error>,
    ) -> bool {
        let optional = rule.declared.optional_old_self == Some(true);
        if rule.uses_old && old.is_none() && !optional {
            return true;
        }
        let old = old.map(|old| cel::value_of(old, &self.shape));
        let old = if optional { Some(old.map_or(CelValue::Optional(None), CelValue::some)) } else { old };
        let variables = Variables { current: cel::value_of(value, &self.shape), old };
        let mut budget = Budget::new(CALL_COST_MAX);
        let outcome = rule.program.eval(&variables, &mut budget);
        *spent = spent.saturating_add(budget.cost());
        let shown = shown(&rule.declared);
        let type_name: Value = type_name(value).into();
        match outcome {
            Ok(CelValue::Bool(true)) => {}
            Ok(CelValue::Bool(false)) => {
                let detail = rule.detail(&variables);
                errors.push(rule.error(path, node, value, &detail));
            }
            Ok(_) => errors.push(Error::invalid(path, &type_name, "must evaluate to a bool")),
            Err(fault) if fault.kind() == FaultKind::CostLimit => {
                let why = format!(
                    "'{}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}",
                    fault.message()
                );
                errors.push(Error::invalid(path, &type_name, &why));
                return false;
            }
            Err(fault) if fault.message().starts_with("no such overload") => {
                let why = format!(
                    "'{}': call arguments did not match a supported operator, function or macro signature for rule: {shown}",
                    fault.message()
                );
                errors.push(Error::invalid(path, &type_name, &why));
            }
            Err(fault) => {
                let why = format!("{} evaluating rule: {shown}", fault.message());
                errors.push(Error::invalid(path, &type_name, &why));
            }
        }
        if *spent > OBJECT_COST_MAX {
            let why = "validation failed due to running out of cost budget, no further validation rules will be run";
            errors.push(Error::invalid(path, &type_name, why));
            return false;
        }
        true
    }
}

impl Rule {
    /// What a failure says: the computed message, the fixed one, or the rule itself.
    fn detail(&self, variables: &Variables<'_>) -> String {
        if let Some(program) = &self.message {
            let mut budget = Budget::new(CALL_COST_MAX);
            let computed = program.eval(variables, &mut budget).ok();
            let text = computed.as_ref().and_then(CelValue::as_str).map(str::trim).unwrap_or_default();
            if !text.is_empty() && !text.contains('\n') {
                return text.to_owned();
            }
        }
        match self.declared.message.as_deref().map(str::trim) {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => format!("failed rule: {}", self.declared.rule.trim()),
        }
    }

    fn error(&self, path: &Path, node: Node<'_>, value: &Value, detail: &str) -> Error {
        let path = match self.declared.field_path.as_deref().map(|field| structural::field_path(field, node)) {
            Some(Ok((field, _))) => joined(path, field.as_str()),
            _ => path.clone(),
        };
        match self.declared.reason.as_deref() {
            Some("FieldValueForbidden") => Error::forbidden(&path, detail),
            Some("FieldValueRequired") => Error::required(&path, detail),
            Some("FieldValueDuplicate") => Error::duplicate(&path, value),
            _ if value.is_object() || value.is_array() => {
                // Upstream leaves the value of a struct or list out.
                Error { kind: ErrorKind::Invalid, path, message: format!("Invalid value: {detail}") }
            }
            _ => Error::invalid(&path, value, detail),
        }
    }
}

/// A path below another; `below` may begin with a bracket.
fn joined(path: &Path, below: &str) -> Path {
    match (path.as_str(), below) {
        (_, "") => path.clone(),
        ("", _) => Path::new(below),
        (above, _) if below.starts_with('[') => Path::new(&format!("{above}{below}")),
        _ => path.child(below),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// How an error names a rule that could not be run.
fn shown(rule: &ValidationRule) -> &str {
    match rule.message.as_deref() {
        Some(message) if !message.is_empty() => message,
        _ => &rule.rule,
    }
}

/// The part of an `openAPIV3Schema` at the path of a site (`properties[spec].items`).
fn part_of<'a>(open_api: &'a Value, path: &str) -> Option<&'a Value> {
    let mut here = open_api;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix("properties[") {
            // A property's name may hold a bracket: the longest name that exists is meant.
            let properties = here.get("properties")?.as_object()?;
            let (name, property) = properties
                .iter()
                .filter(|(name, _)| tail.starts_with(name.as_str()) && tail[name.len()..].starts_with(']'))
                .max_by_key(|(name, _)| name.len())?;
            here = property;
            rest = &tail[name.len() + 1..];
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            here = here.get(&rest[..end])?;
            rest = &rest[end..];
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    Some(here)
}

fn shape(open_api: &Value, site: &RuleSite<'_>) -> Option<Shape> {
    let part = part_of(open_api, site.path.as_str())?;
    let is_root = site.path.as_str().is_empty() || part["x-kubernetes-embedded-resource"] == true;
    cel::shape_of_schema(part, "selfType", is_root)
}

fn compile(rule: &ValidationRule, shape: &Shape) -> Result<Compiled, Wrong> {
    if rule.rule.trim().is_empty() {
        return Err(Wrong::Missing);
    }
    let without_old = Environment::base().with_variable(SELF, shape.clone()).with_binding();
    let old = match rule.optional_old_self {
        Some(true) => Shape::simple(Type::optional(shape.ty())),
        _ => shape.clone(),
    };
    let with_old = without_old.clone().with_variable(OLD_SELF, old);
    // A rule that means something without the old value does not look at it.
    let (checked, uses_old) = match without_old.check(&rule.rule) {
        Ok(checked) => (checked, false),
        Err(_) => match with_old.check(&rule.rule) {
            Ok(checked) => (checked, true),
            Err(issues) => return Err(Wrong::Invalid(format!("compilation failed: {issues}"))),
        },
    };
    if *checked.output_type() != Type::Bool {
        return Err(Wrong::Invalid("cel expression must evaluate to a bool".to_owned()));
    }
    let instantiate = |checked: &cel::Checked| {
        checked.program().map_err(|fault| Wrong::Invalid(format!("program instantiation failed: {}", fault.message())))
    };
    let program = instantiate(&checked)?;
    let (mut message, mut message_cost) = (None, 0);
    if let Some(expression) = &rule.message_expression {
        let environment = if uses_old { &with_old } else { &without_old };
        if let Ok(checked) = environment.check(expression)
            && *checked.output_type() == Type::String
        {
            message_cost = checked.max_cost();
            message = Some(instantiate(&checked)?);
        }
    }
    let cost = checked.max_cost();
    Ok(Compiled { rule: Rule { declared: rule.clone(), program, message, uses_old }, cost, message_cost })
}

/// Everything wrong with the rules of a schema that is about to be stored; `path` is that of the `openAPIV3Schema`.
pub fn schema_errors(schema: &Schema, open_api: &Value, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut total = 0_u64;
    for site in schema.rule_sites() {
        let Some(shape) = shape(open_api, &site) else { continue };
        let part = part_of(open_api, site.path.as_str()).unwrap_or(&Value::Null);
        let place = joined(path, site.path.as_str());
        for (index, rule) in site.node.validations().iter().enumerate() {
            let place = place.child("x-kubernetes-validations").index(index);
            let raw = part.get("x-kubernetes-validations").and_then(|rules| rules.get(index)).unwrap_or(&Value::Null);
            match compile(rule, &shape) {
                Err(Wrong::Missing) => errors.push(Error::required(&place.child("rule"), "rule is not specified")),
                Err(Wrong::Invalid(why)) => errors.push(Error::invalid(&place.child("rule"), raw, &why)),
                Ok(compiled) => {
                    if let (true, Some(uncorrelatable)) = (compiled.rule.uses_old, &site.uncorrelatable) {
                        let why = format!(
                            "oldSelf cannot be used on the uncorrelatable portion of the schema within {}",
                            joined(path, uncorrelatable.as_str())
                        );
                        errors.push(Error::invalid(&place.child("rule"), raw, &why));
                    }
                    let times = cardinality(&site, part);
                    let cost = compiled.cost.saturating_mul(times);
                    let message_cost = compiled.message_cost.saturating_mul(times);
                    total = total.saturating_add(cost);
                    for (cost, name, member) in
                        [(cost, "rule", "rule"), (message_cost, "messageExpression", "messageExpression")]
                    {
                        if cost > RULE_ESTIMATE_MAX {
                            let why = cost_message(&format!("estimated {name} cost"), cost, RULE_ESTIMATE_MAX);
                            errors.push(Error::forbidden(&place.child(member), &why));
                        }
                    }
                    if rule.message_expression.is_some() && compiled.rule.message.is_none() {
                        let shown = Value::from(rule.message_expression.as_deref().unwrap_or_default());
                        let why = "messageExpression must compile and evaluate to a string";
                        errors.push(Error::invalid(&place.child("messageExpression"), &shown, why));
                    }
                }
            }
        }
    }
    if total > SCHEMA_ESTIMATE_MAX {
        let why = cost_message(
            "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema",
            total,
            SCHEMA_ESTIMATE_MAX,
        );
        errors.push(Error::forbidden(path, &why));
    }
    errors
}

/// How many values a rule may look at in one request.
fn cardinality(site: &RuleSite<'_>, part: &Value) -> u64 {
    site.cardinality.unwrap_or_else(|| {
        let least = cel::min_bytes_of_schema(part).unwrap_or(1);
        limits::REQUEST_BODY_BYTES_MAX as u64 / least.saturating_add(1)
    })
}

fn cost_message(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(open_api: &Value, object: &Value, old: Option<&Value>) -> Vec<String> {
        let schema = load(open_api);
        RuleSet::new(&schema, open_api).errors(&schema, object, old).iter().map(ToString::to_string).collect()
    }

    fn load(open_api: &Value) -> Schema {
        Schema::from_custom(open_api, crate::catalog::object_meta().expect("it loads")).expect("it loads")
    }

    fn open_api(spec_rules: &Value, size_rules: &Value) -> Value {
        json!({"type": "object", "properties": {"spec": {
            "type": "object", "x-kubernetes-validations": spec_rules,
            "properties": {"size": {"type": "integer", "x-kubernetes-validations": size_rules}, "color": {"type": "string", "maxLength": 9}},
        }}})
    }

    #[test]
    fn rules_fail_in_upstreams_words() {
        let rules = json!([
            {"rule": "self.size <= 10", "message": "size too big"},
            {"rule": "self.color == oldSelf.color", "message": "color is immutable", "reason": "FieldValueForbidden", "fieldPath": ".color"},
            {"rule": "self.size != 7", "messageExpression": "'not ' + string(self.size)"},
        ]);
        let schema = open_api(&rules, &json!([{"rule": "self >= 1"}]));
        let object = |size: i64, color: &str| json!({"spec": {"size": size, "color": color}});
        assert_eq!(check(&schema, &object(5, "red"), None), [""; 0]);
        assert_eq!(check(&schema, &object(11, "red"), None), ["spec: Invalid value: size too big"]);
        assert_eq!(check(&schema, &object(0, "red"), None), ["spec.size: Invalid value: 0: failed rule: self >= 1"]);
        assert_eq!(check(&schema, &object(7, "red"), None), ["spec: Invalid value: not 7"]);
        assert_eq!(
            check(&schema, &object(5, "blue"), Some(&object(5, "red"))),
            ["spec.color: Forbidden: color is immutable"]
        );
        assert_eq!(
            check(&schema, &object(0, "red"), Some(&object(0, "red"))),
            [""; 0],
            "what did not change is tolerated"
        );
        assert_eq!(
            check(&schema, &json!({"spec": {"size": 5}}), Some(&object(5, "red"))),
            ["spec: Invalid value: \"object\": no such key: color evaluating rule: color is immutable"]
        );
    }

    #[test]
    fn rules_that_cannot_run_are_refused() {
        let errors = |spec_rules: Value, size_rules: Value| {
            let open_api = open_api(&spec_rules, &size_rules);
            let path = Path::new("spec.validation.openAPIV3Schema");
            schema_errors(&load(&open_api), &open_api, &path).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(errors(json!([{"rule": "self.size > 1 && has(self.color)"}]), json!([])), [""; 0]);
        let wrong = errors(json!([{"rule": "self.nope"}]), json!([{"rule": "self"}]));
        assert!(
            wrong[0].starts_with(
                "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Invalid value: {\"rule\":\"self.nope\"}: compilation failed: ERROR: <input>:1:5: undefined field 'nope'"
            ),
            "{}",
            wrong[0]
        );
        assert!(wrong[1].ends_with("cel expression must evaluate to a bool"), "{}", wrong[1]);
        let long = json!({"type": "object", "properties": {"list": {"type": "array", "items": {"type": "string"},
            "x-kubernetes-validations": [{"rule": "self.all(a, self.all(b, a != b))"}]}}});
        let path = Path::new("spec.validation.openAPIV3Schema");
        let costly = schema_errors(&load(&long), &long, &path);
        assert!(
            costly[0].to_string().contains("Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems"),
            "{}",
            costly[0]
        );
    }
}
