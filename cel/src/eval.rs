//! Evaluation of a plan. Costs are charged in the order and with the numbers of cel-go.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::arithmetic;
use crate::budget::{Budget, MAX_LIST};
use crate::charge::Charge;
use crate::collection::{Entries, List, Map};
use crate::cost::{LIST, MAP};
use crate::declaration::{matches, no_overload};
use crate::fault::Fault;
use crate::plan::{
    Alternative, Binary, Call, Fold, Insertion, ListItem, Logic, MapItem, Members, Node, Operation, Operator,
};
use crate::relation;
use crate::source::Offset;
use crate::value::Value;

/// The variables of an expression.
pub trait Activation {
    /// The value of a variable. `None` if it has none, which is an error where it is used.
    fn variable(&self, name: &str) -> Option<Value<'_>>;
}

pub(crate) type Outcome<'a> = Result<Value<'a>, Fault>;

/// A variable of a macro.
#[derive(Clone)]
pub(crate) enum Slot<'a> {
    /// Not computed yet.
    Empty,
    Filled(Outcome<'a>),
}

/// One evaluation.
pub(crate) struct Evaluation<'a, 'b, 'i> {
    pub(crate) activation: &'a dyn Activation,
    /// What bound variables are bound to, by slot.
    pub(crate) bindings: &'a [Option<Node>],
    pub(crate) slots: Vec<Slot<'a>>,
    pub(crate) budget: &'b mut Budget<'i>,
}

impl<'a> Evaluation<'a, '_, '_> {
    /// The value of a node. What is rare is kept out of line, so that this stays small.
    pub(crate) fn eval(&mut self, node: &'a Node) -> Outcome<'a> {
        match node {
            Node::Constant(value) => Ok(value.reborrow()),
            Node::Known(known) => {
                self.budget.charge(known.cost)?;
                known.result.as_ref().map(Value::reborrow).map_err(Fault::clone)
            }
            Node::Path(path) => self.path(path),
            Node::Logic(logic) => self.logic(logic),
            Node::Not(unary) => {
                let value = self.eval(&unary.arg);
                self.charge_one(Charge::Fixed(1), &value)?;
                match value? {
                    Value::Bool(value) => Ok(Value::Bool(!value)),
                    _ => Err(Fault::no_overload().at(unary.offset)),
                }
            }
            Node::NotStrictlyFalse(arg) => self.not_strictly_false(arg),
            Node::Equal(binary) => self.equal(binary),
            Node::NotEqual(binary) => self.not_equal(binary),
            Node::Operator(operation) => self.operator(operation),
            Node::Member(arg, members) => self.member(arg, members),
            Node::Call(call) => self.call(call),
            Node::Regex(matching) => self.matching(matching),
            Node::List(items, offset) => self.list(items, *offset),
            Node::Map(items, offset) => self.map(items, *offset),
            Node::Fold(fold) => self.fold(fold),
            Node::Bind(slot, result) => {
                self.fill(*slot, Slot::Empty);
                self.eval(result)
            }
            Node::Append(slot, element) => self.append(*slot, element),
            Node::Insert(slot, insertion) => self.insert(*slot, insertion),
            Node::OptionalOr(alternative) => self.alternative(alternative),
        }
    }

    pub(crate) fn fill(&mut self, slot: usize, content: Slot<'a>) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = content;
        }
    }

    pub(crate) fn slot(&self, slot: usize) -> Slot<'a> {
        self.slots.get(slot).cloned().unwrap_or(Slot::Empty)
    }

    /// Takes the content of a slot, so that it can be changed in place.
    fn take(&mut self, slot: usize) -> Outcome<'a> {
        match self.slots.get_mut(slot).map(|place| std::mem::replace(place, Slot::Empty)) {
            Some(Slot::Filled(outcome)) => outcome,
            _ => Err(Fault::error("no such attribute(s)")),
        }
    }

    /// Pays for a call of one argument. A final fault goes first.
    fn charge_one(&mut self, charge: Charge, arg: &Outcome<'a>) -> Result<(), Fault> {
        give_up(arg)?;
        let cost = match charge {
            Charge::Fixed(cost) => cost,
            charge => charge.cost(&[arg.as_ref().ok()], None),
        };
        self.budget.charge(cost)
    }

    /// Pays for a call of two arguments, of which the first has been looked at. A final fault goes first.
    fn charge_two(&mut self, charge: Charge, left: &Outcome<'a>, right: &Outcome<'a>) -> Result<(), Fault> {
        give_up(right)?;
        let cost = match charge {
            Charge::Fixed(cost) => cost,
            charge => charge.cost(&[left.as_ref().ok(), right.as_ref().ok()], None),
        };
        self.budget.charge(cost)
    }

    #[inline(never)]
    fn not_strictly_false(&mut self, arg: &'a Node) -> Outcome<'a> {
        let value = self.eval(arg);
        self.charge_one(Charge::Fixed(1), &value)?;
        Ok(match value {
            Ok(value @ Value::Bool(_)) => value,
            _ => Value::Bool(true),
        })
    }

    fn logic(&mut self, logic: &'a Logic) -> Outcome<'a> {
        let mut fault = None;
        for term in &logic.terms {
            match self.eval(term) {
                Ok(Value::Bool(value)) if value == logic.decisive => return Ok(Value::Bool(value)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => fault = fault.or_else(|| Some(Fault::no_overload().at(logic.offset))),
                Err(found) if found.is_final() => return Err(found),
                Err(found) => fault = fault.or(Some(found)),
            }
        }
        match fault {
            Some(fault) => Err(fault),
            None => Ok(Value::Bool(!logic.decisive)),
        }
    }

    /// Evaluates both arguments, whatever becomes of the first.
    fn both(&mut self, args: &'a [Node; 2], charge: Charge) -> Result<[Value<'a>; 2], Fault> {
        let left = self.eval(&args[0]);
        give_up(&left)?;
        let right = self.eval(&args[1]);
        self.charge_two(charge, &left, &right)?;
        Ok([left?, right?])
    }

    fn equal(&mut self, binary: &'a Binary) -> Outcome<'a> {
        let left = self.eval(&binary.args[0]);
        give_up(&left)?;
        let charge = match left {
            Ok(
                Value::Quantity(_)
                | Value::Semver(_)
                | Value::Url(_)
                | Value::Ip(_)
                | Value::Cidr(_)
                | Value::Format(_),
            ) => Charge::Fixed(1),
            _ => Charge::Smaller,
        };
        let right = self.eval(&binary.args[1]);
        self.charge_two(charge, &left, &right)?;
        relation::equals(&left?, &right?).map(Value::Bool)
    }

    fn not_equal(&mut self, binary: &'a Binary) -> Outcome<'a> {
        let [left, right] = self.both(&binary.args, Charge::Smaller)?;
        Ok(Value::Bool(relation::equals(&left, &right) != Ok(true)))
    }

    fn operator(&mut self, operation: &'a Operation) -> Outcome<'a> {
        let value = match operation.args.as_slice() {
            [arg] => {
                let value = self.eval(arg);
                self.charge_one(operation.charge, &value)?;
                arithmetic::negate(&value?)
            }
            [left, right] => {
                let left = self.eval(left);
                give_up(&left)?;
                let right = self.eval(right);
                self.charge_two(operation.charge, &left, &right)?;
                self.combine(operation.operator, &left?, &right?)
            }
            _ => Err(Fault::no_overload()),
        };
        value.map_err(|fault| fault.at(operation.offset))
    }

    fn combine(&mut self, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
        let ordering = |name| relation::compare(left, right, name);
        Ok(Value::Bool(match operator {
            Operator::Less => ordering("_<_")?.is_lt(),
            Operator::LessEquals => ordering("_<=_")?.is_le(),
            Operator::Greater => ordering("_>_")?.is_gt(),
            Operator::GreaterEquals => ordering("_>=_")?.is_ge(),
            Operator::In => contains(left, right)?,
            Operator::Add => {
                if let (Value::List(left), Value::List(right)) = (left, right) {
                    return self.concatenate(left, right);
                }
                return arithmetic::combine(operator, left, right);
            }
            _ => return arithmetic::combine(operator, left, right),
        }))
    }

    #[inline(never)]
    fn concatenate(&mut self, left: &List<'a>, right: &List<'a>) -> Outcome<'a> {
        let length = left.len().saturating_add(right.len());
        self.budget.copy(length)?;
        Ok(Value::list(relation::concatenate(left, right)))
    }

    #[inline(never)]
    fn member(&mut self, arg: &'a Node, members: &'a Members) -> Outcome<'a> {
        let value = self.eval(arg)?;
        Ok(Value::Bool(match members {
            Members::Keys(entries) => entries.find(&value).is_some(),
            Members::Values(values) => values.iter().any(|candidate| relation::equals(&value, candidate) == Ok(true)),
        }))
    }

    #[inline(never)]
    fn call(&mut self, call: &'a Call) -> Outcome<'a> {
        let mut args: SmallVec<[Value<'a>; 3]> = SmallVec::new();
        let mut failed: Option<Fault> = None;
        let mut present: SmallVec<[bool; 3]> = SmallVec::new();
        for (index, arg) in call.args.iter().enumerate() {
            match self.eval(arg) {
                Ok(value) => {
                    args.push(value);
                    present.push(true);
                }
                Err(fault) if fault.is_final() => return Err(fault),
                Err(fault) if call.eager && index + 1 < call.args.len() => return Err(fault),
                Err(fault) => {
                    failed = failed.or(Some(fault));
                    present.push(false);
                }
            }
        }
        if let Some(fault) = failed {
            let mut values = args.iter();
            let known: SmallVec<[Option<&Value<'a>>; 3]> =
                present.iter().map(|present| if *present { values.next() } else { None }).collect();
            self.budget.charge(call.charge.cost(&known, None))?;
            return Err(fault);
        }
        let result = self.dispatch(call, &args).map_err(|fault| fault.at(call.offset));
        let cost = match call.charge {
            Charge::Fixed(cost) => cost,
            charge => {
                let known: SmallVec<[Option<&Value<'a>>; 3]> = args.iter().map(Some).collect();
                charge.cost(&known, result.as_ref().ok())
            }
        };
        self.budget.charge(cost)?;
        result
    }

    fn dispatch(&mut self, call: &'a Call, args: &[Value<'a>]) -> Outcome<'a> {
        for candidate in &call.candidates {
            let fits = candidate.params.iter().zip(args).all(|(param, arg)| matches(param, arg));
            if fits {
                return (candidate.body)(args);
            }
        }
        Err(no_overload(call.name, args))
    }

    #[inline(never)]
    fn list(&mut self, items: &'a [ListItem], offset: Offset) -> Outcome<'a> {
        let values = self.items(items, offset);
        give_up(&values)?;
        self.budget.charge(LIST)?;
        values.map(Value::list)
    }

    fn items(&mut self, items: &'a [ListItem], offset: Offset) -> Result<Vec<Value<'a>>, Fault> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            match (self.eval(&item.value)?, item.optional) {
                (value, false) => values.push(value),
                (Value::Optional(value), true) => values.extend(value.map(|value| (*value).clone())),
                (value, true) => {
                    let message = format!("cannot initialize optional list element from non-optional value {value}");
                    return Err(Fault::error(message).at(offset));
                }
            }
        }
        Ok(values)
    }

    #[inline(never)]
    fn map(&mut self, items: &'a [MapItem], offset: Offset) -> Outcome<'a> {
        let entries = self.entries(items, offset);
        give_up(&entries)?;
        self.budget.charge(MAP)?;
        entries.map(|entries| Value::Map(Map::Owned(Arc::new(entries))))
    }

    fn entries(&mut self, items: &'a [MapItem], offset: Offset) -> Result<Entries<'a>, Fault> {
        let mut entries = Entries::default();
        for item in items {
            let key = self.eval(&item.key)?;
            let value = match (self.eval(&item.value)?, item.optional) {
                (value, false) => value,
                (Value::Optional(Some(value)), true) => (*value).clone(),
                (Value::Optional(None), true) => {
                    entries.remove(&key);
                    continue;
                }
                (value, true) => {
                    let message = format!("cannot initialize optional entry '{key}' from non-optional value {value}");
                    return Err(Fault::error(message).at(offset));
                }
            };
            entries.insert(key, value).ok_or_else(|| Fault::error("unsupported key type").at(offset))?;
        }
        Ok(entries)
    }

    #[inline(never)]
    fn fold(&mut self, fold: &'a Fold) -> Outcome<'a> {
        let range = self.eval(&fold.range)?;
        let init = self.eval(&fold.init);
        self.fill(fold.accumulator, Slot::Filled(init));
        match &range {
            Value::List(list) => {
                for index in 0..list.len() {
                    let Some(element) = list.get(index) else { break };
                    let first = match fold.second {
                        Some(second) => {
                            self.fill(second, Slot::Filled(Ok(element)));
                            Value::Int(index as i64)
                        }
                        None => element,
                    };
                    if !self.iterate(fold, first)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, value) in map.entries() {
                    if let Some(second) = fold.second {
                        self.fill(second, Slot::Filled(Ok(value)));
                    }
                    if !self.iterate(fold, key)? {
                        break;
                    }
                }
            }
            other if fold.second.is_some() => {
                let message = format!("unsupported comprehension range type: {}", other.go_type());
                return Err(Fault::error(message).at(fold.offset));
            }
            other => {
                let message = format!("got '{}', expected iterable type", other.go_type());
                return Err(Fault::error(message).at(fold.offset));
            }
        }
        self.eval(&fold.result)
    }

    /// One round of a loop; false when the condition says that it is the last.
    fn iterate(&mut self, fold: &'a Fold, first: Value<'a>) -> Result<bool, Fault> {
        self.fill(fold.first, Slot::Filled(Ok(first)));
        match self.eval(&fold.condition) {
            Ok(Value::Bool(false)) => return Ok(false),
            Err(fault) if fault.is_final() => return Err(fault),
            _ => {}
        }
        let step = self.eval(&fold.step);
        give_up(&step)?;
        self.fill(fold.accumulator, Slot::Filled(step));
        self.budget.iterate()?;
        Ok(true)
    }

    /// `accumulator + [element]`: one unit for the name, what the element costs, the list unless it is constant, and
    /// one for the sum.
    #[inline(never)]
    fn append(&mut self, slot: usize, element: &'a Node) -> Outcome<'a> {
        self.budget.charge(1)?;
        let element = self.eval(element);
        give_up(&element)?;
        let list = self.take(slot);
        self.budget.charge(1)?;
        let (list, element) = (list?, element?);
        let (Value::List(List::Owned(mut values)), Value::List(added)) = (list, element) else {
            return Err(Fault::no_overload());
        };
        if values.len() >= MAX_LIST {
            return Err(Fault::cost_limit());
        }
        self.budget.copy(added.len())?;
        Arc::make_mut(&mut values).extend(added.iter());
        Ok(Value::List(List::Owned(values)))
    }

    #[inline(never)]
    fn insert(&mut self, slot: usize, insertion: &'a Insertion) -> Outcome<'a> {
        self.budget.charge(1)?;
        if let Slot::Filled(Err(fault)) = self.slot(slot) {
            return Err(fault);
        }
        let key = match &insertion.key {
            Some(key) => Some(self.eval(key)?),
            None => None,
        };
        let value = self.eval(&insertion.value)?;
        self.budget.charge(1)?;
        let Value::Map(Map::Owned(mut entries)) = self.take(slot)? else { return Err(Fault::no_overload()) };
        let map = Arc::make_mut(&mut entries);
        let mut add = |key: Value<'a>, value: Value<'a>| {
            if map.find(&key).is_some() {
                return Err(Fault::error(format!("insert failed: key {key} already exists")).at(insertion.offset));
            }
            map.insert(key, value).ok_or_else(|| Fault::error("unsupported key type").at(insertion.offset))
        };
        match (key, value) {
            (Some(key), value) => add(key, value)?,
            (None, Value::Map(added)) => added.entries().try_for_each(|(key, value)| add(key, value))?,
            (None, _) => return Err(Fault::no_overload()),
        }
        self.budget.copy(1)?;
        Ok(Value::Map(Map::Owned(entries)))
    }

    #[inline(never)]
    fn alternative(&mut self, alternative: &'a Alternative) -> Outcome<'a> {
        match self.eval(&alternative.optional)? {
            Value::Optional(Some(value)) if alternative.unwrap => Ok((*value).clone()),
            Value::Optional(None) => self.eval(&alternative.otherwise),
            other => Ok(other),
        }
    }
}

/// Passes on a fault that nothing can make up for.
pub(crate) fn give_up<T>(outcome: &Result<T, Fault>) -> Result<(), Fault> {
    match outcome {
        Err(fault) if fault.is_final() => Err(fault.clone()),
        _ => Ok(()),
    }
}

/// `element in collection`.
fn contains(element: &Value<'_>, collection: &Value<'_>) -> Result<bool, Fault> {
    match collection {
        Value::List(list) => Ok(list.iter().any(|candidate| relation::equals(element, &candidate) == Ok(true))),
        Value::Map(map) => Ok(map.contains(element)),
        _ => Err(Fault::no_overload()),
    }
}
