//! Which functions and macros there are in a release (`k8s.io/apiserver/pkg/cel/environment`).

/// A minor release of Kubernetes 1, whose functions and macros expressions may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Minor(u32);

impl Minor {
    /// Everything there is.
    pub const LATEST: Minor = Minor(u32::MAX);

    /// What Kubernetes 1.`minor` has.
    #[must_use]
    pub fn of(minor: u32) -> Minor {
        Minor(minor)
    }

    /// What expressions may use that are about to be stored: what the release before has too, so that one can go back to it
    /// (`DefaultCompatibilityVersion`).
    #[must_use]
    pub fn compatible(self) -> Minor {
        if self == Minor::LATEST { self } else { Minor(self.0.saturating_sub(1)) }
    }

    /// Macros with two variables, such as `list.all(index, value, …)` and `transformList`.
    pub(crate) fn has_two_variables(self) -> bool {
        self.0 >= 32
    }

    /// Semantic versions everywhere, and with normalisation; before, only device selectors have them.
    pub(crate) fn has_versions(self) -> bool {
        self.0 >= 33
    }

    /// The lists extension of CEL, among it `sort`, `slice`, `distinct` and `lists.range`.
    pub(crate) fn has_list_extension(self) -> bool {
        self.0 >= 34
    }

    /// Attributes of devices that are lists are there for expressions that are stored, whatever the gate says; until then
    /// a device that has one cannot be looked at without the gate.
    pub(crate) fn reads_list_attributes(self) -> bool {
        self.0 >= 37
    }
}

impl Default for Minor {
    fn default() -> Self {
        Self::LATEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Features, SelectorCompiler};
    use crate::{Environment, Shape, Type};

    #[test]
    fn functions_appear_in_their_releases() {
        let cases = [
            ("[1].all(i, v, i < v)", 32, 32),
            ("[1].transformList(i, v, v) == [1]", 32, 32),
            ("{'a': 1}.exists(k, v, v == 1)", 32, 32),
            ("isSemver('1.0.0')", 33, 0),
            ("semver('v1', true).major() == 1", 33, 33),
            ("[2, 1].sort() == [1, 2]", 34, 34),
            ("[2, 1].sortBy(e, e) == [1, 2]", 34, 34),
            ("lists.range(2) == [0, 1]", 34, 34),
            ("[1].distinct() == [1]", 34, 34),
            ("[1].isSorted() && [1].max() == 1 && [1].indexOf(1) == 0 && [1].sum() == 1", 0, 0),
            ("ip('1.1.1.1').family() == 4", 0, 0),
        ];
        for (expression, everywhere, for_devices) in cases {
            for minor in 31..38 {
                let environment = Environment::of(Minor::of(minor)).with_variable("x", Shape::simple(Type::Dyn));
                assert_eq!(environment.check(expression).is_ok(), minor >= everywhere, "{expression} in 1.{minor}");
                let features = Features { minor: Minor::of(minor), ..Features::default() };
                let is_known = |compiler: SelectorCompiler| compiler.compile(expression).is_ok();
                let (new, stored) = (SelectorCompiler::for_new(features), SelectorCompiler::for_stored(features));
                assert_eq!(is_known(new), minor > for_devices, "{expression} of a new device selector in 1.{minor}");
                assert_eq!(is_known(stored), minor >= for_devices, "{expression} of a device in 1.{minor}");
            }
        }
    }
}
