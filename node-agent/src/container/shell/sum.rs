//! Sums of the shell: `$((1 + 2))`.

/// Deepest nesting.
const DEPTH_MAX: usize = 64;

/// Works a sum out. `value` gives the values of variables, `assign` sets them.
///
/// # Errors
/// What is wrong with it.
pub(super) fn evaluate(
    text: &str,
    value: &mut dyn FnMut(&str) -> i64,
    assign: &mut dyn FnMut(&str, i64),
) -> Result<i64, String> {
    let mut sum = Sum { rest: text.trim(), value, assign, depth: 0 };
    let result = sum.assignment()?;
    if sum.rest.trim_start().is_empty() { Ok(result) } else { Err(format!("arithmetic syntax error: {text:?}")) }
}

struct Sum<'a> {
    rest: &'a str,
    value: &'a mut dyn FnMut(&str) -> i64,
    assign: &'a mut dyn FnMut(&str, i64),
    depth: usize,
}

/// Operators between two numbers, those that bind least first.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl<'a> Sum<'a> {
    fn take(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(sign) {
            // `&` is not the start of `&&`.
            Some(after) if sign.len() > 1 || !matches!(sign, "&" | "|") || !after.starts_with(sign) => {
                self.rest = after;
                true
            }
            _ => false,
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start().trim_start_matches('$');
        let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '_').unwrap_or(rest.len());
        let name = &rest[..end];
        if !super::is_name(name) {
            return None;
        }
        self.rest = &rest[end..];
        Some(name)
    }

    fn assignment(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("arithmetic expression: nested too deeply".to_owned());
        }
        let before = self.rest;
        if let Some(name) = self.name() {
            for (sign, operator) in [("+=", "+"), ("-=", "-"), ("*=", "*"), ("/=", "/"), ("%=", "%"), ("=", "")] {
                if self.rest.trim_start().starts_with("==") || !self.take(sign) {
                    continue;
                }
                let right = self.assignment()?;
                let result = if operator.is_empty() { right } else { apply(operator, (self.value)(name), right)? };
                (self.assign)(name, result);
                self.depth -= 1;
                return Ok(result);
            }
            self.rest = before;
        }
        let condition = self.level(0)?;
        let result = if self.take("?") {
            let yes = self.assignment()?;
            if !self.take(":") {
                return Err("arithmetic syntax error".to_owned());
            }
            let no = self.assignment()?;
            if condition != 0 { yes } else { no }
        } else {
            condition
        };
        self.depth -= 1;
        Ok(result)
    }

    fn level(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.take(operator)) {
            let right = self.level(level + 1)?;
            left = apply(operator, left, right)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("arithmetic expression: nested too deeply".to_owned());
        }
        let result = if self.take("-") {
            self.unary()?.wrapping_neg()
        } else if self.take("+") {
            self.unary()?
        } else if self.take("!") {
            i64::from(self.unary()? == 0)
        } else if self.take("~") {
            !self.unary()?
        } else if self.take("(") {
            let inside = self.assignment()?;
            if !self.take(")") {
                return Err("arithmetic syntax error".to_owned());
            }
            inside
        } else if let Some(name) = self.name() {
            let value = (self.value)(name);
            if self.take("++") {
                (self.assign)(name, value.wrapping_add(1));
            } else if self.take("--") {
                (self.assign)(name, value.wrapping_sub(1));
            }
            value
        } else {
            let rest = self.rest.trim_start();
            let end = rest.find(|one: char| !one.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            self.rest = after;
            number(digits).ok_or_else(|| "arithmetic syntax error".to_owned())?
        };
        self.depth -= 1;
        Ok(result)
    }
}

/// A number: in hexadecimal after `0x`, in octal after `0`.
fn number(digits: &str) -> Option<i64> {
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    match (hexadecimal, digits.strip_prefix('0').filter(|rest| !rest.is_empty())) {
        (Some(digits), _) => i64::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) => i64::from_str_radix(digits, 8).ok(),
        (None, None) => digits.parse().ok(),
    }
}

fn apply(operator: &str, left: i64, right: i64) -> Result<i64, String> {
    let truth = |truth: bool| Ok(i64::from(truth));
    match operator {
        "+" => Ok(left.wrapping_add(right)),
        "-" => Ok(left.wrapping_sub(right)),
        "*" => Ok(left.wrapping_mul(right)),
        "/" | "%" if right == 0 => Err("divide by zero".to_owned()),
        "/" => Ok(left.wrapping_div(right)),
        "%" => Ok(left.wrapping_rem(right)),
        // As processors do it: of what is shifted by, the last six bits count.
        "<<" => Ok(left.wrapping_shl(u32::try_from(right & 63).unwrap_or(0))),
        ">>" => Ok(left.wrapping_shr(u32::try_from(right & 63).unwrap_or(0))),
        "&" => Ok(left & right),
        "|" => Ok(left | right),
        "^" => Ok(left ^ right),
        "&&" => truth(left != 0 && right != 0),
        "||" => truth(left != 0 || right != 0),
        "==" => truth(left == right),
        "!=" => truth(left != right),
        "<" => truth(left < right),
        "<=" => truth(left <= right),
        ">" => truth(left > right),
        _ => truth(left >= right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_worked_out() {
        let mut set = Vec::new();
        for (text, wanted) in [
            ("1 + 2 * 3", Ok(7)),
            ("(1+2)*3", Ok(9)),
            ("x % 4", Ok(3)),
            ("$x - -1", Ok(8)),
            ("x > 5 && 1", Ok(1)),
            ("x == 7 ? 10 : 20", Ok(10)),
            ("y = x + 1", Ok(8)),
            ("x++", Ok(7)),
            ("x += 3", Ok(10)),
            ("1 / 0", Err("divide by zero".to_owned())),
            ("1 +", Err("arithmetic syntax error".to_owned())),
            ("!0 | 2", Ok(3)),
            ("1 << 3 + 1", Ok(16)),
            ("256 >> 4 > 15", Ok(1)),
            ("1 << 64", Ok(1)),
            ("0x1F + 010 + ~0", Ok(38)),
            ("08", Err("arithmetic syntax error".to_owned())),
            ("99999999999999999999", Err("arithmetic syntax error".to_owned())),
        ] {
            let found = evaluate(text, &mut |name| i64::from(name == "x") * 7, &mut |name, value| {
                set.push((name.to_owned(), value));
            });
            assert_eq!(found, wanted, "{text}");
        }
        assert_eq!(set, [("y".to_owned(), 8), ("x".to_owned(), 8), ("x".to_owned(), 10)]);
        let deep = "(".repeat(10_000);
        assert!(evaluate(&deep, &mut |_| 0, &mut |_, _| {}).is_err());
    }
}
