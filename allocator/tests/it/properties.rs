//! What holds for every problem, tried on small random ones.
