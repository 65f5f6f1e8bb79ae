//! Which devices: a pure function from hub input to an allocation or an explanation.
//!
//! [`Allocator`] is the index over classes and slices, [`Usage`] is what is in use, and
//! [`Allocator::allocate`] answers for one node. Same input, same answer, in the order of Kubernetes' own allocator
//! (KEP-4381 and the KEPs that grew from it).

mod attempt;
mod cause;
mod clause;
mod constraint;
mod counter;
mod dialect;
mod division;
mod error;
mod explain;
pub mod extended;
mod features;
mod first_fit;
mod foresight;
mod index;
mod nano;
pub mod node_selector;
mod outcome;
mod plan;
mod pool;
pub mod render;
mod rivalry;
mod search;
mod selector;
mod share;
mod slice;
pub mod taint;
mod usage;
mod words;

pub use cause::Cause;
pub use clause::Fact;
pub use constraint::Refusal;
pub use dialect::{Compiled, Compiler, RunError};
pub use division::{Division, ValueShare};
pub use error::{Error, RESULTS_MAX, RequestProblem};
pub use explain::{Explanation, NearMiss, Reason, UnusablePool, WantExplanation, Wanted};
pub use features::{Features, Release};
pub use first_fit::FirstFit;
pub use index::Allocator;
pub use outcome::Outcome;
pub use search::Surroundings;
pub use share::Misfit;
pub use usage::Usage;
