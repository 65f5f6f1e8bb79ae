//! Flags that more than one command has, and those of `kube-apiserver` that are taken and mean nothing here.

mod access;
mod kube_apiserver;

pub use access::AccessFlags;
pub(crate) use kube_apiserver::{Sifted, sift};
