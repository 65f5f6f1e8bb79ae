//! Every kind that is served from the start.

use crate::{builtin, definition::ResourceDefinition, evolution, k8srm, resource};

/// One row for each kind: built-in kinds, the GA device API, and the prototypes.
///
/// Group `resource.k8s.io` has two generations of kinds of the same names (see `resource` and `evolution`): what tells
/// them apart is the version.
pub fn catalog() -> Vec<ResourceDefinition> {
    let builtin = builtin::definitions();
    let pod = builtin.iter().find(|row| row.kind == "Pod").map(evolution::pod::definition);
    let generations = [resource::definitions(), evolution::definitions(), k8srm::definitions()].concat();
    builtin.into_iter().chain(generations).chain(pod).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn rows_are_told_apart_by_group_version_and_plural() {
        let mut seen = HashSet::new();
        let mut stored = HashMap::new();
        for row in catalog() {
            *stored.entry(row.store.clone()).or_insert(0) +=
                row.versions.iter().filter(|version| version.storage).count();
            for version in &row.versions {
                let key = (row.group.clone(), version.name.clone(), row.plural.clone());
                assert!(seen.insert(key.clone()), "{key:?} twice");
            }
        }
        // Several spellings of the same objects have one storage version between them.
        assert!(stored.values().all(|count| *count == 1), "{stored:?}");
    }
}
