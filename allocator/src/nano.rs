//! Amounts as whole billionths, the finest grain of a quantity: exact, cheap to add, and wide enough not to overflow.

use machinery::quantity::{Format, Quantity};

/// An amount in billionths.
pub(crate) type Nano = i128;

/// Billionths in one.
pub(crate) const ONE: Nano = 1_000_000_000;

const MILLI: Nano = 1_000_000;

/// The amount of a quantity. What no 64-bit number of thousandths can hold loses its fraction, upwards.
pub(crate) fn nano(quantity: &Quantity) -> Nano {
    if quantity.is_multiple_of_power(0) {
        return Nano::from(quantity.value()) * ONE;
    }
    let within = |scaled: i64| scaled > i64::MIN && scaled < i64::MAX;
    let (nanos, millis) = (quantity.scaled_value(-9), quantity.milli_value());
    if within(nanos) {
        Nano::from(nanos)
    } else if within(millis) {
        Nano::from(millis) * MILLI
    } else {
        Nano::from(quantity.value()) * ONE
    }
}

/// The quantity of an amount; rounded up to thousandths, saturating.
pub(crate) fn quantity(amount: Nano, format: Format) -> Quantity {
    let saturated = |amount: Nano| i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX });
    if amount % ONE == 0 {
        Quantity::new(saturated(amount / ONE), format)
    } else {
        Quantity::from_milli(saturated(ceil_div(amount, MILLI)), format)
    }
}

/// `a / b` rounded up; `b` is positive.
pub(crate) fn ceil_div(a: Nano, b: Nano) -> Nano {
    let quotient = a / b;
    if a % b > 0 { quotient + 1 } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_survive() {
        for text in ["0", "1", "1500m", "-3", "4Gi", "9E", "1n", "123456789012345m"] {
            let parsed = Quantity::parse(text).unwrap();
            let amount = nano(&parsed);
            if text != "1n" {
                assert_eq!(quantity(amount, parsed.format()), parsed, "{text}");
            } else {
                assert_eq!(amount, 1);
            }
        }
        assert_eq!(ceil_div(5, 2), 3);
        assert_eq!(ceil_div(-5, 2), -2);
        assert_eq!(ceil_div(4, 2), 2);
    }
}
