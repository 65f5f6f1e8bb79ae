//! Selectors: which objects a list, a watch or a controller means, by label or by field.

pub mod field;
pub mod label;
