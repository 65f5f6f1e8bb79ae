//! Nodes of the syntax tree, and how many and how high they may be.

use crate::ast::{Expr, Kind};
use crate::minor::Minor;
use crate::source::Offset;

/// Height of the tree, macros expanded. Keeps every recursion over the tree within a thread's stack.
pub(crate) const MAX_HEIGHT: usize = 250;

/// Nodes of the tree, macros expanded (`optMap` doubles its target).
const MAX_NODES: usize = 500_000;

/// Makes numbered nodes and keeps the tree low.
#[derive(Default)]
pub(crate) struct Builder {
    /// Whether `cel.bind` is a macro.
    pub(crate) binding: bool,
    /// Of which release macros are.
    pub(crate) minor: Minor,
    next_id: usize,
    heights: Vec<u16>,
}

impl Builder {
    /// Of no nodes yet; whether `cel.bind` is a macro, and of which release macros are.
    pub(crate) fn new(binding: bool, minor: Minor) -> Self {
        Self { binding, minor, ..Self::default() }
    }

    /// A new node. Its height is one more than that of its highest child.
    pub(crate) fn node(&mut self, offset: Offset, kind: Kind) -> Expr {
        let id = self.next_id;
        self.next_id += 1;
        let height = self.height_of(&kind);
        self.heights.push(height);
        Expr { id, offset, kind }
    }

    /// How many nodes there are.
    pub(crate) fn nodes(&self) -> usize {
        self.next_id
    }

    /// Whether there are more nodes than any honest expression needs; the tree is then worthless.
    pub(crate) fn is_full(&self) -> bool {
        self.next_id > MAX_NODES
    }

    /// Why the tree under this node is not acceptable.
    pub(crate) fn excess(&self, node: &Expr) -> Option<&'static str> {
        if self.is_full() {
            return Some("expression has too many parts");
        }
        (usize::from(self.height(node)) > MAX_HEIGHT).then_some("max recursion depth exceeded")
    }

    fn height(&self, node: &Expr) -> u16 {
        self.heights.get(node.id).copied().unwrap_or(0)
    }

    fn height_of(&self, kind: &Kind) -> u16 {
        let mut highest = 0;
        let mut see = |child: &Expr| highest = highest.max(self.height(child));
        match kind {
            Kind::Literal(_) | Kind::Ident(_) | Kind::Invalid => return 0,
            Kind::Select(select) => see(&select.operand),
            Kind::Call(call) => call.target.iter().chain(&call.args).for_each(see),
            Kind::List(items) => items.iter().for_each(|item| see(&item.value)),
            Kind::Map(entries) => entries.iter().for_each(|entry| {
                see(&entry.key);
                see(&entry.value);
            }),
            Kind::Struct(_, fields) => fields.iter().for_each(|field| see(&field.value)),
            Kind::Comprehension(fold) => {
                [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result].into_iter().for_each(see);
            }
        }
        highest.saturating_add(1)
    }
}
