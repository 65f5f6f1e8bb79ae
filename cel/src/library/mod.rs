//! The functions that Kubernetes gives to all expressions.

use std::sync::{Arc, LazyLock};

use crate::declaration::Library;
use crate::minor::Minor;
use crate::types::Type;
use crate::value;

mod addresses;
mod authorizer;
pub(crate) mod conversions;
mod formats;
pub(crate) mod formatting;
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
pub(crate) mod versions;

/// What every release has.
static OLDEST: LazyLock<Arc<Library>> = LazyLock::new(|| {
    let mut library = Library::default();
    for declare in [
        operators::declare,
        conversions::declare,
        texts::declare,
        times::declare,
        strings::declare,
        formatting::declare,
        lists::declare_own,
        sets::declare,
        regexes::declare,
        urls::declare,
        addresses::declare,
        quantities::declare,
        formats::declare,
        authorizer::declare,
        optionals::declare,
    ] {
        declare(&mut library);
    }
    Arc::new(library)
});

/// With versions.
static WITH_VERSIONS: LazyLock<Arc<Library>> = LazyLock::new(|| extended(&OLDEST, versions::declare));

/// With versions and the lists extension.
static LATEST: LazyLock<Arc<Library>> = LazyLock::new(|| extended(&WITH_VERSIONS, lists::declare_extension));

fn extended(library: &Library, extend: fn(&mut Library)) -> Arc<Library> {
    let mut library = library.clone();
    extend(&mut library);
    Arc::new(library)
}

/// All functions of Kubernetes' base environment in a release.
pub(crate) fn base(minor: Minor) -> &'static Arc<Library> {
    if minor.has_list_extension() {
        &LATEST
    } else if minor.has_versions() {
        &WITH_VERSIONS
    } else {
        &OLDEST
    }
}

/// The type that a library declares under a name.
pub(crate) fn type_named(name: &str) -> Option<Type> {
    Some(match name {
        value::IP => Type::Opaque(value::IP),
        value::CIDR => Type::Opaque(value::CIDR),
        _ => return None,
    })
}
