//! Behaviour recorded from upstream, and what must hold for any text.

mod any_text;
mod conformance;
mod corpus;
mod syntax;
