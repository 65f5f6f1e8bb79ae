//! Regular expressions, in the syntax of RE2.

use regex::Regex;

use crate::fault::Fault;

/// Bytes a compiled expression may take.
const MAX_SIZE: usize = 1 << 20;

/// Compiles a pattern. The error begins as Go's does.
pub(crate) fn compile(pattern: &str) -> Result<Regex, Fault> {
    machinery::regular::compile(pattern, MAX_SIZE).map_err(Fault::error)
}
