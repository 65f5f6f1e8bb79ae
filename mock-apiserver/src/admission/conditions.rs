//! Match conditions: expressions that all must hold before a policy or webhook is asked.

use cel::Minor;
use machinery::field::{Error, Path};
use serde_json::Value;

use super::expression::{
    CONDITIONS_COST_MAX, Compiler, Documents, Evaluation, Expression, Extent, Failure, Gives, Inputs, Variables,
};

/// The conditions of a policy or webhook.
#[derive(Debug, Default)]
pub(super) struct Conditions(Vec<Result<Expression, String>>);

impl Conditions {
    /// Compiles `matchConditions` of `holder`.
    pub(super) fn compile(holder: &Value, has_params: bool) -> Self {
        Self::compile_for(holder, has_params, Minor::LATEST)
    }

    fn compile_for(holder: &Value, has_params: bool, minor: Minor) -> Self {
        let list = list(holder);
        if list.is_empty() {
            return Self::default();
        }
        let compiler = Compiler::new(&Documents::unknown(has_params), Extent::Authorizer, minor);
        let source =
            |condition: &Value| condition.get("expression").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self(list.iter().map(|condition| compiler.compile(&source(condition), Gives::Bool)).collect())
    }

    /// What is wrong with them where they may use what there is in `minor`; `path` is where `holder` stands.
    pub(super) fn errors(holder: &Value, path: &Path, has_params: bool, minor: Minor) -> Vec<Error> {
        let compiled = Self::compile_for(holder, has_params, minor).0;
        let wrong = compiled.into_iter().zip(list(holder)).enumerate().filter_map(|(index, (compiled, condition))| {
            let path = path.child("matchConditions").index(index).child("expression");
            compiled.err().map(|why| Error::invalid(&path, condition.get("expression").unwrap_or(&Value::Null), &why))
        });
        wrong.collect()
    }

    /// Whether all hold. One that does not hold decides, whatever becomes of the others.
    pub(super) fn hold(&self, inputs: &Inputs<'_>) -> Result<bool, String> {
        if self.0.is_empty() {
            return Ok(true);
        }
        let variables = Variables::default();
        let evaluation = Evaluation::new(inputs, &variables, CONDITIONS_COST_MAX);
        let mut errors = Vec::new();
        for condition in &self.0 {
            let expression = match condition {
                Ok(expression) => expression,
                Err(why) => {
                    errors.push(why.clone());
                    continue;
                }
            };
            match evaluation.eval(expression) {
                Ok(cel::Value::Bool(true)) => {}
                Ok(_) => return Ok(false),
                Err(Failure::OutOfBudget) => return Err(Failure::OutOfBudget.to_string()),
                Err(failure) => errors.push(failure.to_string()),
            }
        }
        match errors.as_slice() {
            [] => Ok(true),
            [only] => Err(only.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }
}

fn list(holder: &Value) -> &[Value] {
    holder.get("matchConditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
