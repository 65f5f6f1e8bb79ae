//! `Formula`: an expression in the configuration of authentication and authorization, over JSON documents.

use std::time::{Duration, Instant};

use cel::{Activation, Budget, Environment, Program, Shape, Type, json_of, value_of};
use serde_json::Value;

/// What one evaluation may cost, in CEL cost units (`PerCallLimit` of kube-apiserver).
const COST_MAX: u64 = 1_000_000;

/// Longest time of one evaluation.
const TIME_MAX: Duration = Duration::from_secs(1);

/// An expression ready to run.
#[derive(Debug)]
pub(crate) struct Formula {
    source: String,
    program: Program,
}

struct Documents<'a>(&'a [(&'a str, &'a Value)]);

impl Activation for Documents<'_> {
    fn variable(&self, name: &str) -> Option<cel::Value<'_>> {
        let (_, document) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(value_of(document, Shape::dynamic()))
    }
}

impl Formula {
    /// Compiles an expression over documents of these names.
    pub(crate) fn compile(source: &str, variables: &[&str]) -> Result<Self, String> {
        let environment = variables
            .iter()
            .fold(Environment::base(), |environment, name| environment.with_variable(name, Shape::simple(Type::Dyn)));
        let checked = environment.check(source).map_err(|issues| format!("compilation failed: {issues}"))?;
        let program = checked.program().map_err(|fault| fault.to_string())?;
        Ok(Self { source: source.to_owned(), program })
    }

    /// What the expression is for these documents.
    pub(crate) fn eval(&self, documents: &[(&str, &Value)]) -> Result<Value, String> {
        let start = Instant::now();
        let interrupt = || start.elapsed() > TIME_MAX;
        let mut budget = Budget::new(COST_MAX).with_interrupt(&interrupt);
        let documents = Documents(documents);
        let result = self.program.eval(&documents, &mut budget);
        let value = result.map_err(|fault| format!("expression '{}' resulted in error: {fault}", self.source))?;
        json_of(&value).ok_or_else(|| format!("expression '{}' gives no document", self.source))
    }

    /// Whether the expression holds for these documents.
    pub(crate) fn holds(&self, documents: &[(&str, &Value)]) -> Result<bool, String> {
        self.eval(documents).map(|value| value == Value::Bool(true))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formulas_read_documents() {
        let claims = json!({"sub": "jane", "groups": ["a", "b"]});
        let of = |source: &str| Formula::compile(source, &["claims"]).and_then(|it| it.eval(&[("claims", &claims)]));
        assert_eq!(of("'x:' + claims.sub"), Ok(json!("x:jane")));
        assert_eq!(of("claims.groups.map(g, 'dev:' + g)"), Ok(json!(["dev:a", "dev:b"])));
        assert_eq!(of("claims.?email.orValue('none')"), Ok(json!("none")));
        assert!(of("claims.none").is_err_and(|why| why.contains("no such key: none")));
        assert!(of("other.sub").is_err_and(|why| why.starts_with("compilation failed")));
    }
}
