//! The `sandbox` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    sandbox::main()
}
