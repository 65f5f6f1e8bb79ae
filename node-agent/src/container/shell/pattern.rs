//! Patterns of the shell: `*`, `?` and `[…]`.

/// Characters; `true`: it was quoted and means itself.
pub(super) type Pattern = Vec<(char, bool)>;

/// Whether there is anything in a pattern that stands for something else.
pub(super) fn is_pattern(pattern: &[(char, bool)]) -> bool {
    pattern.iter().any(|(one, quoted)| !quoted && matches!(one, '*' | '?' | '['))
}

/// Whether a pattern fits a whole text.
pub(super) fn matches(pattern: &[(char, bool)], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    fits(pattern, &text)
}

/// Goes back to the last `*` only: this is enough, and takes time in proportion to both.
pub(super) fn fits(pattern: &[(char, bool)], text: &[char]) -> bool {
    let (mut at, mut next) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at) {
            None if next == text.len() => return true,
            None => None,
            Some(('*', false)) => {
                star = Some((at, next));
                at += 1;
                continue;
            }
            Some(one) => text.get(next).and_then(|&character| one_fits(one, &pattern[at..], character)),
        };
        match (step, star) {
            (Some(length), _) => (at, next) = (at + length, next + 1),
            (None, Some((from, behind))) if behind < text.len() => {
                star = Some((from, behind + 1));
                (at, next) = (from + 1, behind + 1);
            }
            (None, _) => return false,
        }
    }
}

/// How much of the pattern stands for a character, if it does.
fn one_fits(one: &(char, bool), rest: &[(char, bool)], character: char) -> Option<usize> {
    match one {
        ('?', false) => Some(1),
        ('[', false) => match set(rest) {
            Some((negated, members, length)) => {
                let within = members.iter().any(|(from, to)| (*from..=*to).contains(&character));
                (within != negated).then_some(length)
            }
            None => (character == '[').then_some(1),
        },
        (plain, _) => (*plain == character).then_some(1),
    }
}

/// First and last characters.
type Ranges = Vec<(char, char)>;

/// A set in brackets: whether it is what is not in it, its members, and how long it is.
fn set(pattern: &[(char, bool)]) -> Option<(bool, Ranges, usize)> {
    let negated = matches!(pattern.get(1), Some(('!' | '^', false)));
    let start = 1 + usize::from(negated);
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|one| *one == (']', false))?;
    let members: Vec<char> = pattern[start..end].iter().map(|(one, _)| *one).collect();
    let (mut ranges, mut at) = (Ranges::new(), 0);
    while at < members.len() {
        match (members.get(at + 1), members.get(at + 2)) {
            (Some('-'), Some(&to)) => {
                ranges.push((members[at], to));
                at += 3;
            }
            _ => {
                ranges.push((members[at], members[at]));
                at += 1;
            }
        }
    }
    Some((negated, ranges, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, text, fit) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("*.txt", "a.b.txt", true),
            ("?x", "ax", true),
            ("[a-c]1", "b1", true),
            ("[!a-c]1", "b1", false),
            ("[]1", "[]1", true),
            ("a**b*", "axxbxx", true),
            ("", "x", false),
        ] {
            let pattern: Pattern = pattern.chars().map(|one| (one, false)).collect();
            assert_eq!(matches(&pattern, text), fit, "{pattern:?} {text}");
        }
        assert!(!matches(&[('*', true)], "x"));
    }
}
