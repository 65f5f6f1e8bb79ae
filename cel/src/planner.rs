//! From a checked tree to a plan: names become slots, calls their functions, and what is constant is computed.

use crate::ast::{Call as Ast, Comprehension, Entry, Expr, Item, Kind, Literal, Select, operator};
use crate::charge::{self, Charge};
use crate::checker::{Checked, Reference};
use crate::collection::{Entries, List, Map};
use crate::cost::{REGEX, scale};
use crate::declaration::{Function, matches, no_overload};
use crate::fault::Fault;
use crate::library::conversions::CONVERSIONS;
use crate::plan::{
    Alternative, Base, Binary, Call, Candidate, Conditional, Fold, Insertion, Key, Known, ListItem, Logic, MapItem,
    MatchKind, Matching, Members, Node, Operation, Operator, Path, Step, Unary,
};
use crate::regular;
use crate::source::Offset;
use crate::value::{Shared, Value};

/// Functions that only read a notation: calls of constants are carried out beforehand.
const READERS: [&str; 9] = ["quantity", "isQuantity", "semver", "isSemver", "ip", "isIP", "cidr", "isCIDR", "url"];

/// A plan, and what its bound variables are bound to, by slot.
pub(crate) struct Plan {
    pub(crate) root: Node,
    pub(crate) bindings: Vec<Option<Node>>,
}

/// Plans a checked tree. Fails if a constant cannot be converted. Unless `fold` says so, literals and conversions of
/// constants are left to the evaluation, where they cost; Kubernetes always folds them.
pub(crate) fn plan(checked: &Checked, fold: bool) -> Result<Plan, Fault> {
    let mut planner = Planner { checked, fold, scope: Vec::new(), bindings: Vec::new() };
    let root = planner.node(&checked.root)?;
    Ok(Plan { root, bindings: planner.bindings })
}

struct Planner<'c> {
    checked: &'c Checked,
    fold: bool,
    /// Variables of macros, the innermost last.
    scope: Vec<Local>,
    bindings: Vec<Option<Node>>,
}

struct Local {
    name: String,
    slot: usize,
    bound: bool,
}

type Planned = Result<Node, Fault>;

impl Planner<'_> {
    fn slot(&mut self) -> usize {
        self.bindings.push(None);
        self.bindings.len() - 1
    }

    fn nodes<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) -> Result<Vec<Node>, Fault> {
        exprs.into_iter().map(|expr| self.node(expr)).collect()
    }

    fn node(&mut self, expr: &Expr) -> Planned {
        match &expr.kind {
            Kind::Literal(literal) => Ok(Node::Constant(constant(literal))),
            Kind::Ident(name) => Ok(self.ident(expr, name)),
            Kind::Select(select) => self.select(expr, select),
            Kind::Call(call) => self.call(expr, call),
            Kind::List(items) => self.list(expr.offset, items),
            Kind::Map(entries) => self.map(expr.offset, entries),
            Kind::Struct(_, fields) => {
                let items = fields.iter().map(|field| {
                    let key = Node::Constant(Value::string(field.name.as_str()));
                    Ok(MapItem { key, value: self.node(&field.value)?, optional: field.optional })
                });
                Ok(Node::Map(items.collect::<Result<_, Fault>>()?, expr.offset))
            }
            Kind::Comprehension(fold) if fold.is_binding() => self.binding(fold),
            Kind::Comprehension(fold) => self.fold(expr.offset, fold),
            Kind::Invalid => Err(Fault::error("invalid expression")),
        }
    }

    fn ident(&mut self, expr: &Expr, name: &str) -> Node {
        let base = match self.checked.reference(expr) {
            Reference::Type => {
                let name = self.checked.environment.type_named(name.trim_start_matches('.'));
                return Node::Constant(Value::Type(Shared::Owned(name.map_or("error".into(), |ty| ty.name().into()))));
            }
            Reference::Local => match self.scope.iter().rev().find(|local| local.name == name) {
                Some(Local { slot, bound: true, .. }) => Base::Bound(*slot),
                Some(Local { slot, .. }) => Base::Local(*slot),
                None => Base::Variable(name.into()),
            },
            _ => Base::Variable(name.trim_start_matches('.').into()),
        };
        path(base, expr.offset)
    }

    fn select(&mut self, expr: &Expr, select: &Select) -> Planned {
        let operand = self.node(&select.operand)?;
        let key = Key::Constant(Value::string(select.field.as_str()));
        Ok(extend(operand, Step { key, optional: false }, select.test, expr.offset))
    }

    fn index(&mut self, offset: Offset, call: &Ast, optional: bool) -> Planned {
        let [operand, index] = call.args.as_slice() else { return Err(Fault::no_overload()) };
        let operand = self.node(operand)?;
        let key = match self.node(index)? {
            Node::Constant(Value::Null) => return Err(Fault::error("invalid qualifier type: types.Null")),
            Node::Constant(Value::Bytes(_)) => return Err(Fault::error("invalid qualifier type: types.Bytes")),
            Node::Constant(value) => Key::Constant(value),
            node => Key::Computed(node),
        };
        Ok(extend(operand, Step { key, optional }, false, offset))
    }

    fn list(&mut self, offset: Offset, items: &[Item]) -> Planned {
        let mut planned = Vec::with_capacity(items.len());
        for item in items {
            planned.push(ListItem { value: self.node(&item.value)?, optional: item.optional });
        }
        let constants: Option<Vec<_>> =
            planned.iter().map(|item| constant_of(&item.value).filter(|_| !item.optional).cloned()).collect();
        Ok(match constants {
            Some(values) if self.fold => Node::Constant(Value::list(values)),
            _ => Node::List(planned, offset),
        })
    }

    fn map(&mut self, offset: Offset, items: &[Entry]) -> Planned {
        let mut planned = Vec::with_capacity(items.len());
        for item in items {
            let (key, value) = (self.node(&item.key)?, self.node(&item.value)?);
            planned.push(MapItem { key, value, optional: item.optional });
        }
        let mut entries = Entries::default();
        for item in planned.iter().filter(|_| self.fold) {
            let constants = constant_of(&item.key).zip(constant_of(&item.value)).filter(|_| !item.optional);
            let inserted = constants.and_then(|(key, value)| entries.insert(key.clone(), value.clone()));
            if inserted.is_none() {
                return Ok(Node::Map(planned, offset));
            }
        }
        if !self.fold {
            return Ok(Node::Map(planned, offset));
        }
        Ok(Node::Constant(Value::Map(Map::Owned(entries.into()))))
    }

    fn binding(&mut self, fold: &Comprehension) -> Planned {
        let init = self.node(&fold.init)?;
        let slot = self.slot();
        if let Some(place) = self.bindings.get_mut(slot) {
            *place = Some(init);
        }
        self.scope.push(Local { name: fold.accumulator.clone(), slot, bound: true });
        let result = self.node(&fold.result);
        self.scope.pop();
        Ok(Node::Bind(slot, Box::new(result?)))
    }

    fn fold(&mut self, offset: Offset, fold: &Comprehension) -> Planned {
        let init = self.node(&fold.init)?;
        let range = self.node(&fold.range)?;
        let outer = self.scope.len();
        let accumulator = self.local(&fold.accumulator);
        let first = self.local(&fold.variable);
        let second = fold.second.as_ref().map(|name| self.local(name));
        let condition = self.node(&fold.condition)?;
        let step = self.step(fold, accumulator)?;
        self.scope.truncate(outer + 1);
        let result = self.node(&fold.result)?;
        self.scope.truncate(outer);
        Ok(Node::Fold(Box::new(Fold { range, first, second, accumulator, init, condition, step, result, offset })))
    }

    fn local(&mut self, name: &str) -> usize {
        let slot = self.slot();
        self.scope.push(Local { name: name.to_owned(), slot, bound: false });
        slot
    }

    /// The step of a loop; what it adds to its accumulator is added in place.
    fn step(&mut self, fold: &Comprehension, accumulator: usize) -> Planned {
        let step = &fold.step;
        let Kind::Call(call) = &step.kind else { return self.node(step) };
        if call.function == operator::CONDITIONAL
            && let [condition, yes, no] = call.args.as_slice()
            && is_name(no, &fold.accumulator)
            && let Some(yes) = self.addition(yes, fold, accumulator)?
        {
            let (condition, no) = (self.node(condition)?, self.node(no)?);
            let base = Base::Conditional(Box::new(Conditional { condition, yes, no }));
            return Ok(path(base, step.offset));
        }
        match self.addition(step, fold, accumulator)? {
            Some(node) => Ok(node),
            None => self.node(step),
        }
    }

    /// `accumulator + [element]` or an insertion into the accumulator.
    fn addition(&mut self, expr: &Expr, fold: &Comprehension, accumulator: usize) -> Result<Option<Node>, Fault> {
        let Kind::Call(call) = &expr.kind else { return Ok(None) };
        if !call.args.first().is_some_and(|first| is_name(first, &fold.accumulator)) {
            return Ok(None);
        }
        Ok(match (call.function.as_str(), &call.args[1..], &fold.init.kind) {
            (operator::ADD, [element], Kind::List(items)) if items.is_empty() => {
                Some(Node::Append(accumulator, Box::new(self.node(element)?)))
            }
            (operator::MAP_INSERT, [value], Kind::Map(_)) => {
                let value = self.node(value)?;
                Some(Node::Insert(accumulator, Box::new(Insertion { key: None, value, offset: expr.offset })))
            }
            (operator::MAP_INSERT, [key, value], Kind::Map(_)) => {
                let (key, value) = (Some(self.node(key)?), self.node(value)?);
                Some(Node::Insert(accumulator, Box::new(Insertion { key, value, offset: expr.offset })))
            }
            _ => None,
        })
    }

    fn call(&mut self, expr: &Expr, call: &Ast) -> Planned {
        let offset = expr.offset;
        match call.function.as_str() {
            operator::INDEX => return self.index(offset, call, false),
            operator::OPT_INDEX | operator::OPT_SELECT => return self.index(offset, call, true),
            _ => {}
        }
        let mut args = self.nodes(call.target.iter().chain(&call.args))?;
        match (call.function.as_str(), args.len()) {
            (operator::AND | operator::OR, 2) => {
                let decisive = call.function == operator::OR;
                let terms = two(&mut args);
                Ok(Node::Logic(Box::new(Logic { decisive, terms, offset })))
            }
            (operator::CONDITIONAL, 3) => {
                let (no, yes) = (take(&mut args), take(&mut args));
                let condition = take(&mut args);
                Ok(path(Base::Conditional(Box::new(Conditional { condition, yes, no })), offset))
            }
            (operator::EQUALS, 2) => Ok(Node::Equal(Box::new(Binary { args: two(&mut args) }))),
            (operator::NOT_EQUALS, 2) => Ok(Node::NotEqual(Box::new(Binary { args: two(&mut args) }))),
            (operator::NOT, 1) => Ok(Node::Not(Box::new(Unary { arg: take(&mut args), offset }))),
            (operator::NOT_STRICTLY_FALSE, 1) => Ok(Node::NotStrictlyFalse(Box::new(take(&mut args)))),
            (name, _) => match operator_named(name) {
                Some(operator) => self.operation(expr, operator, args),
                None => self.function(expr, args),
            },
        }
    }

    /// The function that a call refers to, and the positions of the overloads that may be meant.
    fn referred(&self, expr: &Expr) -> Option<(&'static str, &Function, &[usize])> {
        let Reference::Function { name, overloads } = self.checked.reference(expr) else { return None };
        let (name, function) = self.checked.environment.library().get(name)?;
        Some((name, function, overloads))
    }

    fn operation(&mut self, expr: &Expr, operator: Operator, args: Vec<Node>) -> Planned {
        let (name, function, overloads) = self.referred(expr).ok_or_else(Fault::no_overload)?;
        let overload = only(function, overloads);
        if operator == Operator::In
            && overload == "in_list"
            && let [element, Node::Constant(Value::List(list))] = args.as_slice()
            && let Some(members) = members(list)
        {
            let _ = element;
            if list.is_empty() {
                return Ok(Node::Constant(Value::Bool(false)));
            }
            let element = args.into_iter().next().ok_or_else(Fault::no_overload)?;
            return Ok(Node::Member(Box::new(element), Box::new(members)));
        }
        let charge = charge::of(name, overload);
        Ok(Node::Operator(Box::new(Operation { operator, args, charge, offset: expr.offset })))
    }

    fn function(&mut self, expr: &Expr, mut args: Vec<Node>) -> Planned {
        let offset = expr.offset;
        let (name, function, overloads) = self.referred(expr).ok_or_else(Fault::no_overload)?;
        let overload = only(function, overloads);
        match (name, overload) {
            ("or", "optional_or_optional") | ("orValue", "optional_orValue_value") => {
                let [optional, otherwise] = two(&mut args);
                let unwrap = name == "orValue";
                return Ok(Node::OptionalOr(Box::new(Alternative { optional, otherwise, unwrap })));
            }
            ("matches" | "find" | "findAll", _) => {
                if let Some(matching) = matching(name, &mut args, offset)? {
                    return Ok(Node::Regex(Box::new(matching)));
                }
            }
            _ => {}
        }
        let candidates = overloads.iter().filter_map(|index| function.overloads.get(*index));
        let candidates = candidates.map(|found| Candidate { params: found.params.clone(), body: found.body }).collect();
        let charge = charge::of(name, overload);
        let eager = args.len() > 2 || overload == "string_format" || (overloads.len() > 1 && !is_singleton(name));
        let call = Call { name, candidates, args, charge, eager, offset };
        if self.fold { carry_out(call) } else { Ok(Node::Call(Box::new(call))) }
    }
}

/// The id of the overload that a call means; empty if several may be meant.
fn only(function: &Function, overloads: &[usize]) -> &'static str {
    match overloads {
        [index] => function.overloads.get(*index).map_or("", |overload| overload.id),
        _ => "",
    }
}

/// Functions that have one implementation for all their overloads.
fn is_singleton(name: &str) -> bool {
    matches!(name, "size" | "matches" | "type" | "dyn" | "sort" | "@sortByAssociatedKeys")
}

fn operator_named(name: &str) -> Option<Operator> {
    Some(match name {
        operator::ADD => Operator::Add,
        operator::SUBTRACT => Operator::Subtract,
        operator::MULTIPLY => Operator::Multiply,
        operator::DIVIDE => Operator::Divide,
        operator::MODULO => Operator::Modulo,
        operator::NEGATE => Operator::Negate,
        operator::LESS => Operator::Less,
        operator::LESS_EQUALS => Operator::LessEquals,
        operator::GREATER => Operator::Greater,
        operator::GREATER_EQUALS => Operator::GreaterEquals,
        operator::IN => Operator::In,
        _ => return None,
    })
}

fn constant(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Uint(value) => Value::Uint(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::String(text) => Value::string(text.as_str()),
        Literal::Bytes(bytes) => Value::bytes(bytes.as_slice()),
    }
}

fn constant_of(node: &Node) -> Option<&Value<'static>> {
    match node {
        Node::Constant(value) => Some(value),
        _ => None,
    }
}

fn is_name(expr: &Expr, name: &str) -> bool {
    matches!(&expr.kind, Kind::Ident(found) if found == name)
}

fn take(args: &mut Vec<Node>) -> Node {
    args.pop().unwrap_or(Node::Constant(Value::Null))
}

fn two(args: &mut Vec<Node>) -> [Node; 2] {
    let second = take(args);
    [take(args), second]
}

fn path(base: Base, offset: Offset) -> Node {
    Node::Path(Box::new(Path { base, steps: Vec::new(), test: false, offset }))
}

/// One step further from `operand`.
fn extend(operand: Node, step: Step, test: bool, offset: Offset) -> Node {
    let mut path = match operand {
        Node::Path(path) if !path.test => path,
        operand => Box::new(Path { base: Base::Operand(operand), steps: Vec::new(), test: false, offset }),
    };
    path.steps.push(step);
    path.test = test;
    path.offset = offset;
    Node::Path(path)
}

/// The constants of a list as a set. `None` if some have no simple equality.
fn members(list: &List<'static>) -> Option<Members> {
    let values: Vec<Value<'static>> = list.iter().collect();
    let simple = |value: &Value<'_>| {
        matches!(value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::String(_))
    };
    if !values.iter().all(simple) {
        return None;
    }
    let mut entries = Entries::default();
    let all = values.iter().all(|value| entries.insert(value.clone(), Value::Null).is_some());
    Some(if all { Members::Keys(entries) } else { Members::Values(values) })
}

/// A call of `matches`, `find` or `findAll` whose pattern is constant. A pattern that does not compile is an error of
/// the program.
fn matching(name: &str, args: &mut Vec<Node>, offset: Offset) -> Result<Option<Matching>, Fault> {
    let Some(Value::String(pattern)) = args.get(1).and_then(constant_of) else { return Ok(None) };
    let kind = match name {
        "matches" => MatchKind::Matches,
        "find" => MatchKind::Find,
        _ => MatchKind::FindAll,
    };
    let regex = regular::compile(pattern)?;
    let pattern_cost = scale(pattern.chars().count() as u64, REGEX);
    args.remove(1);
    Ok(Some(Matching { kind, regex, args: std::mem::take(args), pattern_cost, offset }))
}

/// Carries out a call of constants where that is allowed.
fn carry_out(call: Call) -> Planned {
    let converts = CONVERSIONS.contains(&call.name) && call.args.len() == 1;
    let reads = READERS.contains(&call.name) || call.name.starts_with("format.");
    if !converts && !reads {
        return Ok(Node::Call(Box::new(call)));
    }
    let constants: Option<Vec<_>> = call.args.iter().map(|arg| constant_of(arg).cloned()).collect();
    let Some(args) = constants else { return Ok(Node::Call(Box::new(call))) };
    let fitting = |candidate: &&Candidate| candidate.params.iter().zip(&args).all(|(param, arg)| matches(param, arg));
    let result = match call.candidates.iter().find(fitting) {
        Some(candidate) => (candidate.body)(&args),
        None => Err(no_overload(call.name, &args)),
    };
    if converts {
        return result.map(Node::Constant);
    }
    let known: Vec<_> = args.iter().map(Some).collect();
    let cost = match call.charge {
        Charge::Fixed(cost) => cost,
        charge => charge.cost(&known, result.as_ref().ok()),
    };
    let result = result.map_err(|fault| fault.at(call.offset));
    Ok(Node::Known(Box::new(Known { result, cost })))
}
