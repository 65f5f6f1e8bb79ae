//! Operators that stand between their operands.

use crate::ast::operator;
use crate::lexer::{Kind, Token};

/// How tight an operator binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Or,
    And,
    Relation,
    Sum,
    Product,
    Operand,
}

impl Level {
    pub(crate) fn tighter(self) -> Option<Level> {
        match self {
            Level::Or => Some(Level::And),
            Level::And => Some(Level::Relation),
            Level::Relation => Some(Level::Sum),
            Level::Sum => Some(Level::Product),
            Level::Product => Some(Level::Operand),
            Level::Operand => None,
        }
    }
}

/// An operator between two operands.
pub(crate) struct Infix {
    pub(crate) level: Level,
    pub(crate) function: &'static str,
    pub(crate) token: Token,
}

/// How tight an operator binds, and the function that it calls. `None`: it is none that stands between operands.
pub(crate) fn infix(kind: Kind) -> Option<(Level, &'static str)> {
    Some(match kind {
        Kind::Or => (Level::Or, operator::OR),
        Kind::And => (Level::And, operator::AND),
        Kind::Less => (Level::Relation, operator::LESS),
        Kind::LessEquals => (Level::Relation, operator::LESS_EQUALS),
        Kind::Greater => (Level::Relation, operator::GREATER),
        Kind::GreaterEquals => (Level::Relation, operator::GREATER_EQUALS),
        Kind::Equals => (Level::Relation, operator::EQUALS),
        Kind::NotEquals => (Level::Relation, operator::NOT_EQUALS),
        Kind::In => (Level::Relation, operator::IN),
        Kind::Plus => (Level::Sum, operator::ADD),
        Kind::Minus => (Level::Sum, operator::SUBTRACT),
        Kind::Star => (Level::Product, operator::MULTIPLY),
        Kind::Slash => (Level::Product, operator::DIVIDE),
        Kind::Percent => (Level::Product, operator::MODULO),
        _ => return None,
    })
}
