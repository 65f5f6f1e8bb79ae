//! Servers of systems: their admission webhooks, and the APIs that they serve themselves (API aggregation).
//!
//! They are what they are in a real cluster: HTTPS servers that the API server calls, with a certificate that its `caBundle`
//! vouches for. Here they listen on a free port of the loopback interface, behind a Service of type `ExternalName`.

mod certificate;
mod review;
mod server;
mod shape;

use futures::future::BoxFuture;
use serde_json::Value;

pub(crate) use review::{Cause, Operation, Refusal, Review, Verdict};
pub(crate) use server::{Listening, start};
pub(crate) use shape::check_objects;

/// A request to an API that a system serves itself.
#[derive(Clone, Debug)]
pub(crate) struct ApiRequest {
    /// The method.
    pub(crate) method: http::Method,
    /// The segments of the path.
    pub(crate) path: Vec<String>,
    /// The body, if it is a JSON document; null without one.
    pub(crate) body: Value,
}

/// An answer of such an API.
#[derive(Clone, Debug)]
pub(crate) struct ApiAnswer {
    /// The code.
    pub(crate) code: u16,
    /// The document; null for an empty body.
    pub(crate) body: Value,
}

/// What a system answers.
pub(crate) trait Answers: Send + Sync + 'static {
    /// What it says of a write; `path` tells its webhooks apart.
    fn review<'a>(&'a self, path: &'a str, review: &'a Review) -> BoxFuture<'a, Verdict>;

    /// What it answers to any other request; `None` when there is nothing at the path.
    fn answer(&self, request: ApiRequest) -> BoxFuture<'_, Option<ApiAnswer>> {
        drop(request);
        Box::pin(std::future::ready(None))
    }
}
