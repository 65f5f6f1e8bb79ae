//! In which releases a version of a kind is there, and from when on its users are warned (the `prerelease-lifecycle`
//! marks of the API types).

use super::GROUP;
use crate::release::Release;

/// The minor releases of a version of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    introduced: u32,
    /// Deprecated since, and gone in.
    end: Option<(u32, u32)>,
}

const fn life(introduced: u32, deprecated: u32, removed: u32) -> Life {
    Life { introduced, end: Some((deprecated, removed)) }
}

impl Life {
    /// That of a version of a kind.
    pub(super) fn of(kind: &str, version: &str) -> Self {
        match (kind, version) {
            ("DeviceTaintRule", "v1") => Self { introduced: 37, end: None },
            ("DeviceTaintRule", "v1beta2") | ("ResourcePoolStatusRequest", _) => life(36, 39, 42),
            ("DeviceTaintRule", _) => life(33, 36, 39),
            (_, "v1beta2") => life(33, 36, 39),
            (_, "v1beta1") => life(32, 35, 38),
            _ => Self { introduced: 34, end: None },
        }
    }

    /// Whether a release has it.
    pub(super) fn has(self, release: Release) -> bool {
        let minor = release.minor();
        self.introduced <= minor && self.end.is_none_or(|(_, removed)| minor < removed)
    }

    /// The warning of a release that still has it.
    pub(super) fn warning(self, kind: &str, version: &str, release: Release) -> Option<String> {
        let (deprecated, removed) = self.end.filter(|(deprecated, _)| release.minor() >= *deprecated)?;
        Some(format!("{GROUP}/{version} {kind} is deprecated in v1.{deprecated}+, unavailable in v1.{removed}+"))
    }
}
