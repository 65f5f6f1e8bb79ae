//! Behaviour recorded from upstream.

mod corpus;
