//! What an evaluation may cost, and what it has cost so far.

use crate::fault::Fault;

/// Loop iterations between two questions whether to stop.
const CHECK_EVERY: u32 = 100;
/// Elements of lists that one evaluation may copy.
const MAX_COPIED: usize = 4_000_000;
/// Bytes of a text that an evaluation may make at once.
pub(crate) const MAX_TEXT: usize = 16 << 20;
/// Elements of a list that an evaluation may make at once.
pub(crate) const MAX_LIST: usize = 1_000_000;

/// Meters one or several evaluations.
pub struct Budget<'i> {
    limit: u64,
    cost: u64,
    copied: usize,
    iterations: u32,
    interrupt: Option<&'i dyn Fn() -> bool>,
}

impl<'i> Budget<'i> {
    /// A budget of so many cost units.
    #[must_use]
    pub fn new(limit: u64) -> Budget<'i> {
        Budget { limit, cost: 0, copied: 0, iterations: 0, interrupt: None }
    }

    /// A budget that never runs out.
    #[must_use]
    pub fn unlimited() -> Budget<'i> {
        Budget::new(u64::MAX)
    }

    /// Asks from time to time whether to stop the evaluation.
    #[must_use]
    pub fn with_interrupt(mut self, interrupt: &'i dyn Fn() -> bool) -> Budget<'i> {
        self.interrupt = Some(interrupt);
        self
    }

    /// What was spent so far, in CEL cost units; more than the limit after a [`crate::FaultKind::CostLimit`].
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost
    }

    pub(crate) fn charge(&mut self, cost: u64) -> Result<(), Fault> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit { Err(Fault::cost_limit()) } else { Ok(()) }
    }

    /// Undoes a charge.
    pub(crate) fn refund(&mut self, cost: u64) {
        self.cost = self.cost.saturating_sub(cost);
    }

    /// Counts an iteration of a loop.
    pub(crate) fn iterate(&mut self) -> Result<(), Fault> {
        self.iterations = self.iterations.wrapping_add(1);
        match self.interrupt {
            Some(interrupt) if self.iterations.is_multiple_of(CHECK_EVERY) && interrupt() => Err(Fault::interrupted()),
            _ => Ok(()),
        }
    }

    /// Counts list elements that are copied, which cel-go does not charge for.
    pub(crate) fn copy(&mut self, elements: usize) -> Result<(), Fault> {
        self.copied = self.copied.saturating_add(elements);
        if self.copied > MAX_COPIED { Err(Fault::cost_limit()) } else { Ok(()) }
    }
}

/// A text of this many bytes is not made.
pub(crate) fn check_text(bytes: usize) -> Result<(), Fault> {
    if bytes > MAX_TEXT { Err(Fault::cost_limit()) } else { Ok(()) }
}
