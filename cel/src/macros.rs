//! Macros: calls that stand for loops, presence tests and bindings.

use crate::ast::{ACCUMULATOR, Call, Comprehension, Expr, Item, Kind, LEGACY_ACCUMULATOR, Literal, Select, UNUSED};
use crate::ast::{Entry, Field, operator};
use crate::builder::Builder;
use crate::source::{Issue, Offset};

type Expansion = Result<Expr, Issue>;

/// The tree for a call: what its macro makes of it, or the call itself.
pub(crate) fn expand(tree: &mut Builder, offset: Offset, call: Call) -> Expansion {
    let minor = tree.minor;
    let mut make = Make { tree, offset };
    let Call { target, function, args } = call;
    match (target, args.len(), function.as_str()) {
        (None, 1, "has") => make.has(args),
        (Some(range), 2, "all" | "exists" | "exists_one" | "existsOne") => make.quantifier(&function, range, args),
        (Some(range), 2 | 3, "map") => make.map(range, args),
        (Some(range), 2, "filter") => make.filter(range, args),
        (Some(range), 3, "all" | "exists" | "exists_one" | "existsOne") if minor.has_two_variables() => {
            make.quantifier2(&function, range, args)
        }
        (Some(range), 3 | 4, "transformList" | "transformMap" | "transformMapEntry") if minor.has_two_variables() => {
            make.transform(&function, range, args)
        }
        (Some(range), 2, "sortBy") if minor.has_list_extension() => make.sort_by(range, args),
        (Some(target), 3, "bind") if make.tree.binding && is_ident(&target, "cel") => make.bind(args),
        (Some(target), 2, "optMap" | "optFlatMap") => make.optional_map(&function, target, args),
        (target, _, _) => Ok(make.node(Kind::Call(Box::new(Call { target, function, args })))),
    }
}

fn is_ident(expr: &Expr, name: &str) -> bool {
    matches!(&expr.kind, Kind::Ident(found) if found == name)
}

fn issue(expr: &Expr, message: impl Into<String>) -> Issue {
    Issue { offset: expr.offset, message: message.into() }
}

/// The arguments by position; the caller has checked their number.
fn arguments<const N: usize>(args: Vec<Expr>, tree: &mut Builder) -> [Expr; N] {
    let mut args = args.into_iter();
    std::array::from_fn(|_| args.next().unwrap_or_else(|| tree.node(Offset::NOWHERE, Kind::Invalid)))
}

/// The name that a macro's variable argument is.
fn variable(expr: &Expr, complaint: &str) -> Result<String, Issue> {
    match &expr.kind {
        Kind::Ident(name) if name == ACCUMULATOR || name == LEGACY_ACCUMULATOR => {
            Err(issue(expr, "iteration variable overwrites accumulator variable"))
        }
        Kind::Ident(name) => Ok(name.clone()),
        _ => Err(issue(expr, complaint)),
    }
}

const NOT_SIMPLE: &str = "argument must be a simple name";
const NOT_IDENT: &str = "argument is not an identifier";

/// The parts of a loop that differ between macros.
struct Loop {
    init: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

/// Makes the nodes of an expansion, all at the place of the macro call.
struct Make<'t> {
    tree: &'t mut Builder,
    offset: Offset,
}

impl Make<'_> {
    fn node(&mut self, kind: Kind) -> Expr {
        self.tree.node(self.offset, kind)
    }

    fn ident(&mut self, name: &str) -> Expr {
        self.node(Kind::Ident(name.to_owned()))
    }

    fn accumulator(&mut self) -> Expr {
        self.ident(ACCUMULATOR)
    }

    fn literal(&mut self, literal: Literal) -> Expr {
        self.node(Kind::Literal(literal))
    }

    fn call(&mut self, function: &str, args: Vec<Expr>) -> Expr {
        self.node(Kind::Call(Box::new(Call { target: None, function: function.to_owned(), args })))
    }

    fn method(&mut self, target: Expr, function: &str) -> Expr {
        let call = Call { target: Some(target), function: function.to_owned(), args: Vec::new() };
        self.node(Kind::Call(Box::new(call)))
    }

    fn list(&mut self, values: Vec<Expr>) -> Expr {
        self.node(Kind::List(values.into_iter().map(|value| Item { value, optional: false }).collect()))
    }

    fn fold(&mut self, range: Expr, variables: (String, Option<String>), parts: Loop) -> Expr {
        let Loop { init, condition, step, result } = parts;
        let (variable, second) = variables;
        let accumulator = ACCUMULATOR.to_owned();
        let fold = Comprehension { range, variable, second, accumulator, init, condition, step, result };
        self.node(Kind::Comprehension(Box::new(fold)))
    }

    fn has(&mut self, args: Vec<Expr>) -> Expansion {
        let [argument] = arguments(args, self.tree);
        let offset = argument.offset;
        match argument.kind {
            Kind::Select(select) => {
                let Select { operand, field, .. } = *select;
                Ok(self.node(Kind::Select(Box::new(Select { operand, field, test: true }))))
            }
            _ => Err(Issue { offset, message: "invalid argument to has() macro".to_owned() }),
        }
    }

    fn quantifier(&mut self, function: &str, range: Expr, args: Vec<Expr>) -> Expansion {
        let [name, predicate] = arguments(args, self.tree);
        let variable = variable(&name, NOT_SIMPLE)?;
        let parts = self.quantify(function, predicate);
        Ok(self.fold(range, (variable, None), parts))
    }

    fn quantifier2(&mut self, function: &str, range: Expr, args: Vec<Expr>) -> Expansion {
        let [first, second, predicate] = arguments(args, self.tree);
        let variables = two_variables(&first, &second)?;
        let parts = self.quantify(function, predicate);
        Ok(self.fold(range, variables, parts))
    }

    fn quantify(&mut self, function: &str, predicate: Expr) -> Loop {
        let accumulator = self.accumulator();
        match function {
            "all" => Loop {
                init: self.literal(Literal::Bool(true)),
                condition: {
                    let unfinished = self.accumulator();
                    self.call(operator::NOT_STRICTLY_FALSE, vec![unfinished])
                },
                step: self.call(operator::AND, vec![accumulator, predicate]),
                result: self.accumulator(),
            },
            "exists" => Loop {
                init: self.literal(Literal::Bool(false)),
                condition: {
                    let found = self.accumulator();
                    let unfinished = self.call(operator::NOT, vec![found]);
                    self.call(operator::NOT_STRICTLY_FALSE, vec![unfinished])
                },
                step: self.call(operator::OR, vec![accumulator, predicate]),
                result: self.accumulator(),
            },
            _ => {
                let one = self.literal(Literal::Int(1));
                let more = self.call(operator::ADD, vec![accumulator, one]);
                let unchanged = self.accumulator();
                Loop {
                    init: self.literal(Literal::Int(0)),
                    condition: self.literal(Literal::Bool(true)),
                    step: self.call(operator::CONDITIONAL, vec![predicate, more, unchanged]),
                    result: {
                        let (count, one) = (self.accumulator(), self.literal(Literal::Int(1)));
                        self.call(operator::EQUALS, vec![count, one])
                    },
                }
            }
        }
    }

    /// A loop that starts with `init` and goes through `step`, or leaves the accumulator where `filter` says no.
    fn collect(&mut self, init: Expr, filter: Option<Expr>, step: Expr) -> Loop {
        let step = match filter {
            None => step,
            Some(filter) => {
                let unchanged = self.accumulator();
                self.call(operator::CONDITIONAL, vec![filter, step, unchanged])
            }
        };
        let condition = self.literal(Literal::Bool(true));
        Loop { init, condition, step, result: self.accumulator() }
    }

    fn append(&mut self, value: Expr) -> Expr {
        let (accumulator, list) = (self.accumulator(), self.list(vec![value]));
        self.call(operator::ADD, vec![accumulator, list])
    }

    fn map(&mut self, range: Expr, mut args: Vec<Expr>) -> Expansion {
        let filter = (args.len() == 3).then(|| args.remove(1));
        let [name, transform] = arguments(args, self.tree);
        let variable = variable(&name, NOT_IDENT)?;
        let (init, step) = (self.list(Vec::new()), self.append(transform));
        let parts = self.collect(init, filter, step);
        Ok(self.fold(range, (variable, None), parts))
    }

    fn filter(&mut self, range: Expr, args: Vec<Expr>) -> Expansion {
        let [name, predicate] = arguments(args, self.tree);
        let variable = variable(&name, NOT_IDENT)?;
        let (init, step) = (self.list(Vec::new()), self.append(name));
        let parts = self.collect(init, Some(predicate), step);
        Ok(self.fold(range, (variable, None), parts))
    }

    fn transform(&mut self, function: &str, range: Expr, mut args: Vec<Expr>) -> Expansion {
        let filter = (args.len() == 4).then(|| args.remove(2));
        let [first, second, transform] = arguments(args, self.tree);
        let (key, value) = two_variables(&first, &second)?;
        let (init, step) = if function == "transformList" {
            (self.list(Vec::new()), self.append(transform))
        } else {
            let mut args = vec![self.accumulator()];
            if function == "transformMap" {
                args.push(self.ident(&key));
            }
            args.push(transform);
            (self.node(Kind::Map(Vec::new())), self.call(operator::MAP_INSERT, args))
        };
        let parts = self.collect(init, filter, step);
        Ok(self.fold(range, (key, value), parts))
    }

    /// A loop over nothing whose accumulator is the bound name.
    fn binding(&mut self, name: &str, init: Expr, result: Expr) -> Expr {
        let fold = Comprehension {
            range: self.list(Vec::new()),
            variable: UNUSED.to_owned(),
            second: None,
            accumulator: name.to_owned(),
            init,
            condition: self.literal(Literal::Bool(false)),
            step: self.ident(name),
            result,
        };
        self.node(Kind::Comprehension(Box::new(fold)))
    }

    fn bind(&mut self, args: Vec<Expr>) -> Expansion {
        let [name, init, result] = arguments(args, self.tree);
        match &name.kind {
            Kind::Ident(variable) => Ok(self.binding(variable, init, result)),
            _ => Err(issue(&name, "cel.bind() variable names must be simple identifiers")),
        }
    }

    /// Binds the list, and sorts it by what its elements are mapped to.
    fn sort_by(&mut self, range: Expr, args: Vec<Expr>) -> Expansion {
        const INPUT: &str = "@__sortBy_input__";
        if matches!(range.kind, Kind::Literal(_) | Kind::Map(_) | Kind::Struct(..)) {
            let complaint =
                "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
            return Err(issue(&range, complaint));
        }
        let input = self.ident(INPUT);
        let keys = self.map(input, args)?;
        let list = self.ident(INPUT);
        let sorted = Call { target: Some(list), function: "@sortByAssociatedKeys".to_owned(), args: vec![keys] };
        let sorted = self.node(Kind::Call(Box::new(sorted)));
        Ok(self.binding(INPUT, range, sorted))
    }

    fn optional_map(&mut self, function: &str, target: Expr, args: Vec<Expr>) -> Expansion {
        let [name, transform] = arguments(args, self.tree);
        let Kind::Ident(variable) = &name.kind else {
            return Err(issue(&name, format!("{function}() variable name must be a simple identifier")));
        };
        let again = self.copy(&target);
        let has_value = self.method(target, "hasValue");
        let value = self.method(again, "value");
        let mut bound = self.binding(variable, value, transform);
        if function == "optMap" {
            bound = self.namespaced("of", vec![bound]);
        }
        let none = self.namespaced("none", Vec::new());
        Ok(self.call(operator::CONDITIONAL, vec![has_value, bound, none]))
    }

    fn namespaced(&mut self, function: &str, args: Vec<Expr>) -> Expr {
        self.call(&format!("optional.{function}"), args)
    }

    /// The same tree with new numbers, since every node has its own type and cost.
    fn copy(&mut self, expr: &Expr) -> Expr {
        let kind = match &expr.kind {
            _ if self.tree.is_full() => Kind::Invalid,
            Kind::Literal(_) | Kind::Ident(_) | Kind::Invalid => expr.kind.clone(),
            Kind::Select(select) => {
                let operand = self.copy(&select.operand);
                Kind::Select(Box::new(Select { operand, field: select.field.clone(), test: select.test }))
            }
            Kind::Call(call) => Kind::Call(Box::new(Call {
                target: call.target.as_ref().map(|target| self.copy(target)),
                function: call.function.clone(),
                args: call.args.iter().map(|arg| self.copy(arg)).collect(),
            })),
            Kind::List(items) => Kind::List(
                items.iter().map(|item| Item { value: self.copy(&item.value), optional: item.optional }).collect(),
            ),
            Kind::Map(entries) => Kind::Map(entries.iter().map(|entry| self.copy_entry(entry)).collect()),
            Kind::Struct(name, fields) => {
                Kind::Struct(name.clone(), fields.iter().map(|field| self.copy_field(field)).collect())
            }
            Kind::Comprehension(fold) => Kind::Comprehension(Box::new(Comprehension {
                range: self.copy(&fold.range),
                variable: fold.variable.clone(),
                second: fold.second.clone(),
                accumulator: fold.accumulator.clone(),
                init: self.copy(&fold.init),
                condition: self.copy(&fold.condition),
                step: self.copy(&fold.step),
                result: self.copy(&fold.result),
            })),
        };
        self.tree.node(expr.offset, kind)
    }

    fn copy_entry(&mut self, entry: &Entry) -> Entry {
        Entry { key: self.copy(&entry.key), value: self.copy(&entry.value), optional: entry.optional }
    }

    fn copy_field(&mut self, field: &Field) -> Field {
        Field {
            offset: field.offset,
            name: field.name.clone(),
            value: self.copy(&field.value),
            optional: field.optional,
        }
    }
}

fn two_variables(first: &Expr, second: &Expr) -> Result<(String, Option<String>), Issue> {
    let simple = |expr: &Expr| match &expr.kind {
        Kind::Ident(name) => Ok(name.clone()),
        _ => Err(issue(expr, NOT_SIMPLE)),
    };
    let (key, value) = (simple(first)?, simple(second)?);
    if key == value {
        return Err(issue(second, format!("duplicate variable name: {key}")));
    }
    variable(first, NOT_SIMPLE)?;
    variable(second, NOT_SIMPLE)?;
    Ok((key, Some(value)))
}
