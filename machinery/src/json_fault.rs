//! What is wrong with a text that is no JSON, in the words of Go's `encoding/json`, which people know from Kubernetes.

/// The first fault of a text; `None` when it is JSON.
pub fn json_fault(text: &[u8]) -> Option<String> {
    Scanner { text, at: 0 }.document().err().map(|fault| match fault {
        Fault::End => "unexpected end of JSON input".to_owned(),
        Fault::Character(byte, place) => format!("invalid character {} {place}", quoted(byte)),
    })
}

enum Fault {
    End,
    Character(u8, &'static str),
}

/// Go shows a byte as the character of that number.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        0x80..0xa0 => format!("'\\u{byte:04x}'"),
        0xad => "'\\u00ad'".to_owned(),
        byte => {
            let quoted = crate::field::quote(&char::from(byte).to_string());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

/// What stands around a value.
#[derive(Clone, Copy)]
enum Around {
    Object,
    Array,
}

impl Scanner<'_> {
    fn document(mut self) -> Result<(), Fault> {
        let mut around = Vec::new();
        // Values and what follows them, without recursion: a text may nest deeper than a stack goes.
        loop {
            let opened = self.value(&mut around)?;
            if opened {
                continue;
            }
            loop {
                match around.last() {
                    None => return self.after(None, "after top-level value"),
                    Some(Around::Object) => match self.next()? {
                        b',' => {
                            self.key("looking for beginning of object key string")?;
                            break;
                        }
                        b'}' => drop(around.pop()),
                        other => return Err(Fault::Character(other, "after object key:value pair")),
                    },
                    Some(Around::Array) => match self.next()? {
                        b',' => break,
                        b']' => drop(around.pop()),
                        other => return Err(Fault::Character(other, "after array element")),
                    },
                }
            }
        }
    }

    /// Reads a value, or the beginning of one that holds others: true in that case.
    fn value(&mut self, around: &mut Vec<Around>) -> Result<bool, Fault> {
        match self.next()? {
            b'{' => {
                if self.peek() == Some(b'}') {
                    self.next()?;
                    return Ok(false);
                }
                around.push(Around::Object);
                self.key("looking for beginning of object key string")?;
                Ok(true)
            }
            b'[' => {
                if self.peek() == Some(b']') {
                    self.next()?;
                    return Ok(false);
                }
                around.push(Around::Array);
                Ok(true)
            }
            b'"' => self.string().map(|()| false),
            b't' => self.literal("true", "rue").map(|()| false),
            b'f' => self.literal("false", "alse").map(|()| false),
            b'n' => self.literal("null", "ull").map(|()| false),
            first @ (b'-' | b'0'..=b'9') => self.number(first).map(|()| false),
            other => Err(Fault::Character(other, "looking for beginning of value")),
        }
    }

    fn key(&mut self, place: &'static str) -> Result<(), Fault> {
        match self.next()? {
            b'"' => self.string()?,
            other => return Err(Fault::Character(other, place)),
        }
        self.after(Some(b':'), "after object key")
    }

    /// What must come next; `None` is the end.
    fn after(&mut self, wanted: Option<u8>, place: &'static str) -> Result<(), Fault> {
        match (self.peek(), wanted) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Fault::End),
            (Some(found), Some(wanted)) if found == wanted => self.next().map(drop),
            (Some(found), _) => Err(Fault::Character(found, place)),
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        loop {
            match self.byte()? {
                b'"' => return Ok(()),
                b'\\' => match self.byte()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let digit = self.byte()?;
                            if !digit.is_ascii_hexdigit() {
                                return Err(Fault::Character(digit, r"in \u hexadecimal character escape"));
                            }
                        }
                    }
                    other => return Err(Fault::Character(other, "in string escape code")),
                },
                control if control < b' ' => return Err(Fault::Character(control, "in string literal")),
                _ => {}
            }
        }
    }

    fn literal(&mut self, whole: &str, rest: &str) -> Result<(), Fault> {
        for expected in rest.bytes() {
            let found = self.byte()?;
            if found != expected {
                return Err(Fault::Character(found, LITERALS[literal_place(whole, expected)].2));
            }
        }
        Ok(())
    }

    fn number(&mut self, first: u8) -> Result<(), Fault> {
        let first = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if first != b'0' {
            self.digits();
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn digit(&mut self, place: &'static str) -> Result<u8, Fault> {
        let found = self.byte()?;
        if found.is_ascii_digit() { Ok(found) } else { Err(Fault::Character(found, place)) }
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    /// The next byte, whatever it is.
    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.text.get(self.at).ok_or(Fault::End)?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte that is no white space, left where it is.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> Result<u8, Fault> {
        self.peek();
        self.byte()
    }
}

/// Go's words inside of literals, by literal and expected letter.
const LITERALS: [(&str, u8, &str); 10] = [
    ("true", b'r', "in literal true (expecting 'r')"),
    ("true", b'u', "in literal true (expecting 'u')"),
    ("true", b'e', "in literal true (expecting 'e')"),
    ("false", b'a', "in literal false (expecting 'a')"),
    ("false", b'l', "in literal false (expecting 'l')"),
    ("false", b's', "in literal false (expecting 's')"),
    ("false", b'e', "in literal false (expecting 'e')"),
    ("null", b'u', "in literal null (expecting 'u')"),
    ("null", b'l', "in literal null (expecting 'l')"),
    ("", 0, "in literal"),
];

fn literal_place(whole: &str, expected: u8) -> usize {
    let found = LITERALS.iter().position(|(name, letter, _)| *name == whole && *letter == expected);
    found.unwrap_or(LITERALS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `encoding/json` of Go says.
    #[test]
    fn faults_are_told_as_go_tells_them() {
        let end = "unexpected end of JSON input";
        let cases: [(&str, &str); 24] = [
            ("", end),
            ("{", end),
            (r#"{"a":"#, end),
            (r#"{"a":1"#, end),
            (r#""a"#, end),
            ("tr", end),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{a", "invalid character 'a' looking for beginning of object key string"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("01", "invalid character '1' after top-level value"),
            ("trux", "invalid character 'x' in literal true (expecting 'e')"),
            ("nul1", "invalid character '1' in literal null (expecting 'l')"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.a", "invalid character 'a' after decimal point in numeric literal"),
            ("1ea", "invalid character 'a' in exponent of numeric literal"),
            (r#""\x""#, "invalid character 'x' in string escape code"),
            (r#""\u00g""#, r"invalid character 'g' in \u hexadecimal character escape"),
            ("\"a\nb\"", r"invalid character '\n' in string literal"),
            ("'a'", r"invalid character '\'' looking for beginning of value"),
        ];
        for (text, expected) in cases {
            assert_eq!(json_fault(text.as_bytes()).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(json_fault(&[0x81]).as_deref(), Some(r"invalid character '\u0081' looking for beginning of value"));
        assert_eq!(json_fault("[".repeat(100_000).as_bytes()).as_deref(), Some(end));
        for text in ["{}", " [1, -2.5e+3, \"\\u00e9\\n\", true, false, null, {\"a\": {}}, []] \n", "0"] {
            assert_eq!(json_fault(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_json_has_no_fault_and_the_other_way_round(text in r#"[\[\]{}:,"a1e.\\ truefalsn-]{0,24}"#) {
            // Go does not look whether a number fits, nor whether surrogates pair.
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
                prop_assert!(json_fault(text.as_bytes()).is_some() || error.to_string().contains("number out of range"));
            } else {
                prop_assert_eq!(json_fault(text.as_bytes()), None);
            }
        }
    }
}
