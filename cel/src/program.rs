//! Programs: expressions ready to be evaluated.

use crate::budget::Budget;
use crate::checker::Checked;
use crate::eval::{Activation, Evaluation, Slot};
use crate::fault::Fault;
use crate::planner::{self, Plan};
use crate::value::Value;

/// An expression ready to be evaluated, any number of times and from several threads.
pub struct Program {
    plan: Plan,
}

impl Checked {
    /// Makes a program. Fails if a constant of the expression cannot be converted, as in `int('x')`.
    pub fn program(&self) -> Result<Program, Fault> {
        Ok(Program { plan: planner::plan(self, true)? })
    }

    /// A program that computes nothing beforehand, as cel-go's own tests of costs do.
    #[cfg(test)]
    pub(crate) fn program_as_written(&self) -> Result<Program, Fault> {
        Ok(Program { plan: planner::plan(self, false)? })
    }
}

impl Program {
    /// The value of the expression for these variables. What it costs is taken from the budget.
    pub fn eval<'a>(&'a self, activation: &'a dyn Activation, budget: &mut Budget<'_>) -> Result<Value<'a>, Fault> {
        let slots: Vec<Slot<'a>> = self.plan.bindings.iter().map(|_| Slot::Empty).collect();
        Evaluation { activation, bindings: &self.plan.bindings, slots, budget }.eval(&self.plan.root)
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}
