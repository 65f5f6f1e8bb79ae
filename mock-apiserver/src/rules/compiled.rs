//! One rule compiled: its expression, and the expression of its message.

use cel::{Environment, Minor, Program, Shape, Type};
use schema::ValidationRule;

use super::{OLD_SELF, SELF};

/// An expression ready to run.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) program: Program,
    /// The estimated cost in the worst case, in CEL cost units.
    pub(super) max_cost: u64,
}

/// What compiling a rule gave. Errors are in upstream's words.
#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) condition: Result<Expression, String>,
    pub(super) uses_old_self: bool,
    /// `None` without a `messageExpression`, or without a condition that compiles.
    pub(super) message: Option<Result<Expression, String>>,
}

impl CompiledRule {
    /// Cost of the condition; 0 where it does not compile.
    pub(super) fn max_cost(&self) -> u64 {
        self.condition.as_ref().map_or(0, |condition| condition.max_cost)
    }
}

/// Compiles the rules of one place.
pub(super) struct Compiler {
    plain: Environment,
    /// Where `oldSelf` is an optional.
    optional: Environment,
}

impl Compiler {
    /// A compiler for values of this shape, and for expressions that may use what there is in `minor`.
    pub(super) fn new(shape: &Shape, minor: Minor) -> Self {
        let environment = Environment::of(minor).with_variable(SELF, shape.clone());
        let optional_shape = Shape::simple(Type::optional(shape.ty()));
        Self {
            plain: environment.clone().with_variable(OLD_SELF, shape.clone()),
            optional: environment.with_variable(OLD_SELF, optional_shape),
        }
    }

    /// Compiles a rule.
    pub(super) fn compile(&self, rule: &ValidationRule) -> CompiledRule {
        let environment = if rule.optional_old_self == Some(true) { &self.optional } else { &self.plain };
        let mut uses_old_self = false;
        let condition = compile_condition(environment, &rule.rule, &mut uses_old_self);
        let message = rule
            .message_expression
            .as_deref()
            .filter(|source| condition.is_ok() && !source.is_empty())
            .map(|source| compile_message(environment, source));
        CompiledRule { condition, uses_old_self, message }
    }
}

fn compile_condition(environment: &Environment, source: &str, uses_old_self: &mut bool) -> Result<Expression, String> {
    let checked = environment.check(source).map_err(|issues| format!("compilation failed: {issues}"))?;
    if *checked.output_type() != Type::Bool {
        return Err("cel expression must evaluate to a bool".to_owned());
    }
    *uses_old_self = checked.uses(OLD_SELF);
    let program = checked.program().map_err(|fault| format!("program instantiation failed: {fault}"))?;
    Ok(Expression { program, max_cost: checked.max_cost() })
}

fn compile_message(environment: &Environment, source: &str) -> Result<Expression, String> {
    let checked =
        environment.check(source).map_err(|issues| format!("messageExpression compilation failed: {issues}"))?;
    if *checked.output_type() != Type::String {
        return Err("messageExpression must evaluate to a string".to_owned());
    }
    let program = checked.program().map_err(|fault| format!("messageExpression instantiation failed: {fault}"))?;
    Ok(Expression { program, max_cost: checked.max_cost() })
}
