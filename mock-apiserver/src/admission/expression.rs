//! Expressions of policies and webhooks: what they may use, and what they evaluate to. Limits and words are those of upstream's
//! `apiserver/pkg/admission/plugin/cel`.

use std::{
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cel::{
    Activation, Authorizer, Budget, Environment, Fault, FaultKind, Field, Map, Mapping, Minor, Program, Question,
};
use cel::{Shape, Type, value_of};
use serde_json::Value;

/// What one evaluation may cost: upstream's `PerCallLimit`, in CEL cost units.
const EVALUATION_COST_MAX: u64 = 1_000_000;
/// What all evaluations of one policy for one request may cost: upstream's `RuntimeCELCostBudget`.
pub(super) const COST_MAX: u64 = 10_000_000;
/// What all match conditions may cost: upstream's `RuntimeCELCostBudgetMatchConditions`.
pub(super) const CONDITIONS_COST_MAX: u64 = 2_500_000;
/// Most variables of a policy.
const VARIABLES_MAX: usize = 500;
/// Variables that may wait for each other's values at once.
const VARIABLES_DEPTH_MAX: u32 = 64;
/// Longest time that one expression is evaluated.
const EVALUATION_TIME_MAX: Duration = Duration::from_secs(2);

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// What an expression must evaluate to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// True or false.
    Bool,
    /// A text.
    Text,
    /// A text or null.
    TextOrNull,
    /// A configuration to apply.
    Object,
    /// The operations of a JSON patch.
    Patches,
    /// Whatever it likes.
    Anything,
}

impl Gives {
    /// Why a type is not the right one.
    fn refuse(self, ty: &Type) -> Option<String> {
        let (fits, wanted) = match self {
            Self::Bool => (*ty == Type::Bool, "bool"),
            Self::Text => (*ty == Type::String, "string"),
            Self::TextOrNull => (matches!(ty, Type::String | Type::Null), "one of [string null_type]"),
            Self::Object => (*ty == Type::object("Object"), "Object"),
            Self::Patches => (*ty == Type::list(Type::object("JSONPatch")), "list(JSONPatch)"),
            Self::Anything => (true, ""),
        };
        (!fits).then(|| format!("must evaluate to {wanted} but got {}", ty.declared_name()))
    }
}

/// An expression ready to run.
#[derive(Debug)]
pub(super) struct Expression {
    source: String,
    program: Program,
}

/// A variable of a policy: evaluated when an expression first asks for it.
#[derive(Debug)]
struct Variable {
    name: String,
    expression: Expression,
}

/// What is known of the documents that expressions look at.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    /// `object` and `oldObject`.
    pub(super) object: Shape,
    /// `params`, where there may be some.
    pub(super) params: Option<Shape>,
}

impl Documents {
    /// Nothing: everything is found out at run time.
    pub(super) fn unknown(has_params: bool) -> Self {
        let dynamic = || Shape::simple(Type::Dyn);
        Self { object: dynamic(), params: has_params.then(dynamic) }
    }
}

/// What expressions may use beside the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Whether somebody may do something.
    Authorizer,
    /// Nothing: the message of a validation must not depend on what others may do.
    Message,
    /// Constructors of objects and patches too.
    Mutation,
}

/// Compiles the expressions of one policy or webhook.
#[derive(Clone)]
pub(super) struct Compiler {
    environment: Environment,
    declared: Vec<(String, Field)>,
}

impl Compiler {
    /// A compiler for expressions that may use what there is in `minor`, and no variables.
    pub(super) fn new(documents: &Documents, extent: Extent, minor: Minor) -> Self {
        let mut environment = Environment::of(minor)
            .with_variable("object", documents.object.clone())
            .with_variable("oldObject", documents.object.clone())
            .with_variable("request", REQUEST.clone())
            .with_variable("namespaceObject", NAMESPACE.clone());
        if extent != Extent::Message {
            environment = environment
                .with_variable("authorizer", cel::authorizer_shape())
                .with_variable("authorizer.requestResource", cel::resource_check_shape());
        }
        if let Some(params) = &documents.params {
            environment = environment.with_variable("params", params.clone());
        }
        if extent == Extent::Mutation {
            environment = environment.with_mutation();
        }
        Self { environment, declared: Vec::new() }
    }

    /// The same, for expressions that may use `variables`.
    pub(super) fn with_variables(mut self) -> Self {
        let shape = Shape::object("kubernetes.variables", self.declared.iter().cloned());
        self.environment = self.environment.with_variable("variables", shape);
        self
    }

    /// The same, for expressions that may use the variables that another compiler knows.
    pub(super) fn with_variables_of(mut self, other: &Self) -> Self {
        self.declared.clone_from(&other.declared);
        self.with_variables()
    }

    /// Declares a variable of the type of its expression.
    fn declare(mut self, name: &str, ty: Type) -> Self {
        let field = Field { name: name.to_owned(), shape: Arc::new(Shape::simple(ty)) };
        self.declared.push((name.to_owned(), field));
        self.with_variables()
    }

    /// Compiles an expression. The error is the text for the field that holds it.
    pub(super) fn compile(&self, source: &str, gives: Gives) -> Result<Expression, String> {
        self.compile_typed(source, gives).map(|(expression, _)| expression)
    }

    fn compile_typed(&self, source: &str, gives: Gives) -> Result<(Expression, Type), String> {
        let checked = self.environment.check(source).map_err(|issues| format!("compilation failed: {issues}"))?;
        let ty = checked.output_type().clone();
        if let Some(why) = gives.refuse(&ty) {
            return Err(why);
        }
        let program = checked.program().map_err(|fault| format!("instantiation failed: {fault}"))?;
        Ok((Expression { source: source.to_owned(), program }, ty))
    }

    /// What is wrong with an expression as far as types go.
    pub(super) fn type_issues(&self, source: &str) -> Option<String> {
        self.environment.check(source).err().map(|issues| issues.to_string())
    }
}

/// The variables of a policy.
#[derive(Debug, Default)]
pub(super) struct Variables(Vec<Variable>);

impl Variables {
    /// Compiles variables in order; each may use those before it. `errors` gets what is wrong, by position. A variable that does
    /// not compile may be anything for those that use it; one without an expression is none.
    pub(super) fn compile(
        mut compiler: Compiler,
        variables: &[Value],
        errors: &mut dyn FnMut(usize, String),
    ) -> (Self, Compiler) {
        let mut compiled = Vec::new();
        if !variables.is_empty() {
            compiler = compiler.with_variables();
        }
        for (index, variable) in variables.iter().enumerate() {
            if index == VARIABLES_MAX {
                errors(index, format!("compilation failed: more than {VARIABLES_MAX} variables"));
                break;
            }
            let text = |member: &str| variable.get(member).and_then(Value::as_str).unwrap_or_default();
            let name = text("name");
            if text("expression").trim().is_empty() {
                continue;
            }
            match compiler.compile_typed(text("expression"), Gives::Anything) {
                Ok((expression, ty)) => {
                    compiler = compiler.declare(name, ty);
                    compiled.push(Variable { name: name.to_owned(), expression });
                }
                Err(why) => {
                    errors(index, why);
                    compiler = compiler.declare(name, Type::Dyn);
                }
            }
        }
        (Self(compiled), compiler)
    }
}

/// What expressions look at, for one request.
pub(super) struct Inputs<'a> {
    pub(super) object: Option<&'a Value>,
    pub(super) old: Option<&'a Value>,
    pub(super) params: Option<&'a Value>,
    /// `AdmissionRequest`.
    pub(super) request: &'a Value,
    /// The namespace of the object, if it is in one.
    pub(super) namespace: Option<&'a Value>,
    pub(super) authorizer: Arc<dyn Authorizer>,
}

/// The evaluation of the expressions of one policy for one request, on one budget.
pub(super) struct Evaluation<'a> {
    inputs: &'a Inputs<'a>,
    variables: &'a [Variable],
    values: Vec<OnceLock<Result<cel::Value<'static>, String>>>,
    remaining: AtomicU64,
    depth: AtomicU32,
}

/// Why an expression has no value.
#[derive(Debug)]
pub(super) enum Failure {
    /// The expression failed; the text says which and how.
    Error(String),
    /// The budget is spent; nothing more is evaluated.
    OutOfBudget,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(text) => f.write_str(text),
            Self::OutOfBudget => f.write_str(OUT_OF_BUDGET),
        }
    }
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>, variables: &'a Variables, budget: u64) -> Self {
        let values = variables.0.iter().map(|_| OnceLock::new()).collect();
        Self { inputs, variables: &variables.0, values, remaining: AtomicU64::new(budget), depth: AtomicU32::new(0) }
    }

    /// The value of an expression.
    pub(super) fn eval<'s>(&'s self, expression: &'s Expression) -> Result<cel::Value<'s>, Failure> {
        self.run(expression).map_err(|fault| match fault {
            Ended::Fault(text) => {
                Failure::Error(format!("expression '{}' resulted in error: {text}", expression.source))
            }
            Ended::OutOfBudget => Failure::OutOfBudget,
        })
    }

    fn run<'s>(&'s self, expression: &'s Expression) -> Result<cel::Value<'s>, Ended> {
        let remaining = self.remaining.load(Ordering::Relaxed);
        let limit = remaining.min(EVALUATION_COST_MAX);
        let start = Instant::now();
        let interrupt = || start.elapsed() > EVALUATION_TIME_MAX;
        let mut budget = Budget::new(limit).with_interrupt(&interrupt);
        let result = expression.program.eval(self, &mut budget);
        // Variables that were evaluated meanwhile have taken their part already.
        let left = self.remaining.load(Ordering::Relaxed).checked_sub(budget.cost());
        self.remaining.store(left.unwrap_or(0), Ordering::Relaxed);
        match result {
            _ if left.is_none() => Err(Ended::OutOfBudget),
            Err(fault) if fault.kind() == FaultKind::CostLimit && limit < EVALUATION_COST_MAX => {
                Err(Ended::OutOfBudget)
            }
            Err(fault) => Err(Ended::Fault(self.explain(&fault))),
            Ok(value) => Ok(value),
        }
    }

    /// A variable without a value reads as a missing key; why it has none is what the user wants to know.
    fn explain(&self, fault: &Fault) -> String {
        let missing = fault.message().strip_prefix("no such key: ");
        let failed = missing.and_then(|name| {
            let index = self.variables.iter().position(|variable| variable.name == name)?;
            self.values[index].get()?.as_ref().err().map(|why| (name, why))
        });
        match failed {
            Some((name, why)) => format!("composited variable {name:?} fails to evaluate: {why}"),
            None => fault.to_string(),
        }
    }

    fn value(&self, index: usize) -> Option<cel::Value<'_>> {
        let variable = self.variables.get(index)?;
        let value = self.values[index].get_or_init(|| {
            let depth = self.depth.fetch_add(1, Ordering::Relaxed);
            let value = if depth < VARIABLES_DEPTH_MAX {
                self.run(&variable.expression).map(cel::Value::into_owned).map_err(|ended| match ended {
                    Ended::Fault(text) => text,
                    Ended::OutOfBudget => OUT_OF_BUDGET.to_owned(),
                })
            } else {
                Err("variables are nested too deeply".to_owned())
            };
            self.depth.fetch_sub(1, Ordering::Relaxed);
            value
        });
        value.as_ref().ok().cloned()
    }
}

enum Ended {
    Fault(String),
    OutOfBudget,
}

fn document<'v>(document: Option<&'v Value>, shape: &'v Shape) -> cel::Value<'v> {
    document.map_or(cel::Value::Null, |document| value_of(document, shape))
}

impl Activation for Evaluation<'_> {
    fn variable(&self, name: &str) -> Option<cel::Value<'_>> {
        let inputs = self.inputs;
        let question = |question| cel::Value::question(inputs.authorizer.clone(), question);
        Some(match name {
            "object" => document(inputs.object, Shape::dynamic()),
            "oldObject" => document(inputs.old, Shape::dynamic()),
            "params" => document(inputs.params, Shape::dynamic()),
            "request" => value_of(inputs.request, &REQUEST),
            "namespaceObject" => document(inputs.namespace, &NAMESPACE),
            "variables" => cel::Value::Map(Map::Borrowed(self)),
            "authorizer" => question(Question::default()),
            "authorizer.requestResource" => question(requested(inputs.request)),
            _ => return None,
        })
    }
}

/// The question whether somebody may do something to what a request is about.
fn requested(request: &Value) -> Question {
    let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Question {
        group: Some(text("/requestResource/group")),
        resource: Some(text("/requestResource/resource")),
        subresource: text("/requestSubResource"),
        namespace: text("/namespace"),
        name: text("/name"),
        ..Question::default()
    }
}

impl Mapping for Evaluation<'_> {
    fn len(&self) -> usize {
        self.variables.len()
    }

    fn find(&self, key: &cel::Value<'_>) -> Option<cel::Value<'_>> {
        let name = key.as_str()?;
        self.value(self.variables.iter().position(|variable| variable.name == name)?)
    }

    fn entry(&self, index: usize) -> Option<(cel::Value<'_>, cel::Value<'_>)> {
        let variable = self.variables.get(index)?;
        Some((cel::Value::text(&variable.name), self.value(index)?))
    }

    fn type_name(&self) -> Option<&str> {
        Some("kubernetes.variables")
    }
}

fn field(name: &str, shape: Shape) -> (String, Field) {
    (name.to_owned(), Field { name: name.to_owned(), shape: Arc::new(shape) })
}

fn text() -> Shape {
    Shape::simple(Type::String)
}

fn texts() -> Shape {
    Shape::simple(Type::list(Type::String))
}

/// `AdmissionRequest`, as far as expressions see it.
static REQUEST: LazyLock<Shape> = LazyLock::new(|| {
    let kind = || {
        let fields = ["group", "version", "kind"].map(|name| field(name, text()));
        Shape::object("kubernetes.GroupVersionKind", fields)
    };
    let resource = || {
        let fields = ["group", "version", "resource"].map(|name| field(name, text()));
        Shape::object("kubernetes.GroupVersionResource", fields)
    };
    let user = Shape::object(
        "kubernetes.UserInfo",
        [
            field("username", text()),
            field("uid", text()),
            field("groups", texts()),
            field("extra", Shape::simple(Type::map(Type::String, Type::list(Type::String)))),
        ],
    );
    Shape::object(
        "kubernetes.AdmissionRequest",
        [
            field("kind", kind()),
            field("resource", resource()),
            field("subResource", text()),
            field("requestKind", kind()),
            field("requestResource", resource()),
            field("requestSubResource", text()),
            field("name", text()),
            field("namespace", text()),
            field("operation", text()),
            field("userInfo", user),
            field("dryRun", Shape::simple(Type::Bool)),
            field("options", Shape::simple(Type::Dyn)),
        ],
    )
});

/// A namespace, as far as expressions see it.
static NAMESPACE: LazyLock<Shape> = LazyLock::new(|| {
    let map = || Shape::simple(Type::map(Type::String, Type::String));
    let metadata = Shape::object(
        "kubernetes.NamespaceMetadata",
        [
            field("name", text()),
            field("generateName", text()),
            field("namespace", text()),
            field("labels", map()),
            field("annotations", map()),
            field("UID", text()),
            field("uid", text()),
            field("creationTimestamp", Shape::simple(Type::Timestamp)),
            field("deletionGracePeriodSeconds", Shape::simple(Type::Int)),
            field("deletionTimestamp", Shape::simple(Type::Timestamp)),
            field("generation", Shape::simple(Type::Int)),
            field("resourceVersion", text()),
            field("finalizers", texts()),
        ],
    );
    Shape::object(
        "kubernetes.Namespace",
        [
            field("metadata", metadata),
            field("spec", Shape::object("kubernetes.NamespaceSpec", [field("finalizers", texts())])),
            field("status", Shape::object("kubernetes.NamespaceStatus", [field("phase", text())])),
        ],
    )
});

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Nobody;

    impl Authorizer for Nobody {
        fn decide(&self, question: &Question) -> cel::Decision {
            let allowed = question.verb == "get" && question.resource.as_deref() == Some("pods");
            cel::Decision { allowed, ..cel::Decision::default() }
        }
    }

    fn evaluate(variables: &[Value], source: &str, gives: Gives) -> Result<String, String> {
        let compiler = Compiler::new(&Documents::unknown(true), Extent::Authorizer, Minor::LATEST).with_variables();
        let mut wrong = Vec::new();
        let (variables, compiler) = Variables::compile(compiler, variables, &mut |_, why| wrong.push(why));
        if let Some(why) = wrong.pop() {
            return Err(why);
        }
        let expression = compiler.compile(source, gives)?;
        let object = json!({"spec": {"replicas": 3}, "metadata": {"labels": {"a": "b"}}});
        let request = json!({
            "operation": "CREATE", "userInfo": {"username": "jane", "groups": ["dev"]},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        });
        let namespace = json!({"metadata": {"name": "n", "labels": {"env": "prod"}}});
        let inputs = Inputs {
            object: Some(&object),
            old: None,
            params: None,
            request: &request,
            namespace: Some(&namespace),
            authorizer: Arc::new(Nobody),
        };
        let evaluation = Evaluation::new(&inputs, &variables, COST_MAX);
        evaluation.eval(&expression).map(|value| value.to_string()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn expressions_see_the_request_and_its_surroundings() {
        for source in [
            "object.spec.replicas == 3 && oldObject == null && params == null",
            "request.operation == 'CREATE' && request.userInfo.groups.exists(g, g == 'dev')",
            "namespaceObject.metadata.labels['env'] == 'prod'",
            "authorizer.group('').resource('pods').check('get').allowed()",
            "authorizer.requestResource.check('get').allowed() && !authorizer.requestResource.check('list').allowed()",
            "!authorizer.path('/healthz').check('get').allowed()",
            "!authorizer.serviceAccount('a', 'b').group('apps').resource('deployments').check('get').allowed()",
        ] {
            assert_eq!(evaluate(&[], source, Gives::Bool), Ok("true".to_owned()), "{source}");
        }
        assert_eq!(
            evaluate(&[], "object.spec.replicas", Gives::Bool),
            Err("must evaluate to bool but got dyn".to_owned())
        );
        assert!(
            evaluate(&[], "object.spec.", Gives::Bool).is_err_and(|why| why.starts_with("compilation failed: ERROR"))
        );
        assert!(evaluate(&[], "variables.x", Gives::Bool).is_err_and(|why| why.contains("undefined field 'x'")));
    }

    #[test]
    fn variables_are_lazy_and_say_why_they_fail() {
        let variables = [
            json!({"name": "replicas", "expression": "object.spec.replicas"}),
            json!({"name": "bad", "expression": "object.spec.missing"}),
            json!({"name": "double", "expression": "variables.replicas * 2"}),
        ];
        assert_eq!(evaluate(&variables, "variables.double == 6", Gives::Bool), Ok("true".to_owned()));
        assert_eq!(evaluate(&variables, "true || variables.bad", Gives::Bool), Ok("true".to_owned()));
        assert_eq!(
            evaluate(&variables, "variables.bad == 1", Gives::Bool),
            Err("expression 'variables.bad == 1' resulted in error: composited variable \"bad\" fails to evaluate: no such key: missing".to_owned())
        );
    }

    #[test]
    fn chains_of_variables_end() {
        let mut variables = vec![json!({"name": "v0", "expression": "1"})];
        for index in 1..400 {
            let expression = format!("variables.v{} + 1", index - 1);
            variables.push(json!({"name": format!("v{index}"), "expression": expression}));
        }
        assert_eq!(evaluate(&variables, "variables.v20 == 21", Gives::Bool), Ok("true".to_owned()));
        assert!(evaluate(&variables, "variables.v399 == 1", Gives::Bool).is_err());
    }
}
