//! The number inside a quantity: `mantissa * 10^exponent`, small or large.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use super::INTEGER_DIGITS_MAX;

/// Exponent of the smallest unit a parsed quantity can have.
pub(super) const NANO: i32 = -9;

/// `mantissa * 10^exponent`. Exponents stay within `NANO..=INTEGER_DIGITS_MAX`, so two amounts can always be brought to
/// one exponent. Like Go's pair of representations, a large amount never becomes small again.
#[derive(Clone, Debug)]
pub(super) enum Amount {
    Small { mantissa: i64, exponent: i32 },
    Large { mantissa: BigInt, exponent: i32 },
}

impl Default for Amount {
    fn default() -> Self {
        Self::Small { mantissa: 0, exponent: 0 }
    }
}

impl Amount {
    /// A small amount, unless it has more digits than a quantity may have. Zero has no exponent to speak of.
    pub(super) fn small_bounded(mantissa: i64, exponent: i32) -> Option<Self> {
        if mantissa == 0 {
            return Some(Self::Small { mantissa, exponent: exponent.min(0) });
        }
        // Nineteen digits are the most that 64 bits hold.
        let surely = exponent <= INTEGER_DIGITS_MAX as i32 - 19;
        (surely || is_bounded(&BigInt::from(mantissa), i64::from(exponent)))
            .then_some(Self::Small { mantissa, exponent })
    }

    /// `mantissa * 10^exponent` in nanos, rounded away from zero; `None` if it has too many digits.
    pub(super) fn in_nanos(mantissa: BigInt, exponent: i64) -> Option<Self> {
        if mantissa.sign() == Sign::NoSign {
            return Some(Self::Large { mantissa, exponent: 0 });
        }
        if !is_bounded(&mantissa, exponent) {
            return None;
        }
        Some(Self::Large { mantissa: rescale(&mantissa, exponent - i64::from(NANO)).0, exponent: NANO })
    }

    pub(super) fn sign(&self) -> i64 {
        match self {
            Self::Small { mantissa, .. } => mantissa.signum(),
            Self::Large { mantissa, .. } => match mantissa.sign() {
                Sign::Minus => -1,
                Sign::NoSign => 0,
                Sign::Plus => 1,
            },
        }
    }

    /// The amount in units of `10^exponent`, rounded away from zero, saturating.
    pub(super) fn scaled(&self, exponent: i32) -> i64 {
        let (mantissa, own) = self.parts();
        // From 10^19 on everything but zero is out of range anyway.
        let shift = (i64::from(own) - i64::from(exponent)).min(19);
        saturate(&rescale(&mantissa, shift).0)
    }

    /// True when `scaled` loses nothing but range.
    pub(super) fn is_exact_at(&self, exponent: i32) -> bool {
        let (mantissa, own) = self.parts();
        own >= exponent || rescale(&mantissa, i64::from(own) - i64::from(exponent)).1
    }

    pub(super) fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Small { mantissa: 0, exponent: 0.. } => Some(0),
            Self::Small { mantissa, exponent: exponent @ 0.. } => shifted(mantissa, exponent),
            _ => None,
        }
    }

    /// One multiplication of a float, as Go does it, with its rounding.
    pub(super) fn as_f64(&self) -> f64 {
        let (base, exponent) = match self {
            Self::Small { mantissa, exponent } => (*mantissa as f64, *exponent),
            // A float parses every integer text, up to infinity.
            Self::Large { mantissa, exponent } => (mantissa.to_string().parse().unwrap_or(f64::NAN), *exponent),
        };
        if exponent == 0 { base } else { base * float_pow10(exponent) }
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        if let (Self::Small { mantissa: a, exponent: x }, Self::Small { mantissa: b, exponent: y }) = (self, other) {
            if x == y {
                return a.cmp(b);
            }
            let low = (*x).min(*y);
            if let (Some(a), Some(b)) = (wide(*a, x - low), wide(*b, y - low)) {
                return a.cmp(&b);
            }
        }
        let (a, b, _) = aligned(self, other);
        a.cmp(&b)
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        self.add_small(other).unwrap_or_else(|| {
            let (a, b, exponent) = aligned(self, other);
            Self::large(a + b, exponent)
        })
    }

    /// The sum within 64 bits, if both are small.
    fn add_small(&self, other: &Self) -> Option<Self> {
        let (Self::Small { mantissa: a, exponent: x }, Self::Small { mantissa: b, exponent: y }) = (self, other) else {
            return None;
        };
        if *b == 0 {
            return Some(self.clone());
        }
        if *a == 0 {
            return Some(other.clone());
        }
        let exponent = (*x).min(*y);
        let mantissa = shifted(*a, x - exponent)?.checked_add(shifted(*b, y - exponent)?)?;
        Self::small_bounded(mantissa, exponent)
    }

    pub(super) fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    pub(super) fn mul(&self, factor: i64) -> Self {
        if self.sign() == 0 {
            return self.clone();
        }
        if let Self::Small { mantissa, exponent } = *self {
            if factor == 0 {
                return Self::default();
            }
            let product =
                mantissa.checked_mul(factor).filter(|product| exponent <= 0 || shifted(*product, exponent).is_some());
            if let Some(mantissa) = product {
                return Self::Small { mantissa, exponent };
            }
        }
        let (mantissa, exponent) = self.parts();
        Self::large(mantissa * factor, exponent)
    }

    pub(super) fn neg(&self) -> Self {
        if let Self::Small { mantissa, exponent } = self
            && let Some(mantissa) = mantissa.checked_neg()
        {
            return Self::Small { mantissa, exponent: *exponent };
        }
        let (mantissa, exponent) = self.parts();
        Self::Large { mantissa: -mantissa, exponent }
    }

    /// The smaller of a positive amount and `i64::MAX`.
    pub(super) fn at_most_i64_max(self) -> Self {
        let max = Self::Large { mantissa: BigInt::from(i64::MAX), exponent: 0 };
        if self.compare(&max) == Ordering::Greater { max } else { self }
    }

    /// True strictly between zero and one.
    pub(super) fn is_below_one(&self) -> bool {
        self.sign() > 0 && self.compare(&Self::Small { mantissa: 1, exponent: 0 }) == Ordering::Less
    }

    /// True when binary suffixes can say this amount: an integer of at least 1024, either sign.
    pub(super) fn has_binary_text(&self) -> bool {
        let magnitude = if self.sign() < 0 { self.neg() } else { self.clone() };
        magnitude.compare(&Self::Small { mantissa: 1024, exponent: 0 }) != Ordering::Less && self.is_exact_at(0)
    }

    /// Digits, and an exponent that is a multiple of three, with as few digits as that allows. With `si` the exponent
    /// is one that has a letter.
    pub(super) fn canonical_decimal(&self, si: bool) -> (String, i32) {
        let (mantissa, exponent) = self.parts();
        let text = mantissa.to_string();
        let digits = text.trim_end_matches('0');
        if digits.is_empty() {
            return ("0".to_owned(), 0);
        }
        // Zeros of a bounded amount: their number fits.
        let exponent = exponent + (text.len() - digits.len()) as i32;
        let mut down_to = exponent - exponent.rem_euclid(3);
        if si {
            down_to = down_to.min(18);
        }
        let zeros = "0".repeat(usize::try_from(exponent - down_to).unwrap_or(0));
        (format!("{digits}{zeros}"), down_to)
    }

    /// Digits and a power of 1024 of an integer amount, with as few digits as powers up to the sixth allow.
    pub(super) fn canonical_base_1024(&self) -> (String, usize) {
        let (mantissa, own) = self.parts();
        let mut mantissa = rescale(&mantissa, i64::from(own)).0;
        let mut power = 0;
        let zero = BigInt::ZERO;
        while power < 6 && mantissa != zero && &mantissa % 1024 == zero {
            mantissa /= 1024;
            power += 1;
        }
        (mantissa.to_string(), power)
    }

    fn parts(&self) -> (BigInt, i32) {
        match self {
            Self::Small { mantissa, exponent } => (BigInt::from(*mantissa), *exponent),
            Self::Large { mantissa, exponent } => (mantissa.clone(), *exponent),
        }
    }

    /// A large amount, saturated at the largest magnitude a quantity can have.
    fn large(mantissa: BigInt, exponent: i32) -> Self {
        if mantissa.sign() == Sign::NoSign {
            return Self::Large { mantissa, exponent: 0 };
        }
        if is_bounded(&mantissa, i64::from(exponent)) {
            return Self::Large { mantissa, exponent };
        }
        let sign = if mantissa.sign() == Sign::Minus { -1 } else { 1 };
        Self::Large { mantissa: BigInt::from(sign) * pow10(INTEGER_DIGITS_MAX), exponent: 0 }
    }
}

/// Both mantissas at the smaller exponent.
fn aligned(a: &Amount, b: &Amount) -> (BigInt, BigInt, i32) {
    let ((a, x), (b, y)) = (a.parts(), b.parts());
    let exponent = x.min(y);
    (rescale(&a, i64::from(x - exponent)).0, rescale(&b, i64::from(y - exponent)).0, exponent)
}

/// `mantissa * 10^shift`, rounded away from zero, and whether that was exact. `shift` upwards is bounded by the callers,
/// downwards everything beyond the digits there are gives one.
fn rescale(mantissa: &BigInt, shift: i64) -> (BigInt, bool) {
    if shift == 0 || mantissa.sign() == Sign::NoSign {
        return (mantissa.clone(), true);
    }
    if shift > 0 {
        return (mantissa * pow10(u32::try_from(shift).unwrap_or(u32::MAX)), true);
    }
    let one = if mantissa.sign() == Sign::Minus { BigInt::from(-1) } else { BigInt::from(1) };
    if shift.unsigned_abs() > mantissa.bits() {
        return (one, false);
    }
    let divisor = pow10(u32::try_from(shift.unsigned_abs()).unwrap_or(u32::MAX));
    let (quotient, remainder) = (mantissa / &divisor, mantissa % &divisor);
    if remainder == BigInt::ZERO { (quotient, true) } else { (quotient + one, false) }
}

/// True when the magnitude is at most `10^INTEGER_DIGITS_MAX`.
fn is_bounded(mantissa: &BigInt, exponent: i64) -> bool {
    let max = i64::from(INTEGER_DIGITS_MAX);
    // A bit is a little less than a third of a digit: a quick answer for nearly everything.
    let digits_at_most = i64::try_from(mantissa.bits() / 3).unwrap_or(i64::MAX) + 1;
    if digits_at_most.saturating_add(exponent) <= max {
        return true;
    }
    match u32::try_from(max.saturating_sub(exponent)) {
        // The power is smaller than the number of digits, or the first answer would have been yes.
        Ok(power) => mantissa.magnitude() <= pow10(power).magnitude(),
        Err(_) => false,
    }
}

fn pow10(power: u32) -> BigInt {
    BigInt::from(10).pow(power)
}

fn saturate(value: &BigInt) -> i64 {
    i64::try_from(value).unwrap_or(if value.sign() == Sign::Minus { i64::MIN } else { i64::MAX })
}

/// `mantissa * 10^shift` within 64 bits.
fn shifted(mantissa: i64, shift: i32) -> Option<i64> {
    mantissa.checked_mul(10_i64.checked_pow(u32::try_from(shift).ok()?)?)
}

/// `mantissa * 10^shift` within 128 bits.
fn wide(mantissa: i64, shift: i32) -> Option<i128> {
    i128::from(mantissa).checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)
}

/// Go's `math.Pow10`: a product, or a quotient, of two table entries.
fn float_pow10(exponent: i32) -> f64 {
    let entry = |power: i32| format!("1e{power}").parse::<f64>().unwrap_or(f64::INFINITY);
    match exponent {
        309.. => f64::INFINITY,
        0..=308 => entry(exponent / 32 * 32) * entry(exponent % 32),
        -323..=-1 => entry(-(-exponent / 32 * 32)) / entry(-exponent % 32),
        _ => 0.0,
    }
}
