//! Flags that more than one command has, and the command line of `kube-apiserver`, for whoever starts this in its place.

mod access;
pub(crate) mod admission_plugins;
mod kube_apiserver;
mod refusal;

pub use access::AccessFlags;
pub(crate) use kube_apiserver::{Sifted, sift};
pub(crate) use refusal::{invalid, refusal};

/// The command that this one stands in for when it is called so.
pub(crate) const IN_PLACE_OF: &str = "kube-apiserver";
