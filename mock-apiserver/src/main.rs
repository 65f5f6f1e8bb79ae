//! The `mock-apiserver` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    mock_apiserver::args::run()
}
