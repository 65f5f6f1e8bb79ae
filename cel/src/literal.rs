//! Literals: what a token of the text stands for.

use crate::ast::Literal;
use crate::lexer::Kind;
use crate::unescape::unescape;

/// The value of a token, or why it has none.
pub(crate) fn literal(kind: Kind, text: &str, negative: bool) -> Result<Literal, &'static str> {
    let sign = if negative { "-" } else { "" };
    match kind {
        Kind::True => Ok(Literal::Bool(true)),
        Kind::False => Ok(Literal::Bool(false)),
        Kind::Int => {
            let (digits, radix) = digits(text);
            let parsed = i64::from_str_radix(&format!("{sign}{digits}"), radix);
            parsed.map(Literal::Int).map_err(|_| "invalid int literal")
        }
        Kind::Uint => {
            let (digits, radix) = digits(text.trim_end_matches(['u', 'U']));
            u64::from_str_radix(digits, radix).map(Literal::Uint).map_err(|_| "invalid uint literal")
        }
        Kind::Float => match format!("{sign}{text}").parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Literal::Double(value)),
            _ => Err("invalid double literal"),
        },
        Kind::String => {
            let value = unescape(text, false)?;
            String::from_utf8(value).map(Literal::String).map_err(|_| "invalid unicode code point")
        }
        Kind::Bytes => unescape(&text[1..], true).map(Literal::Bytes),
        _ => Ok(Literal::Null),
    }
}

fn digits(text: &str) -> (&str, u32) {
    match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    }
}
