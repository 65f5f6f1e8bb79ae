//! What users may plug into admission: policies in CEL and webhooks. What the server itself has to say is in `hooks`.
//!
//! Both see a write as a client of their version would ([`request`]), when it is one of those that their rules are about
//! ([`matching`]).

mod authorizer;
mod conditions;
mod expression;
mod matching;
mod policy;
mod request;
mod webhook;

pub(crate) use policy::{MutatingPolicies, PolicyDefinitions, PolicyTypeChecking, ValidatingPolicies};
pub(crate) use webhook::{MutatingWebhooks, ValidatingWebhooks, call_webhook};
