//! What goes wrong while an expression is evaluated.

use std::borrow::Cow;
use std::fmt;

use crate::source::Offset;

/// An evaluation that has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    kind: FaultKind,
    message: Cow<'static, str>,
    offset: Offset,
}

/// Why an evaluation has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The expression is wrong for its input. `||`, `&&`, `all` and `exists` may still decide without this part.
    Error,
    /// It has cost more than the budget allows.
    CostLimit,
    /// The caller asked for it to stop.
    Interrupted,
}

impl Fault {
    /// An error of the expression on its input.
    pub fn error(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(FaultKind::Error, message.into())
    }

    fn new(kind: FaultKind, message: Cow<'static, str>) -> Fault {
        Fault(Box::new(Inner { kind, message, offset: Offset::NOWHERE }))
    }

    pub(crate) fn cost_limit() -> Fault {
        Fault::new(FaultKind::CostLimit, Cow::Borrowed("operation cancelled: actual cost limit exceeded"))
    }

    pub(crate) fn interrupted() -> Fault {
        Fault::new(FaultKind::Interrupted, Cow::Borrowed("operation interrupted"))
    }

    /// The arguments of an operator have types that it does not work on.
    pub(crate) fn no_overload() -> Fault {
        Fault::error("no such overload")
    }

    pub(crate) fn no_key(key: impl fmt::Display) -> Fault {
        Fault::error(format!("no such key: {key}"))
    }

    /// The same fault at a place in the source, unless it has one already.
    pub(crate) fn at(mut self, offset: Offset) -> Fault {
        if self.0.offset == Offset::NOWHERE {
            self.0.offset = offset;
        }
        self
    }

    /// Why there is no value.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.0.kind
    }

    /// Whether no other part of the expression can make up for this.
    pub(crate) fn is_final(&self) -> bool {
        self.0.kind != FaultKind::Error
    }

    /// Where in the source it went wrong.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.0.offset
    }

    /// cel-go's text for it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Fault {}
