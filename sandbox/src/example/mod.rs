//! Example files, and what must happen with them.

mod expectation;
mod play;
mod report;

pub use expectation::{Expectation, Head};
pub use play::{Finding, Player};
pub use report::table;
