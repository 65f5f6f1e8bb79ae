//! Validation of attributes that a request computes from devices (KEP-6080).

use machinery::field::{Error, Path};
use serde_json::Value;

use crate::{
    check,
    definition::Surroundings,
    format::{self, Errors},
    members::{list, present, text},
};

const ATTRIBUTES_MAX: usize = 32;
const EXPRESSION_MAX: usize = 10 * 1024;
/// Largest estimated cost of one expression, and of all in a claim together.
const COST_MAX: u64 = 1_000_000;

/// Checks the computed attributes of a claim's requests, and adds up what they cost.
pub(super) struct DerivedAttributes<'a> {
    constraints: &'a [Value],
    surroundings: &'a dyn Surroundings,
    cost: u64,
}

impl<'a> DerivedAttributes<'a> {
    /// For a claim with these constraints.
    pub(super) fn new(constraints: &'a [Value], surroundings: &'a dyn Surroundings) -> Self {
        Self { constraints, surroundings, cost: 0 }
    }

    /// Checks those of one request: `request` or `request/alternative`.
    pub(super) fn validate(&mut self, errors: &mut Errors, path: &Path, ask: &Value, request: &str) {
        let path = path.child("derivedAttributes");
        let attributes = list(ask, "derivedAttributes");
        let max = Some(ATTRIBUTES_MAX);
        check::unique_items(errors, &path, attributes, max, check::by("name"), |errors, path, attribute| {
            self.validate_one(errors, path, attribute, request);
        });
    }

    fn validate_one(&mut self, errors: &mut Errors, path: &Path, attribute: &Value, request: &str) {
        let name_path = path.child("name");
        match text(attribute, "name") {
            "" => errors.push(Error::required(&name_path, "")),
            name => {
                format::fully_qualified_name(errors, &name_path, name);
                if !self.is_compared(name, request) {
                    let detail = "must be referenced by at least one matchAttribute or distinctAttribute constraint targeting this request";
                    errors.push(Error::invalid(&name_path, &name.into(), detail));
                }
            }
        }
        let path = path.child("expression");
        let expression = text(attribute, "expression");
        if expression.is_empty() {
            errors.push(Error::required(&path, ""));
        } else if expression.len() > EXPRESSION_MAX {
            errors.push(Error::too_long(&path, EXPRESSION_MAX));
        } else {
            match self.surroundings.check_derived_attribute(expression) {
                Err(detail) => errors.push(Error::invalid(&path, &expression.into(), &detail)),
                Ok(cost) => {
                    self.cost = self.cost.saturating_add(cost);
                    if cost > COST_MAX {
                        errors.push(Error::forbidden(&path, "too complex, exceeds cost limit"));
                    }
                }
            }
        }
    }

    /// Whether a constraint on the request, on the request that it is an alternative of, or on all, compares the attribute.
    fn is_compared(&self, name: &str, request: &str) -> bool {
        let parent = request.split('/').next();
        self.constraints.iter().any(|constraint| {
            let compared = present(constraint, "matchAttribute").or_else(|| present(constraint, "distinctAttribute"));
            let requests = list(constraint, "requests");
            let targets = |target: &Value| target.as_str() == Some(request) || target.as_str() == parent;
            compared.and_then(Value::as_str) == Some(name) && (requests.is_empty() || requests.iter().any(targets))
        })
    }

    /// Checks what all of them cost together.
    pub(super) fn validate_cost(&self, errors: &mut Errors, devices: &Path) {
        if self.cost > COST_MAX {
            let detail = "too complex, total cost of derived attribute CEL expressions in the claim exceeds cost limit";
            errors.push(Error::forbidden(devices, detail));
        }
    }
}
