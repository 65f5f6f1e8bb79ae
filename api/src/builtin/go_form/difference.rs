//! What differs between two texts, line by line, as Python's `difflib` finds it, which Go's upstream has a copy of: the longest
//! run that both have in common first, and then what lies before and after it.

use std::collections::HashMap;

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// Most lines of a text that are compared: the time that takes grows with their square.
const LINES_MAX: usize = 2000;

/// From so many lines on, lines that make up more than one in a hundred are not looked for.
const POPULAR_FROM: usize = 200;

/// A run of lines that both texts have: where it begins in each, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    old: usize,
    new: usize,
    len: usize,
}

struct Matcher<'a> {
    old: &'a [String],
    new: &'a [String],
    /// Where each line stands in the new text.
    places: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Matcher<'a> {
    fn new(old: &'a [String], new: &'a [String]) -> Self {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, line) in new.iter().enumerate() {
            places.entry(line).or_default().push(index);
        }
        if new.len() >= POPULAR_FROM {
            let most = new.len() / 100 + 1;
            places.retain(|_, found| found.len() <= most);
        }
        Self { old, new, places }
    }

    /// The longest run within bounds; of equally long ones the first.
    fn longest(&self, old: (usize, usize), new: (usize, usize)) -> Run {
        let mut best = Run { old: old.0, new: new.0, len: 0 };
        let mut lengths: HashMap<usize, usize> = HashMap::new();
        for i in old.0..old.1 {
            let mut next = HashMap::new();
            let places = self.places.get(self.old[i].as_str()).map(Vec::as_slice).unwrap_or_default();
            for &j in places.iter().filter(|j| (new.0..new.1).contains(j)) {
                let len = 1 + j.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0);
                next.insert(j, len);
                if len > best.len {
                    best = Run { old: i + 1 - len, new: j + 1 - len, len };
                }
            }
            lengths = next;
        }
        // Lines that are not looked for still belong to a run that they touch.
        while best.old > old.0 && best.new > new.0 && self.old[best.old - 1] == self.new[best.new - 1] {
            best = Run { old: best.old - 1, new: best.new - 1, len: best.len + 1 };
        }
        while best.old + best.len < old.1
            && best.new + best.len < new.1
            && self.old[best.old + best.len] == self.new[best.new + best.len]
        {
            best.len += 1;
        }
        best
    }

    /// All runs, in order, the last one empty and at the end.
    fn runs(&self) -> Vec<Run> {
        let mut found = Vec::new();
        let mut open = vec![((0, self.old.len()), (0, self.new.len()))];
        while let Some((old, new)) = open.pop() {
            let run = self.longest(old, new);
            if run.len == 0 {
                continue;
            }
            found.push(run);
            open.push(((old.0, run.old), (new.0, run.new)));
            open.push(((run.old + run.len, old.1), (run.new + run.len, new.1)));
        }
        found.sort_unstable_by_key(|run| run.old);
        found.push(Run { old: self.old.len(), new: self.new.len(), len: 0 });
        found
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

/// The lines of both texts in one sequence.
fn aligned<'a>(old: &'a [String], new: &'a [String]) -> Vec<(Side, &'a str)> {
    let mut all = Vec::with_capacity(old.len().max(new.len()));
    let (mut i, mut j) = (0, 0);
    for run in Matcher::new(old, new).runs() {
        all.extend(old[i..run.old].iter().map(|line| (Side::Old, line.as_str())));
        all.extend(new[j..run.new].iter().map(|line| (Side::New, line.as_str())));
        all.extend(old[run.old..run.old + run.len].iter().map(|line| (Side::Both, line.as_str())));
        (i, j) = (run.old + run.len, run.new + run.len);
    }
    all
}

/// A unified diff without its head; nothing for texts that are too long.
pub(super) fn unified(old: &[String], new: &[String]) -> String {
    if old.len() > LINES_MAX || new.len() > LINES_MAX {
        return String::new();
    }
    let all = aligned(old, new);
    let is_near = |index: usize| {
        let (from, to) = (index.saturating_sub(CONTEXT), (index + CONTEXT + 1).min(all.len()));
        all[from..to].iter().any(|(side, _)| *side != Side::Both)
    };
    let mut out = String::new();
    let (mut line_old, mut line_new) = (1, 1);
    let mut index = 0;
    while index < all.len() {
        if !is_near(index) {
            (line_old, line_new, index) = (line_old + 1, line_new + 1, index + 1);
            continue;
        }
        let end = (index..all.len()).find(|index| !is_near(*index)).unwrap_or(all.len());
        let hunk = &all[index..end];
        let count = |without: Side| hunk.iter().filter(|(side, _)| *side != without).count();
        let (of_old, of_new) = (count(Side::New), count(Side::Old));
        out.push_str(&format!("@@ -{} +{} @@\n", range(line_old, of_old), range(line_new, of_new)));
        for (side, text) in hunk {
            out.push(match side {
                Side::Both => ' ',
                Side::Old => '-',
                Side::New => '+',
            });
            out.push_str(text);
            out.push('\n');
        }
        (line_old, line_new, index) = (line_old + of_old, line_new + of_new, end);
    }
    out
}

fn range(start: usize, count: usize) -> String {
    match count {
        1 => start.to_string(),
        0 => format!("{},0", start - 1),
        _ => format!("{start},{count}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &str) -> Vec<String> {
        lines.chars().map(String::from).collect()
    }

    #[test]
    fn hunks_say_where_they_are() {
        assert_eq!(unified(&text("a"), &text("b")), "@@ -1 +1 @@\n-a\n+b\n");
        assert_eq!(unified(&text(""), &text("b")), "@@ -0,0 +1 @@\n+b\n");
    }

    #[test]
    fn the_longest_run_comes_first() {
        // As Python's difflib: of what could be the same line twice, the first is.
        assert_eq!(unified(&text("xa"), &text("xaa")), "@@ -1,2 +1,3 @@\n x\n a\n+a\n");
        assert_eq!(unified(&text("abxcd"), &text("cdabx")), "@@ -1,5 +1,5 @@\n+c\n+d\n a\n b\n x\n-c\n-d\n");
        assert_eq!(unified(&text("qabxcd"), &text("abycdf")), "@@ -1,6 +1,6 @@\n-q\n a\n b\n-x\n+y\n c\n d\n+f\n");
    }

    #[test]
    fn common_lines_of_long_texts_are_matched_where_they_touch_a_run() {
        let many = |first: &str| [vec![first.to_owned()], vec!["same".to_owned(); 300]].concat();
        assert_eq!(unified(&many("a"), &many("a")), "");
        assert!(unified(&many("a"), &many("b")).starts_with("@@ -1,301 +1,301 @@\n-a\n-same\n"));
    }
}
