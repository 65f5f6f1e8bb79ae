//! The `schedule` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    schedule_cli::main()
}
