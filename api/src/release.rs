//! Releases of Kubernetes, where their APIs differ.

use std::{fmt, str::FromStr};

/// A minor release of Kubernetes 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release(u32);

impl Release {
    /// The oldest release that can be emulated.
    pub const OLDEST: Self = Self(32);
    /// 1.36, whose behaviour is the default.
    pub const V1_36: Self = Self(36);
    /// 1.37, the newest that can be emulated.
    pub const V1_37: Self = Self(37);

    /// Kubernetes 1.`minor`.
    pub const fn of_minor(minor: u32) -> Self {
        Self(minor)
    }

    /// The number behind `1.`.
    pub const fn minor(self) -> u32 {
        self.0
    }
}

impl Default for Release {
    fn default() -> Self {
        Self::V1_36
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// The text names no release that can be emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a release between {} and {} is wanted", Release::OLDEST, Release::V1_37)]
pub struct ReleaseError;

impl FromStr for Release {
    type Err = ReleaseError;

    /// Reads `1.36` or `v1.36`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let minor = text.strip_prefix('v').unwrap_or(text).strip_prefix("1.").ok_or(ReleaseError)?;
        let release = Self(minor.parse().map_err(|_| ReleaseError)?);
        (Self::OLDEST..=Self::V1_37).contains(&release).then_some(release).ok_or(ReleaseError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        for (text, expected) in [
            ("1.32", Some(32)),
            ("v1.37", Some(37)),
            ("1.31", None),
            ("1.38", None),
            ("2.36", None),
            ("1.", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<Release>().ok().map(Release::minor), expected, "{text}");
        }
        assert_eq!(Release::default().to_string(), "1.36");
    }
}
