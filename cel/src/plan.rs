//! The form of an expression that is evaluated: names resolved to slots, calls to functions, constants computed.

use regex::Regex;

use crate::charge::Charge;
use crate::collection::Entries;
use crate::declaration::Body;
use crate::fault::Fault;
use crate::source::Offset;
use crate::types::Type;
use crate::value::Value;

/// A step of an evaluation.
pub(crate) enum Node {
    Constant(Value<'static>),
    /// A call of constants, carried out beforehand; its cost is still paid.
    Known(Box<Known>),
    Path(Box<Path>),
    Logic(Box<Logic>),
    Not(Box<Unary>),
    NotStrictlyFalse(Box<Node>),
    Equal(Box<Binary>),
    NotEqual(Box<Binary>),
    Operator(Box<Operation>),
    /// Membership in a list of constants, which costs nothing.
    Member(Box<Node>, Box<Members>),
    Call(Box<Call>),
    /// A call whose regular expression is constant.
    Regex(Box<Matching>),
    List(Vec<ListItem>, Offset),
    Map(Vec<MapItem>, Offset),
    Fold(Box<Fold>),
    /// `cel.bind`: the slot is filled when it is first looked at.
    Bind(usize, Box<Node>),
    /// Adds an element to the list that a loop builds.
    Append(usize, Box<Node>),
    /// Adds entries to the map that a loop builds.
    Insert(usize, Box<Insertion>),
    /// `optional.or(…)`, and `optional.orValue(…)` if so.
    OptionalOr(Box<Alternative>),
}

pub(crate) struct Known {
    pub(crate) result: Result<Value<'static>, Fault>,
    pub(crate) cost: u64,
}

/// Something, and the fields and indices that lead from it to a value.
pub(crate) struct Path {
    pub(crate) base: Base,
    pub(crate) steps: Vec<Step>,
    /// `has(…)`: whether the last step leads anywhere.
    pub(crate) test: bool,
    pub(crate) offset: Offset,
}

pub(crate) enum Base {
    Variable(Box<str>),
    /// A variable of a macro, by slot.
    Local(usize),
    /// A bound variable, by slot.
    Bound(usize),
    Conditional(Box<Conditional>),
    Operand(Node),
}

pub(crate) struct Conditional {
    pub(crate) condition: Node,
    pub(crate) yes: Node,
    pub(crate) no: Node,
}

pub(crate) struct Step {
    pub(crate) key: Key,
    /// `.?` and `[?]`: a missing key gives no value instead of an error.
    pub(crate) optional: bool,
}

pub(crate) enum Key {
    Constant(Value<'static>),
    Computed(Node),
}

pub(crate) struct Logic {
    /// The result that needs no other term: true for `||`, false for `&&`.
    pub(crate) decisive: bool,
    pub(crate) terms: [Node; 2],
    pub(crate) offset: Offset,
}

pub(crate) struct Unary {
    pub(crate) arg: Node,
    pub(crate) offset: Offset,
}

pub(crate) struct Binary {
    pub(crate) args: [Node; 2],
}

pub(crate) struct Operation {
    pub(crate) operator: Operator,
    /// One argument for negation, else two.
    pub(crate) args: Vec<Node>,
    pub(crate) charge: Charge,
    pub(crate) offset: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Negate,
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
    In,
}

/// Constants to be a member of.
pub(crate) enum Members {
    Keys(Entries<'static>),
    Values(Vec<Value<'static>>),
}

pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) args: Vec<Node>,
    pub(crate) charge: Charge,
    /// Stops at the first argument without a value, and then costs nothing itself unless that was the last.
    pub(crate) eager: bool,
    pub(crate) offset: Offset,
}

/// An overload that may fit the arguments.
pub(crate) struct Candidate {
    pub(crate) params: Vec<Type>,
    pub(crate) body: Body,
}

pub(crate) struct Matching {
    pub(crate) kind: MatchKind,
    pub(crate) regex: Regex,
    /// Text, and for `findAll` possibly the number of results.
    pub(crate) args: Vec<Node>,
    /// Cost of the pattern, to be multiplied by that of the text.
    pub(crate) pattern_cost: u64,
    pub(crate) offset: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MatchKind {
    Matches,
    Find,
    FindAll,
}

pub(crate) struct ListItem {
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

pub(crate) struct MapItem {
    pub(crate) key: Node,
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

pub(crate) struct Fold {
    pub(crate) range: Node,
    pub(crate) first: usize,
    /// Given for loops over indices and elements, or keys and values.
    pub(crate) second: Option<usize>,
    pub(crate) accumulator: usize,
    pub(crate) init: Node,
    pub(crate) condition: Node,
    pub(crate) step: Node,
    pub(crate) result: Node,
    pub(crate) offset: Offset,
}

pub(crate) struct Insertion {
    /// Absent when the value is a map of entries to be added.
    pub(crate) key: Option<Node>,
    pub(crate) value: Node,
    pub(crate) offset: Offset,
}

pub(crate) struct Alternative {
    pub(crate) optional: Node,
    pub(crate) otherwise: Node,
    /// Gives the value instead of the optional.
    pub(crate) unwrap: bool,
}
