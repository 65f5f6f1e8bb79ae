//! `IntOrString`: a number or a text, for ports by number or name and for amounts in absolute numbers or percent.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::field::quote;

/// A 32-bit integer or a text, whichever the JSON has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// A text.
    String(String),
}

/// Why a value is neither a number nor a percentage, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid value for IntOrString: {0}")]
pub struct Error(String);

impl IntOrString {
    /// A number where the text is one, the text otherwise.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::String(text.to_owned()), Self::Int)
    }

    /// The number itself, or the percentage of `total`; a fraction counts as one more with `round_up`.
    pub fn scaled(&self, total: i64, round_up: bool) -> Result<i64, Error> {
        let text = match self {
            Self::Int(number) => return Ok(i64::from(*number)),
            Self::String(text) => text,
        };
        let Some(percent) = text.strip_suffix('%') else {
            return Err(Error("invalid type: string is not a percentage".to_owned()));
        };
        let percent: i64 =
            percent.parse().map_err(|_| Error(format!("invalid value {}: not a number", quote(text))))?;
        let hundredths = i128::from(percent) * i128::from(total);
        let whole = hundredths.div_euclid(100) + i128::from(round_up && hundredths.rem_euclid(100) != 0);
        i64::try_from(whole).map_err(|_| Error(format!("invalid value {}: out of range", quote(text))))
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::String(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_type() {
        for json in ["80", "-1", "\"80\"", "\"http\"", "\"25%\""] {
            let value: IntOrString = serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
            assert_eq!(serde_json::to_string(&value).ok().as_deref(), Some(json));
        }
        for json in ["null", "1.5", "3000000000", "true", "{}"] {
            assert!(serde_json::from_str::<IntOrString>(json).is_err(), "{json}");
        }
        assert_eq!(IntOrString::parse("80"), IntOrString::Int(80));
        assert_eq!(IntOrString::parse("3000000000"), IntOrString::String("3000000000".to_owned()));
    }

    #[test]
    fn percentages_scale() {
        let table = [
            ("3", 10, true, Ok(3)),
            ("25%", 10, true, Ok(3)),
            ("25%", 10, false, Ok(2)),
            ("100%", 7, true, Ok(7)),
            ("0%", 7, true, Ok(0)),
            ("x", 7, true, Err("invalid value for IntOrString: invalid type: string is not a percentage")),
            ("x%", 7, true, Err("invalid value for IntOrString: invalid value \"x%\": not a number")),
            (
                "9223372036854775807%",
                i64::MAX,
                true,
                Err("invalid value for IntOrString: invalid value \"9223372036854775807%\": out of range"),
            ),
        ];
        for (text, total, round_up, expected) in table {
            let scaled = IntOrString::parse(text).scaled(total, round_up).map_err(|error| error.to_string());
            assert_eq!(scaled, expected.map_err(str::to_owned), "{text}");
        }
    }
}
