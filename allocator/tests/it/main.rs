//! Tests of the allocator as its users see it.

mod corpus;
mod explanations;
mod lab;
mod properties;
mod updates;
