//! Fixtures, a server started for a test, and a runner for kubectl.
