//! Evaluation of paths: variables and results of calls, followed by fields and indices.

use crate::charge::{size, text_cost};
use crate::collection::{Map, Mapping};
use crate::declaration::no_overload;
use crate::eval::{Evaluation, Outcome, Slot, give_up};
use crate::fault::Fault;
use crate::plan::{Base, Conditional, Key, MatchKind, Matching, Node, Path, Step};
use crate::value::Value;

impl<'a> Evaluation<'a, '_, '_> {
    /// The value at the end of a path. Looking at a variable or result costs one unit, and so does every step;
    /// asking whether there is something costs the steps only.
    pub(crate) fn path(&mut self, path: &'a Path) -> Outcome<'a> {
        let outcome = self.resolve(path);
        give_up(&outcome)?;
        match (&path.base, path.test) {
            (Base::Conditional(_), false) => {}
            (Base::Conditional(_), true) => self.budget.refund(1),
            (_, true) => {}
            (_, false) => self.budget.charge(1)?,
        }
        outcome.map_err(|fault| fault.at(path.offset))
    }

    /// The value at the end of a path, without the unit for the whole.
    fn resolve(&mut self, path: &'a Path) -> Outcome<'a> {
        match self.base(&path.base)? {
            value if path.steps.is_empty() => Ok(value),
            Value::Map(Map::Borrowed(map)) => self.descend(map, path),
            Value::Optional(Some(inner)) => self.walk((*inner).clone(), 0, true, path),
            Value::Optional(None) if path.test => Ok(Value::Bool(false)),
            Value::Optional(None) => Ok(Value::Optional(None)),
            value => self.walk(value, 0, false, path),
        }
    }

    /// Follows the plain steps of a path through the caller's maps, which is most of what device selectors do.
    fn descend(&mut self, mut map: &'a dyn Mapping, path: &'a Path) -> Outcome<'a> {
        let last = path.steps.len() - 1;
        for (index, step) in path.steps.iter().enumerate() {
            let Step { key: Key::Constant(key), optional: false } = step else {
                return self.walk(Value::Map(Map::Borrowed(map)), index, false, path);
            };
            if path.test && index == last {
                return self.walk(Value::Map(Map::Borrowed(map)), index, false, path);
            }
            self.budget.charge(1)?;
            match map.find(key) {
                Some(value) if index == last => return Ok(value),
                Some(Value::Map(Map::Borrowed(next))) => map = next,
                Some(value) => return self.walk(value, index + 1, false, path),
                None => return Err(Fault::no_key(key)),
            }
        }
        Ok(Value::Map(Map::Borrowed(map)))
    }

    /// Follows the steps of a path from the one at `from`. `optional` says whether one before could have led nowhere.
    fn walk(&mut self, mut value: Value<'a>, from: usize, mut optional: bool, path: &'a Path) -> Outcome<'a> {
        let last = path.steps.len().saturating_sub(1);
        for (index, step) in path.steps.iter().enumerate().skip(from) {
            optional |= step.optional;
            if path.test && index == last {
                return self.test(&value, step, optional).map(Value::Bool);
            }
            match self.step(&value, step, optional)? {
                Some(next) => value = next,
                None if path.test => return Ok(Value::Bool(false)),
                None => return Ok(Value::Optional(None)),
            }
        }
        Ok(if optional { Value::some(value) } else { value })
    }

    fn base(&mut self, base: &'a Base) -> Outcome<'a> {
        match base {
            Base::Variable(name) => {
                self.activation.variable(name).ok_or_else(|| Fault::error(format!("no such attribute(s): {name}")))
            }
            Base::Local(slot) => match self.slot(*slot) {
                Slot::Filled(outcome) => outcome,
                Slot::Empty => Err(Fault::error("no such attribute(s)")),
            },
            Base::Bound(slot) => self.bound(*slot),
            Base::Conditional(conditional) => self.conditional(conditional),
            Base::Operand(node) => self.eval(node),
        }
    }

    #[inline(never)]
    fn bound(&mut self, slot: usize) -> Outcome<'a> {
        if let Slot::Filled(outcome) = self.slot(slot) {
            return outcome;
        }
        let bindings = self.bindings;
        let Some(Some(node)) = bindings.get(slot) else { return Err(Fault::error("no such attribute(s)")) };
        let outcome = self.eval(node);
        self.fill(slot, Slot::Filled(outcome.clone()));
        outcome
    }

    /// Of a branch that is a path, only the steps cost.
    #[inline(never)]
    fn conditional(&mut self, conditional: &'a Conditional) -> Outcome<'a> {
        let branch = match self.eval(&conditional.condition)? {
            Value::Bool(true) => &conditional.yes,
            Value::Bool(false) => &conditional.no,
            _ => return Err(Fault::no_overload()),
        };
        match branch {
            Node::Path(path) => self.resolve(path),
            node => self.eval(node),
        }
    }

    /// Follows one step. It costs a unit unless it is optional and leads nowhere.
    fn step(&mut self, value: &Value<'a>, step: &'a Step, optional: bool) -> Result<Option<Value<'a>>, Fault> {
        let found = match &step.key {
            Key::Constant(key) => find(value, key, optional),
            Key::Computed(node) => {
                let key = self.key(node);
                give_up(&key)?;
                key.and_then(|key| find(value, &key, optional))
            }
        };
        if !optional || matches!(found, Ok(Some(_))) {
            self.budget.charge(1)?;
        }
        found
    }

    /// Whether the last step of `has(…)` leads anywhere.
    #[inline(never)]
    fn test(&mut self, value: &Value<'a>, step: &'a Step, optional: bool) -> Result<bool, Fault> {
        let present = match &step.key {
            Key::Constant(key) => find(value, key, true),
            Key::Computed(node) => self.key(node).and_then(|key| find(value, &key, true)),
        };
        if !optional || matches!(present, Ok(Some(_))) {
            self.budget.charge(1)?;
        }
        present.map(|found| found.is_some())
    }

    /// A computed key. Of a path, only the steps cost, for the key is not looked at for its own sake.
    #[inline(never)]
    fn key(&mut self, key: &'a Node) -> Outcome<'a> {
        match key {
            Node::Path(path) => self.resolve(path),
            node => self.eval(node),
        }
    }

    /// A call with a constant regular expression.
    #[inline(never)]
    pub(crate) fn matching(&mut self, matching: &'a Matching) -> Outcome<'a> {
        let text = self.eval(&matching.args[0])?;
        let limit = match matching.args.get(1) {
            Some(limit) => Some(self.eval(limit)?),
            None => None,
        };
        self.budget.charge(text_cost(size(Some(&text))).saturating_mul(matching.pattern_cost))?;
        let Value::String(subject) = &text else {
            return Err(match matching.kind {
                MatchKind::Matches => Fault::no_overload(),
                MatchKind::Find => no_overload("find", &[text, Value::text("")]),
                MatchKind::FindAll => no_overload("findAll", &[text, Value::text("")]),
            }
            .at(matching.offset));
        };
        match matching.kind {
            MatchKind::Matches => Ok(Value::Bool(matching.regex.is_match(subject))),
            MatchKind::Find => Ok(Value::string(matching.regex.find(subject).map_or("", |found| found.as_str()))),
            MatchKind::FindAll => {
                let limit = match limit {
                    None => usize::MAX,
                    Some(Value::Int(limit)) => usize::try_from(limit).unwrap_or(usize::MAX),
                    Some(_) => return Err(Fault::no_overload().at(matching.offset)),
                };
                let found = matching.regex.find_iter(subject).take(limit);
                Ok(Value::list(found.map(|found| Value::string(found.as_str())).collect()))
            }
        }
    }
}

/// What `key` leads to. Nothing being there is an error unless it may be absent.
fn find<'a>(value: &Value<'a>, key: &Value<'_>, may_be_absent: bool) -> Result<Option<Value<'a>>, Fault> {
    let missing = || if may_be_absent { Ok(None) } else { Err(Fault::no_key(key)) };
    match value {
        Value::Map(map) => match map.find(key) {
            Some(found) => Ok(Some(found)),
            None => missing(),
        },
        Value::List(list) => {
            let index = list_index(key)?;
            match usize::try_from(index).ok().and_then(|index| list.get(index)) {
                Some(found) => Ok(Some(found)),
                None if may_be_absent => Ok(None),
                None => Err(Fault::error(format!("index out of bounds: {key}"))),
            }
        }
        _ => missing(),
    }
}

fn list_index(key: &Value<'_>) -> Result<i64, Fault> {
    let index = match key {
        Value::Int(index) => Some(*index),
        Value::Uint(index) => i64::try_from(*index).ok(),
        Value::Double(index) if index.fract() == 0.0 && index.abs() < 9e18 => Some(*index as i64),
        Value::Double(_) => None,
        _ => return Err(Fault::error(format!("unsupported index type '{}' in list", key.type_name()))),
    };
    index.ok_or_else(|| Fault::error(format!("unsupported index value {key} in list")))
}
