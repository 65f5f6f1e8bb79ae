//! A page of the documentation: the commands that it prints, and their output.

use regex::Regex;

/// What differs from run to run, or from one kubectl to the next, and what stands for it.
const VARYING: [(&str, &str); 14] = [
    // Newer ones say it, older ones do not.
    (r" from \S+ namespace$", ""),
    // Which pod of a job comes first by name is chance.
    (r"Device: +gpu-\d", "Device: gpu-N"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"[IEW]\d{4} \d\d:\d\d:\d\d\.\d{6}", "TIME"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} [\d:]{8} [+-]\d{4}", "TIME"),
    (r"(-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-NAME"),
    (r"\b\d+(ms|s|m|h|d)(\d+(s|m|h))?\b", "AGE"),
    (r"Resource Version: +\d+", "Resource Version: N"),
    (r"v\d+\.\d+\.\d+\S*", "VERSION"),
    (r"10\.(96|244)\.\d+\.\d+", "IP"),
    (r":3\d{4}/TCP", ":PORT/TCP"),
    (r"[ \t]+", " "),
];

/// A file that a page shows, for its commands to read: a block with the name of the file behind the language.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: String,
}

/// A command of a page, and what it prints; `None` when the page does not say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) text: String,
    pub(super) printed: Option<Vec<String>>,
}

/// What a page has its reader do, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Write(File),
    Run(Command),
}

/// The steps of a page: blocks marked as a console's (`$ ` before a command, `> ` before a line that continues it), files,
/// and comments `<!-- $ command -->`, which prepare what the text of the page presumes.
pub(super) fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("<!-- $ ").and_then(|rest| rest.strip_suffix(" -->")) {
            steps.push(Step::Run(Command { text: command.to_owned(), printed: None }));
            continue;
        }
        let Some(fence) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match fence.split_once(' ') {
            None if fence == "console" => steps.extend(commands(&block).into_iter().map(Step::Run)),
            Some((_, name)) => {
                steps.push(Step::Write(File { name: name.to_owned(), text: format!("{}\n", block.join("\n")) }));
            }
            None => {}
        }
    }
    steps
}

/// The commands of one console.
fn commands(block: &[&str]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for line in block {
        if let Some(text) = line.strip_prefix("$ ") {
            commands.push(Command { text: text.to_owned(), printed: Some(Vec::new()) });
            continue;
        }
        let command = commands.last_mut().unwrap_or_else(|| panic!("a console begins with a command, not with {line}"));
        let printed = command.printed.get_or_insert_default();
        match line.strip_prefix("> ") {
            Some(more) if printed.is_empty() => command.text.extend(["\n", more]),
            _ => printed.push((*line).to_owned()),
        }
    }
    commands
}

/// Lines without what varies.
pub(super) fn steady(lines: &[String]) -> Vec<String> {
    let rules: Vec<(Regex, &str)> =
        VARYING.iter().map(|(pattern, name)| (Regex::new(pattern).expect("a pattern of ours"), *name)).collect();
    let steady = |line: &String| {
        let line = rules.iter().fold(line.clone(), |line, (rule, name)| rule.replace_all(&line, *name).into_owned());
        line.trim().to_owned()
    };
    lines.iter().map(steady).filter(|line| !line.is_empty()).collect()
}

/// Whether these lines are what is printed. `…` stands for any text of a line, a line of `...` for any lines.
pub(super) fn matches(printed: &[String], got: &[String]) -> bool {
    let Some((first, rest)) = printed.split_first() else { return got.is_empty() };
    if first == "..." {
        return (0..=got.len()).any(|skipped| matches(rest, &got[skipped..]));
    }
    got.split_first().is_some_and(|(line, others)| line_matches(first, line) && matches(rest, others))
}

fn line_matches(printed: &str, got: &str) -> bool {
    if !printed.contains('…') {
        return printed == got;
    }
    let parts: Vec<String> = printed.split('…').map(regex::escape).collect();
    Regex::new(&format!("^{}$", parts.join(".*"))).expect("escaped text is a pattern").is_match(got)
}

#[test]
fn a_page_is_read() {
    let page = "text\n<!-- $ hidden -->\n```yaml a.yaml\nkind: A\n```\n```console\n$ cat <<E\n> x\n> E\nx\n> y\n$ true\n```\n```sh\n$ no\n```";
    let run = |text: &str, printed: Option<&[&str]>| {
        let printed = printed.map(|lines| lines.iter().map(|line| (*line).to_owned()).collect());
        Step::Run(Command { text: text.to_owned(), printed })
    };
    let file = File { name: "a.yaml".to_owned(), text: "kind: A\n".to_owned() };
    let wanted =
        [run("hidden", None), Step::Write(file), run("cat <<E\nx\nE", Some(&["x", "> y"])), run("true", Some(&[]))];
    assert_eq!(steps(page), wanted);
}

#[test]
fn omissions_stand_for_anything() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (printed, got, agree) in [
        ("a\n...\nz", "a\nb\nc\nz", true),
        ("a\n...\nz", "a\nz", true),
        ("a\n...\nz", "a\nb", false),
        ("a … z", "a b c z", true),
        ("a … z", "a b c", false),
        ("a", "a\nb", false),
        ("", "", true),
        ("a\n...", "a", true),
    ] {
        assert_eq!(matches(&lines(printed), &lines(got)), agree, "{printed:?} and {got:?}");
    }
}
