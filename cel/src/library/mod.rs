//! The functions that Kubernetes gives to all expressions.

use std::sync::{Arc, LazyLock};

use crate::declaration::Library;
use crate::types::Type;
use crate::value;

mod addresses;
pub(crate) mod authorizer;
pub(crate) mod conversions;
mod formats;
mod formatting;
mod lists;
mod operators;
mod optionals;
mod quantities;
mod regexes;
mod sets;
mod strings;
mod texts;
mod times;
mod urls;
mod versions;

static BASE: LazyLock<Arc<Library>> = LazyLock::new(|| {
    let mut library = Library::default();
    for declare in [
        operators::declare,
        conversions::declare,
        texts::declare,
        times::declare,
        strings::declare,
        formatting::declare,
        lists::declare,
        sets::declare,
        regexes::declare,
        urls::declare,
        addresses::declare,
        quantities::declare,
        versions::declare,
        formats::declare,
        optionals::declare,
    ] {
        declare(&mut library);
    }
    Arc::new(library)
});

/// All functions of Kubernetes' base environment.
pub(crate) fn base() -> &'static Arc<Library> {
    &BASE
}

/// The type that a library declares under a name.
pub(crate) fn type_named(name: &str) -> Option<Type> {
    Some(match name {
        value::IP => Type::Opaque(value::IP),
        value::CIDR => Type::Opaque(value::CIDR),
        _ => return None,
    })
}
