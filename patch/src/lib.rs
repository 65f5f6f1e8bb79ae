//! All ways to combine two documents: JSON patch, merge patch, strategic merge patch, server-side apply, diff.
//!
//! Everything works on `serde_json::Value` and knows neither HTTP nor storage. Documents and patches are expected to nest no
//! deeper than `machinery::limits::DOCUMENT_DEPTH_MAX`, as every parser of this workspace guarantees; results keep to it.

pub mod apply;
pub mod diff;
pub mod json;
pub mod merge;
pub mod strategic;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod fixture;
mod go;
