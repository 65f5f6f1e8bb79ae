//! `resource.Quantity`: fixed-point amounts with a unit suffix (`1500m`, `4Gi`, `12e6`).
//!
//! Parsing, canonical text, rounding and the "is this an integer" questions follow Go's
//! `k8s.io/apimachinery/pkg/api/resource`, its two representations included, because CEL's `isInteger` shows which
//! one a quantity has. Three upstream defects are not repeated: a value beyond `int64` saturates in [`Quantity::value`]
//! (Go answers 0), a decimal amount above `E` keeps its magnitude in text (Go drops the suffix), and absurd exponents
//! are refused instead of computed.

mod amount;
mod parse;

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use amount::Amount;

/// Most decimal digits before the point of any quantity. Text beyond it does not parse, arithmetic saturates there.
pub const INTEGER_DIGITS_MAX: u32 = 1024;

/// How a quantity likes to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Powers of ten with an exponent: `12e6`.
    DecimalExponent,
    /// Powers of 1024: `12Mi`. Fractions and amounts below 1024 are written as `DecimalSi`.
    BinarySi,
    /// Powers of 1000 with a letter: `12M`, `1500m`.
    #[default]
    DecimalSi,
}

/// Why a text is no quantity, in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text as a whole has another form.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// There is no number, or it has too many digits.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// No such unit.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An amount and the format it likes to be written in. Equality, order and hash are by value: `1Gi` equals `1024Mi`.
#[derive(Clone, Default)]
pub struct Quantity {
    amount: Amount,
    format: Format,
    /// The text it was parsed from, where upstream keeps a text that is not canonical (`+1`, `1.500`, `1E3`).
    spelling: Option<Box<str>>,
}

impl Quantity {
    /// Reads `<sign><digits>[.<digits>]<suffix>`; suffixes are n u m k M G T P E, Ki Mi Gi Ti Pi Ei, and e or E with
    /// an exponent. What lies below one nano is rounded away from zero; binary amounts are capped at `i64::MAX`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse::parse(text)
    }

    /// Reads a JSON member as the apiserver does: a string, surrounded by blanks or not, or a number.
    pub fn from_json(value: &Value) -> Result<Self, Error> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::String(text) => Self::parse(text.trim()),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => Err(Error::Format),
        }
    }

    /// An integer amount.
    pub fn new(value: i64, format: Format) -> Self {
        Self { amount: Amount::Small { mantissa: value, exponent: 0 }, format, spelling: None }
    }

    /// `value` thousandths.
    pub fn from_milli(value: i64, format: Format) -> Self {
        Self { amount: Amount::Small { mantissa: value, exponent: -3 }, format, spelling: None }
    }

    /// The format it likes to be written in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The integer amount, rounded away from zero, saturating.
    pub fn value(&self) -> i64 {
        self.amount.scaled(0)
    }

    /// The amount in thousandths, rounded away from zero, saturating.
    pub fn milli_value(&self) -> i64 {
        self.amount.scaled(-3)
    }

    /// The amount in units of `10^exponent`, rounded away from zero, saturating.
    pub fn scaled_value(&self, exponent: i32) -> i64 {
        self.amount.scaled(exponent)
    }

    /// True when the amount is a whole number of `10^exponent`.
    pub fn is_multiple_of_power(&self, exponent: i32) -> bool {
        self.amount.is_exact_at(exponent)
    }

    /// Go's `AsInt64`: the exact integer, if the quantity is *held* as one. `50k` is, while `1000m`, `0.5Gi` and
    /// everything of more than 18 digits are not, whatever their value; CEL's `asInteger` answers by this.
    pub fn as_i64(&self) -> Option<i64> {
        self.amount.as_i64()
    }

    /// True when [`Self::as_i64`] has an answer.
    pub fn is_integer(&self) -> bool {
        self.as_i64().is_some()
    }

    /// Go's `AsApproximateFloat64`; infinite beyond the range of a float.
    pub fn as_f64(&self) -> f64 {
        self.amount.as_f64()
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i64 {
        self.amount.sign()
    }

    /// True for nothing.
    pub fn is_zero(&self) -> bool {
        self.sign() == 0
    }

    /// The sum; it keeps this format, unless this is zero.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        self.combined(other, self.amount.add(&other.amount))
    }

    /// The difference; it keeps this format, unless this is zero.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        self.combined(other, self.amount.sub(&other.amount))
    }

    /// The product with an integer.
    #[must_use]
    pub fn mul_i64(&self, factor: i64) -> Self {
        Self { amount: self.amount.mul(factor), format: self.format, spelling: None }
    }

    /// The amount with the other sign.
    #[must_use]
    pub fn neg(&self) -> Self {
        Self { amount: self.amount.neg(), format: self.format, spelling: None }
    }

    /// The canonical text, whatever the quantity was parsed from.
    pub fn canonical(&self) -> String {
        if self.is_zero() {
            return "0".to_owned();
        }
        if self.format == Format::BinarySi && self.amount.has_binary_text() {
            let (digits, power) = self.amount.canonical_base_1024();
            return digits + BINARY_SUFFIXES.get(power).unwrap_or(&"");
        }
        let (digits, exponent) = self.amount.canonical_decimal(self.format != Format::DecimalExponent);
        match self.format {
            Format::DecimalExponent if exponent == 0 => digits,
            Format::DecimalExponent => format!("{digits}e{exponent}"),
            _ => digits + decimal_suffix(exponent),
        }
    }

    fn combined(&self, other: &Self, amount: Amount) -> Self {
        Self { amount, format: if self.is_zero() { other.format } else { self.format }, spelling: None }
    }
}

/// Suffixes by power of 1024.
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Suffixes by power of ten.
const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

fn decimal_suffix(exponent: i32) -> &'static str {
    DECIMAL_SUFFIXES.iter().find(|row| row.1 == exponent).map_or("", |row| row.0)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spelling {
            Some(text) => f.pad(text),
            None => f.pad(&self.canonical()),
        }
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantity({self})")
    }
}

impl FromStr for Quantity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl From<i64> for Quantity {
    fn from(value: i64) -> Self {
        Self::new(value, Format::DecimalSi)
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.amount.compare(&other.amount)
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.amount.canonical_decimal(false).hash(state);
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
