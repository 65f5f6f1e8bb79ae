//! What the text of a string or bytes literal stands for.

/// The value of a literal with its quotes and prefix (`b` already removed). For bytes, `\x` and octal escapes are single
/// bytes; for strings they are code points.
pub(crate) fn unescape(literal: &str, bytes: bool) -> Result<Vec<u8>, &'static str> {
    let normal = literal.replace("\r\n", "\n").replace('\r', "\n");
    let (raw, quoted) = match normal.strip_prefix(['r', 'R']) {
        Some(rest) => (true, rest),
        None => (false, normal.as_str()),
    };
    let body = body(quoted).ok_or(UNABLE)?;
    if raw || !body.contains('\\') {
        return Ok(body.as_bytes().to_vec());
    }
    let mut value = Vec::with_capacity(body.len());
    let mut characters = body.chars();
    while let Some(c) = characters.next() {
        if c == '\\' {
            escape(&mut characters, bytes, &mut value)?;
        } else {
            push(c, &mut value);
        }
    }
    Ok(value)
}

const UNABLE: &str = "unable to unescape string";

fn body(quoted: &str) -> Option<&str> {
    ["\"\"\"", "'''", "\"", "'"].iter().find_map(|quote| {
        let rest = quoted.strip_prefix(quote)?.strip_suffix(quote)?;
        // `""` begins and ends with the first two quotes of `"""` only if there are six of them.
        (quoted.len() >= 2 * quote.len()).then_some(rest)
    })
}

fn push(c: char, value: &mut Vec<u8>) {
    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn escape(characters: &mut std::str::Chars<'_>, bytes: bool, value: &mut Vec<u8>) -> Result<(), &'static str> {
    let letter = characters.next().ok_or("unable to unescape string, found '\\' as last character")?;
    let simple = match letter {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '\'' | '"' | '`' | '?' => letter as u8,
        'x' | 'X' => return number(characters, 2, 16, 0, bytes, value),
        'u' | 'U' if bytes => return Err(UNABLE),
        'u' => return number(characters, 4, 16, 0, false, value),
        'U' => return number(characters, 8, 16, 0, false, value),
        '0'..='3' => return number(characters, 2, 8, letter as u32 - '0' as u32, bytes, value),
        _ => return Err(UNABLE),
    };
    value.push(simple);
    Ok(())
}

fn number(
    characters: &mut std::str::Chars<'_>,
    digits: usize,
    radix: u32,
    first: u32,
    bytes: bool,
    value: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let unable = if radix == 8 { "unable to unescape octal sequence in string" } else { UNABLE };
    let mut code = first;
    for _ in 0..digits {
        let digit = characters.next().and_then(|c| c.to_digit(radix)).ok_or(unable)?;
        code = code.wrapping_mul(radix) | digit;
    }
    if bytes {
        value.push(u8::try_from(code).map_err(|_| UNABLE)?);
    } else {
        push(char::from_u32(code).ok_or("invalid unicode code point")?, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_escapes() {
        type Case<'c> = (&'c str, bool, Result<&'c [u8], &'c str>);
        let cases: [Case<'_>; 9] = [
            (r#""hello""#, false, Ok(b"hello")),
            (r#"r"a\n""#, false, Ok(br"a\n")),
            (r#""""a"b""""#, false, Ok(b"a\"b")),
            (r#"'\303\277'"#, false, Ok("Ã¿".as_bytes())),
            (r#"'\303\277'"#, true, Ok(&[0xc3, 0xbf])),
            (r#"'\xff'"#, true, Ok(&[0xff])),
            (r#"'\u00ff'"#, false, Ok("ÿ".as_bytes())),
            (r#"'\ud800'"#, false, Err("invalid unicode code point")),
            ("'a\r\nb'", false, Ok(b"a\nb")),
        ];
        for (literal, bytes, expected) in cases {
            assert_eq!(unescape(literal, bytes), expected.map(<[u8]>::to_vec), "{literal}");
        }
    }
}
