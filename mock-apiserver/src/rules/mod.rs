//! CEL validation rules of custom resources (`x-kubernetes-validations`): checked when a CRD is written, run when its objects are.
//! Knows schemas and CEL; knows nothing of storage and HTTP. Limits and words are those of apiextensions-apiserver.

mod compiled;
mod definition;
mod object;
mod site;
#[cfg(test)]
mod tests;

pub(crate) use definition::errors as definition_errors;
pub(crate) use object::ObjectRules;

/// The variable that holds the value a rule stands at.
const SELF: &str = "self";
/// The variable that holds what the value was before an update.
const OLD_SELF: &str = "oldSelf";
