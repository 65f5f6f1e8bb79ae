//! Checks and generators of the workspace, run with `cargo run -p xtask`.

fn main() {}
