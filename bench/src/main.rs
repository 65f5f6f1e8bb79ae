//! Benchmarks of the whole and of its rooms.

fn main() {}
