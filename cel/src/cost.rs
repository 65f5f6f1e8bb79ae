//! Arithmetic of costs and sizes: ranges of numbers that stay at the largest one instead of overflowing.

/// Asking an authorizer: no expression can afford more than two questions.
pub(crate) const ACCESS_CHECK: u64 = 350_000;
/// Cost of reading one character or byte.
pub(crate) const TRAVERSAL: f64 = 0.1;
/// Cost of one character of a regular expression.
pub(crate) const REGEX: f64 = 0.25;
/// Cost of making a list.
pub(crate) const LIST: u64 = 10;
/// Cost of making a map.
pub(crate) const MAP: u64 = 30;
/// Cost of making an object.
pub(crate) const OBJECT: u64 = 40;
/// Longest regular expression behind a named format.
pub(crate) const MAX_FORMAT_REGEX: u64 = 128;
/// Largest size of a named format.
pub(crate) const MAX_FORMAT_SIZE: u64 = 64;

/// What something costs, or how large it is: at least and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Range {
    pub(crate) const UNKNOWN: Range = Range { min: 0, max: u64::MAX };
    pub(crate) const ZERO: Range = Range::fixed(0);
    pub(crate) const ONE: Range = Range::fixed(1);

    pub(crate) const fn fixed(value: u64) -> Range {
        Range { min: value, max: value }
    }

    pub(crate) fn plus(self, other: Range) -> Range {
        Range { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub(crate) fn times(self, other: Range) -> Range {
        Range { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    /// Rounded up.
    pub(crate) fn scaled(self, factor: f64) -> Range {
        Range { min: scale(self.min, factor), max: scale(self.max, factor) }
    }

    /// The smallest range that holds both.
    pub(crate) fn or(self, other: Range) -> Range {
        Range { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// `value` times `factor`, rounded up.
pub(crate) fn scale(value: u64, factor: f64) -> u64 {
    let product = value as f64 * factor;
    // Conversion from floating point saturates.
    let whole = product as u64;
    whole.saturating_add(u64::from((whole as f64) < product))
}
