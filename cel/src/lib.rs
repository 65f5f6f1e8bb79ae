//! CEL as Kubernetes runs it: parse, type check, static cost, budgeted evaluation, libraries.
//!
//! An [`Environment`] declares what expressions may use; [`Environment::check`] parses and type-checks one into a
//! [`Checked`], which knows the type of its result and can be made a [`Program`]. A program is evaluated against an
//! [`Activation`] on a [`Budget`].
//!
//! [`device`] holds the environment of device selectors in `resource.k8s.io`; [`named_resources`] that of
//! its first structured model; [`typed_attributes`] and [`attribute_map`] hold those of the prototypes.

mod arithmetic;
mod ast;
pub mod attribute_map;
mod authorizer;
mod budget;
mod builder;
mod calendar;
mod charge;
mod checker;
mod collection;
mod cost;
#[cfg(test)]
mod cost_tables;
mod declaration;
pub mod derived;
pub mod device;
mod device_names;
mod document;
mod environment;
mod escape;
mod estimate;
mod estimate_call;
mod eval;
mod fault;
mod format;
mod format_check;
mod infix;
mod lexer;
mod library;
mod literal;
mod macros;
mod minor;
mod mutation;
pub mod named_resources;
mod network;
mod number;
mod parser;
mod path;
mod plan;
mod planner;
mod program;
mod recovery;
mod regular;
mod relation;
mod shape;
mod source;
mod structural;
mod time;
pub mod typed_attributes;
mod types;
mod unescape;
mod unify;
mod url;
mod usage;
mod validate;
mod value;

pub use authorizer::{Access, Authorizer, Decision, Question, authorizer_shape, resource_check_shape};
pub use budget::Budget;
pub use checker::Checked;
pub use collection::{List, Map, Mapping, Sequence};
pub use document::{json_of, value_of};
pub use environment::Environment;
pub use escape::{escape, unescape};
pub use eval::Activation;
pub use fault::{Fault, FaultKind};
pub use minor::Minor;
pub use program::Program;
pub use shape::{Field, Order, Shape};
pub use source::{Issue, Issues, Offset};
pub use structural::{documents_in_request, shape_of_schema};
pub use time::{Duration, Timestamp};
pub use types::Type;
pub use value::{Shared, Value};
