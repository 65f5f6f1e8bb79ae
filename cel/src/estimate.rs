//! The cost that a checked expression has at most, estimated before it runs: the number that API servers compare with
//! their limits. The rules are those of cel-go's estimator.

use std::sync::Arc;

use crate::ast::{Comprehension, Expr, Kind, Literal, operator};
use crate::checker::{Checked, Reference};
use crate::cost::{LIST, MAP, OBJECT, REGEX, Range, TRAVERSAL};
use crate::estimate_call;
use crate::shape::Shape;
use crate::types::Type;

impl Checked {
    /// The estimated cost in the worst case, in CEL cost units; the largest number if it has no bound.
    #[must_use]
    pub fn max_cost(&self) -> u64 {
        self.cost().max
    }

    pub(crate) fn cost(&self) -> Range {
        let nodes = self.types.len();
        let root = self.environment.variable(SELF).map(Arc::clone);
        let mut estimator = Estimator {
            checked: self,
            places: vec![Place::Unnamed(root); nodes],
            sizes: vec![None; nodes],
            entries: vec![None; nodes],
            locals: Vec::new(),
        };
        estimator.cost(&self.root)
    }
}

/// The variable of rules in schemas.
const SELF: &str = "self";

/// Which declared data an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// None: it has no path. The estimator of rules in schemas takes the first step of a path to be a variable's name and
    /// does not look at it, so that one step from here leads to what `self` is, whatever the step.
    Unnamed(Option<Arc<Shape>>),
    /// Nothing is declared about it.
    Undeclared,
    Known(Arc<Shape>),
}

impl Place {
    fn step(&self, step: impl FnOnce(&Shape) -> Option<&Arc<Shape>>) -> Place {
        match self {
            Place::Undeclared => Place::Undeclared,
            Place::Unnamed(root) => root.clone().map_or(Place::Undeclared, Place::Known),
            Place::Known(shape) => step(shape).map_or(Place::Undeclared, |shape| Place::Known(Arc::clone(shape))),
        }
    }

    pub(crate) fn items(&self) -> Place {
        self.step(Shape::element)
    }

    pub(crate) fn size(&self) -> Option<Range> {
        match self {
            Place::Unnamed(_) | Place::Undeclared => None,
            Place::Known(shape) => shape.max_elements().map(|max| Range { min: 0, max }),
        }
    }
}

/// Sizes of the keys and values of a map, or of the elements of a list.
#[derive(Clone, Copy, Debug)]
struct EntrySize {
    is_list: bool,
    key: Range,
    value: Range,
}

impl EntrySize {
    fn or(self, other: EntrySize) -> EntrySize {
        EntrySize { is_list: self.is_list, key: self.key.or(other.key), value: self.value.or(other.value) }
    }
}

struct Local {
    name: String,
    place: Place,
    size: Option<Range>,
    entry: Option<EntrySize>,
}

/// An argument of a call, as estimates see it.
pub(crate) struct Subject<'e> {
    pub(crate) expr: &'e Expr,
    pub(crate) ty: &'e Type,
    pub(crate) place: Place,
    pub(crate) size: Option<Range>,
}

impl Subject<'_> {
    pub(crate) fn size(&self) -> Range {
        self.size.or_else(|| self.place.size()).unwrap_or(Range::UNKNOWN)
    }
}

/// What a call costs beyond its arguments, and how large its result is.
pub(crate) struct CallEstimate {
    pub(crate) cost: Range,
    pub(crate) result: Option<Range>,
}

impl CallEstimate {
    pub(crate) fn of(cost: Range) -> CallEstimate {
        CallEstimate { cost, result: None }
    }

    pub(crate) fn making(cost: Range, result: Range) -> CallEstimate {
        CallEstimate { cost, result: Some(result) }
    }
}

struct Estimator<'c> {
    checked: &'c Checked,
    /// Tables by node.
    places: Vec<Place>,
    sizes: Vec<Option<Range>>,
    entries: Vec<Option<EntrySize>>,
    /// Variables of macros, the innermost last.
    locals: Vec<Local>,
}

impl<'c> Estimator<'c> {
    fn cost(&mut self, expr: &'c Expr) -> Range {
        match &expr.kind {
            Kind::Literal(_) | Kind::Invalid => Range::ZERO,
            Kind::Ident(name) => {
                let place = self.named(name);
                self.set_place(expr, place);
                Range::ONE
            }
            Kind::Select(select) => {
                let operand = self.cost(&select.operand);
                if select.test {
                    return operand;
                }
                let place = self.place(&select.operand).step(|shape| shape.selected(&select.field));
                self.set_place(expr, place);
                match self.checked.type_of(&select.operand) {
                    Type::Map(_) | Type::Object(_) => operand.plus(Range::ONE),
                    _ => operand,
                }
            }
            Kind::Call(_) => self.call(expr),
            Kind::List(items) => {
                let mut cost = Range::fixed(LIST);
                let mut value = None;
                for item in items {
                    cost = cost.plus(self.cost(&item.value));
                    value = self.widen(value, &item.value);
                }
                self.set_entry(
                    expr,
                    Some(EntrySize { is_list: true, key: Range::ONE, value: value.unwrap_or(Range::ZERO) }),
                );
                cost
            }
            Kind::Map(entries) => {
                let mut cost = Range::fixed(MAP);
                let (mut key, mut value) = (None, None);
                for entry in entries {
                    cost = cost.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
                    key = self.widen(key, &entry.key);
                    value = self.widen(value, &entry.value);
                }
                let (key, value) = (key.unwrap_or(Range::ZERO), value.unwrap_or(Range::ZERO));
                self.set_entry(expr, Some(EntrySize { is_list: false, key, value }));
                cost
            }
            Kind::Struct(_, fields) => {
                fields.iter().fold(Range::fixed(OBJECT), |cost, field| cost.plus(self.cost(&field.value)))
            }
            Kind::Comprehension(fold) if fold.is_binding() => self.binding(expr, fold),
            Kind::Comprehension(fold) => self.fold(expr, fold),
        }
    }

    fn widen(&mut self, known: Option<Range>, expr: &'c Expr) -> Option<Range> {
        let size = self.size_or_unknown(expr);
        Some(known.map_or(size, |known| known.or(size)))
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| local.name == name)
    }

    /// The declared data that a name stands for.
    fn named(&self, name: &str) -> Place {
        match self.local(name) {
            Some(local) => local.place.clone(),
            None => match self.checked.environment.variable(name.trim_start_matches('.')) {
                Some(shape) => Place::Known(Arc::clone(shape)),
                None => Place::Undeclared,
            },
        }
    }

    fn place(&self, expr: &Expr) -> Place {
        match &expr.kind {
            Kind::Ident(name) if self.local(name).is_some() => self.named(name),
            _ => self.places.get(expr.id).cloned().unwrap_or(Place::Undeclared),
        }
    }

    fn set_place(&mut self, expr: &Expr, place: Place) {
        if let Some(slot) = self.places.get_mut(expr.id) {
            *slot = place;
        }
    }

    fn entry(&self, expr: &Expr) -> Option<EntrySize> {
        if let Some(Some(entry)) = self.entries.get(expr.id) {
            return Some(*entry);
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name).and_then(|local| local.entry),
            _ => None,
        }
    }

    fn set_entry(&mut self, expr: &Expr, entry: Option<EntrySize>) {
        if let (Some(slot), Some(entry)) = (self.entries.get_mut(expr.id), entry) {
            *slot = Some(entry);
        }
    }

    fn set_size(&mut self, expr: &Expr, size: Option<Range>) {
        if let (Some(slot), Some(size)) = (self.sizes.get_mut(expr.id), size) {
            *slot = Some(size);
        }
    }

    /// The size of the value of an expression, if anything is known about it.
    fn size(&mut self, expr: &Expr) -> Option<Range> {
        if let Some(Some(size)) = self.sizes.get(expr.id) {
            return Some(*size);
        }
        let fixed = match &expr.kind {
            Kind::Literal(Literal::String(text)) => Some(text.chars().count()),
            Kind::Literal(Literal::Bytes(bytes)) => Some(bytes.len()),
            Kind::Literal(_) => Some(1),
            Kind::List(items) => Some(items.len()),
            Kind::Map(entries) => Some(entries.len()),
            _ => None,
        };
        if let Some(size) = fixed {
            return Some(Range::fixed(size as u64));
        }
        if let Some(size) = self.place(expr).size() {
            self.set_size(expr, Some(size));
            return Some(size);
        }
        if self.checked.type_of(expr).is_scalar() {
            return Some(Range::ONE);
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name).map_or_else(|| self.type_size(name), |local| local.size),
            _ => None,
        }
    }

    /// The size of the name of a type. In the rules of a schema upstream takes every name for the value that is checked, and looks
    /// up how large that gets: `type(self) == int` is cheap there, and very costly elsewhere.
    fn type_size(&self, name: &str) -> Option<Range> {
        let environment = &self.checked.environment;
        let is_variable = environment.variable(name.trim_start_matches('.')).is_some();
        let checked = environment.variable("self").filter(|_| !is_variable)?;
        Some(Range { min: 0, max: checked.max_elements().unwrap_or(0) })
    }

    fn size_or_unknown(&mut self, expr: &Expr) -> Range {
        self.size(expr).unwrap_or(Range::UNKNOWN)
    }

    fn subject(&mut self, expr: &'c Expr) -> Subject<'c> {
        Subject { expr, ty: self.checked.type_of(expr), place: self.place(expr), size: self.size(expr) }
    }

    fn binding(&mut self, expr: &Expr, fold: &'c Comprehension) -> Range {
        let range = self.cost(&fold.range);
        let init = self.cost(&fold.init);
        self.push(&fold.accumulator, &fold.init);
        let result = self.cost(&fold.result);
        self.locals.pop();
        let (size, entry) = (self.size(&fold.result), self.entry(&fold.result));
        self.set_size(expr, size);
        self.set_entry(expr, entry);
        range.plus(init).plus(result)
    }

    /// A variable that stands for the value of an expression.
    fn push(&mut self, name: &str, expr: &Expr) {
        let (place, size, entry) = (self.place(expr), self.size(expr), self.entry(expr));
        self.locals.push(Local { name: name.to_owned(), place, size, entry });
    }

    /// A variable of a loop: the keys or the values of what it goes over.
    fn push_iterated(&mut self, name: &str, place: Place, size: Option<Range>) {
        self.locals.push(Local { name: name.to_owned(), place, size, entry: None });
    }

    fn fold(&mut self, expr: &Expr, fold: &'c Comprehension) -> Range {
        let sum = self.cost(&fold.range).plus(self.cost(&fold.init));
        let outer = self.locals.len();
        self.push(&fold.accumulator, &fold.init);
        let entry = self.entry(&fold.range);
        let is_list = match entry {
            Some(entry) => entry.is_list,
            None => matches!(self.checked.type_of(&fold.range), Type::List(_)),
        };
        let range = self.place(&fold.range);
        let keys = if is_list { Place::Undeclared } else { range.step(Shape::key) };
        let (key_size, value_size) = (entry.map(|entry| entry.key), entry.map(|entry| entry.value));
        match &fold.second {
            Some(second) => {
                self.push_iterated(&fold.variable, keys, key_size);
                self.push_iterated(second, range.items(), value_size);
            }
            None if is_list => self.push_iterated(&fold.variable, range.items(), value_size),
            None => self.push_iterated(&fold.variable, keys, key_size),
        }
        let round = self.cost(&fold.condition).plus(self.cost(&fold.step));
        self.locals.truncate(outer + 1);
        let sum = sum.plus(self.cost(&fold.result));
        self.locals.truncate(outer);
        let count = self.size_or_unknown(&fold.range);
        match &fold.init.kind {
            Kind::Literal(_) => {
                let size = self.size(&fold.init);
                self.set_size(expr, size);
            }
            Kind::List(_) | Kind::Map(_) => {
                self.set_size(expr, Some(count));
                let entry = self.entry(&fold.step);
                self.set_entry(expr, entry);
            }
            _ => {}
        }
        sum.plus(count.times(round))
    }

    fn call(&mut self, expr: &'c Expr) -> Range {
        let Kind::Call(call) = &expr.kind else { return Range::ZERO };
        if call.function == "dyn" && call.target.is_none() {
            let Some(arg) = call.args.first() else { return Range::ONE };
            let cost = self.cost(arg);
            let (size, entry) = (self.size(arg), self.entry(arg));
            self.set_size(expr, size);
            self.set_entry(expr, entry);
            return cost.plus(Range::ONE);
        }
        let mut costs = Vec::with_capacity(call.args.len());
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            costs.push(self.cost(arg));
            args.push(self.subject(arg));
        }
        let checked = self.checked;
        let Reference::Function { name, overloads } = checked.reference(expr) else { return Range::ZERO };
        let Some((_, function)) = checked.environment.library().get(name) else { return Range::ZERO };
        let mut sum = Range::ZERO;
        let target = call.target.as_ref().map(|target| {
            sum = self.cost(target);
            self.subject(target)
        });
        let mut cost: Option<Range> = None;
        let mut result: Option<Range> = None;
        for overload in overloads.iter().filter_map(|index| function.overloads.get(*index)) {
            let estimate = self.overload(expr, name, overload.id, target.as_ref(), &args, &costs);
            cost = Some(cost.map_or(estimate.cost, |cost| cost.or(estimate.cost)));
            if let Some(size) = estimate.result {
                result = Some(result.map_or(size, |known| known.or(size)));
            }
            self.follow_index(expr, overload.id, &mut result);
            if result.is_none() {
                result = self.size(expr);
            }
        }
        self.set_size(expr, result);
        sum.plus(cost.unwrap_or(Range { min: u64::MAX, max: 0 }))
    }

    /// What an index leads to.
    fn follow_index(&mut self, expr: &Expr, overload: &str, result: &mut Option<Range>) {
        let Kind::Call(call) = &expr.kind else { return };
        let (Some(operand), "index_list" | "index_map") = (call.args.first(), overload) else { return };
        *result = self.entry(operand).map(|entry| entry.value);
        let place = self.place(operand).items();
        self.set_place(expr, place);
    }

    /// The cost of one overload together with its arguments.
    fn overload(
        &mut self,
        expr: &Expr,
        name: &str,
        overload: &str,
        target: Option<&Subject<'c>>,
        args: &[Subject<'c>],
        costs: &[Range],
    ) -> CallEstimate {
        let sum = costs.iter().fold(Range::ZERO, |sum, cost| sum.plus(*cost));
        let own = estimate_call::of_list_overload(overload, target, args)
            .or_else(|| estimate_call::of_library(name, overload, target, args));
        if let Some(estimate) = own {
            return CallEstimate { cost: estimate.cost.plus(sum), result: estimate.result };
        }
        match (name, args, costs) {
            (operator::AND | operator::OR, _, [left, right]) => {
                return CallEstimate::of(Range { min: left.min, max: left.plus(*right).max });
            }
            (operator::CONDITIONAL, [_, yes, no], [condition, yes_cost, no_cost]) => {
                let size = yes.size.unwrap_or(Range::UNKNOWN).or(no.size.unwrap_or(Range::UNKNOWN));
                let entry = self.entry(yes.expr).zip(self.entry(no.expr)).map(|(yes, no)| yes.or(no));
                self.set_entry(expr, entry);
                return CallEstimate::making(condition.plus(yes_cost.or(*no_cost)), size);
            }
            (operator::ADD, [left, right], _) if matches!(overload, "add_list" | "add_string" | "add_bytes") => {
                let entry = self.entry(left.expr).zip(self.entry(right.expr)).map(|(left, right)| left.or(right));
                self.set_entry(expr, entry);
            }
            _ => {}
        }
        let estimate = standard(overload, target, args);
        CallEstimate { cost: estimate.cost.plus(sum), result: estimate.result }
    }
}

/// The cost of a standard function's overload without its arguments.
fn standard(overload: &str, target: Option<&Subject<'_>>, args: &[Subject<'_>]) -> CallEstimate {
    let computed = |subject: &Subject<'_>| subject.size.unwrap_or(Range::UNKNOWN);
    match (overload, target, args) {
        ("string_format", Some(target), _) => CallEstimate::of(computed(target).scaled(TRAVERSAL)),
        ("string_to_bytes", _, [arg]) => {
            let size = computed(arg);
            let result = Range { min: size.min, max: size.max.wrapping_mul(4) };
            CallEstimate::making(size.scaled(TRAVERSAL), result)
        }
        ("bytes_to_string", _, [arg]) => {
            let size = computed(arg);
            CallEstimate::making(size.scaled(TRAVERSAL), Range { min: size.min / 4, max: size.max })
        }
        ("strings_quote", _, [arg]) => {
            let size = computed(arg);
            let result = Range { min: size.min.wrapping_add(2), max: size.max.wrapping_mul(2).wrapping_add(2) };
            CallEstimate::making(size.scaled(TRAVERSAL), result)
        }
        ("starts_with_string" | "ends_with_string", _, [arg]) => CallEstimate::of(computed(arg).scaled(TRAVERSAL)),
        ("in_list", _, [_, list]) => CallEstimate::of(computed(list).scaled(1.0)),
        ("matches_string", Some(target), [pattern]) => {
            let text = computed(target).plus(Range::ONE).scaled(TRAVERSAL);
            CallEstimate::of(text.times(computed(pattern).scaled(REGEX)))
        }
        ("contains_string", Some(target), [part]) => {
            CallEstimate::of(computed(target).scaled(TRAVERSAL).times(computed(part).scaled(TRAVERSAL)))
        }
        ("add_list", _, [left, right]) => CallEstimate::making(Range::ONE, computed(left).plus(computed(right))),
        ("add_string" | "add_bytes", _, [left, right]) => {
            let size = computed(left).plus(computed(right));
            CallEstimate::making(size.scaled(TRAVERSAL), size)
        }
        (
            "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes"
            | "equals"
            | "not_equals",
            _,
            [left, right],
        ) => {
            let max = computed(left).max.min(computed(right).max);
            CallEstimate::of(Range { min: max.min(1), max }.scaled(TRAVERSAL))
        }
        _ => CallEstimate::of(Range::ONE),
    }
}
