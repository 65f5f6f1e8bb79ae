//! Flags that more than one command has, and the command line of `kube-apiserver`, for whoever starts this in its place.

mod access;
pub(crate) mod admission_plugins;
mod audit;
mod kube_apiserver;
mod refusal;
mod shown;
mod strict_transport_security;

pub use access::AccessFlags;
pub(crate) use audit::AuditFlags;
pub(crate) use kube_apiserver::{Sifted, sift};
pub(crate) use refusal::{invalid, refusal};
pub(crate) use shown::shown;
pub(crate) use strict_transport_security::strict_transport_security;

/// The command that this one stands in for when it is called so.
pub(crate) const IN_PLACE_OF: &str = "kube-apiserver";
