//! The wire table: requests and what must come back, as `testdata/wire/*.yaml` has them. The format is told in
//! `testdata/wire/README.md`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use axum::{Router, body::Body};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use mock_apiserver::{ApiServer, Config, config};
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Steps against a server of their own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    scenario: String,
    steps: Vec<Step>,
}

/// A request, and what is expected of the answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Method and path.
    send: String,
    #[serde(default)]
    with: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    json: Value,
    #[serde(default)]
    lacks: Vec<String>,
    text: Option<String>,
    message: Option<String>,
    #[serde(default)]
    contains: Vec<String>,
    warnings: Option<Vec<String>>,
    lines: Option<Vec<Value>>,
    #[serde(default)]
    save: BTreeMap<String, String>,
    /// How often the step may be tried again, a tenth of a second apart: for what happens on its own.
    #[serde(default)]
    patience: u32,
}

#[tokio::test]
async fn every_request_of_the_table_is_answered_as_it_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wire");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&directory).expect("the table").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty());
    let mut playing = Vec::new();
    let mut steps = 0;
    for file in files {
        let text = std::fs::read(&file).expect("a file of the table");
        let documents = machinery::yaml::documents(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for document in documents {
            let scenarios: Vec<Scenario> = serde_json::from_value(document.value().clone())
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            for scenario in scenarios {
                steps += scenario.steps.len();
                let place = format!("{}: {}", file.file_name().unwrap_or_default().display(), scenario.scenario);
                playing.push(tokio::spawn(async move { play(&place, scenario).await }));
            }
        }
    }
    let mut failures = String::new();
    for scenario in playing {
        failures.push_str(&scenario.await.expect("a scenario can be played"));
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(steps > 100, "only {steps} steps were found");
}

/// Plays a scenario; returns what went otherwise.
async fn play(place: &str, scenario: Scenario) -> String {
    let shutdown = CancellationToken::new();
    let config = Config { definitions: config::definitions(), ..Config::default() };
    let router = ApiServer::start(config, shutdown.clone()).await.expect("a server").router();
    let mut saved = BTreeMap::new();
    let mut failures = String::new();
    for (number, step) in scenario.steps.iter().enumerate() {
        let mut wrong = Vec::new();
        let mut shown = String::new();
        for attempt in 0..=step.patience {
            if attempt > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            let answer = send(&router, step, &saved).await;
            wrong = step.compare(&answer, &saved);
            shown = answer.text.chars().take(700).collect();
            for (name, pointer) in &step.save {
                let value = answer.json().pointer(pointer).cloned().unwrap_or_default();
                saved.insert(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
            if wrong.is_empty() {
                break;
            }
        }
        if !wrong.is_empty() {
            let _ = writeln!(failures, "{place}, step {}: {}", number + 1, step.send);
            for line in &wrong {
                let _ = writeln!(failures, "    {line}");
            }
            let _ = writeln!(failures, "    came: {shown}");
        }
    }
    shutdown.cancel();
    failures
}

struct Answer {
    code: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    }
}

async fn send(router: &Router, step: &Step, saved: &BTreeMap<String, String>) -> Answer {
    let line = filled(&step.send, saved);
    let (method, path) = line.split_once(' ').expect("method and path");
    let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
    for (name, value) in &step.with {
        request = request.header(name, filled(value, saved));
    }
    let body = match &step.body {
        Value::Null => String::new(),
        Value::String(text) => filled(text, saved),
        document => filled(&document.to_string(), saved),
    };
    let body = repeated(body);
    if !body.is_empty() && !step.with.contains_key("content-type") {
        let media_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        request = request.header("content-type", media_type);
    }
    if !step.with.contains_key("user-agent") {
        request = request.header("user-agent", "table/1");
    }
    let response =
        router.clone().oneshot(request.body(Body::from(body)).unwrap_or_else(|error| panic!("{line}: {error}"))).await;
    let (parts, body) = response.expect("a router never fails").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Answer { code: parts.status.as_u16(), headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// Puts what was saved in the place of `${name}`.
fn filled(text: &str, saved: &BTreeMap<String, String>) -> String {
    saved.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

/// A body `repeat N TEXT` is TEXT, N times; with ` then `, once more with another text: for bodies that are too large, or
/// too deep.
fn repeated(body: String) -> String {
    let Some(parts) = body.strip_prefix("repeat ") else { return body };
    let parts = parts.split(" then repeat ").map(|part| {
        let (count, text) = part.split_once(' ').expect("a count and a text");
        text.repeat(count.parse().expect("a count"))
    });
    parts.collect()
}

impl Step {
    fn compare(&self, answer: &Answer, saved: &BTreeMap<String, String>) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.status != 0 && self.status != answer.code {
            wrong.push(format!("status {} and not {}", answer.code, self.status));
        }
        for (name, expected) in &self.headers {
            let found = answer.header(name);
            if !matches(&redacted(&found), &filled(expected, saved)) {
                wrong.push(format!("header {name} is {found:?} and not {expected:?}"));
            }
        }
        let json = answer.json();
        let fill = |value: &Value| -> Value {
            serde_json::from_str(&filled(&value.to_string(), saved)).expect("filled JSON stays JSON")
        };
        differences("", &json, &fill(&self.json), &mut wrong);
        for pointer in &self.lacks {
            if let Some(found) = json.pointer(pointer) {
                wrong.push(format!("{pointer} is there: {found}"));
            }
        }
        if let Some(expected) = &self.message {
            let found = json["message"].as_str().unwrap_or_default();
            if !matches(found, &filled(expected, saved)) {
                wrong.push(format!("message {found:?}\n         is not {:?}", filled(expected, saved)));
            }
        }
        if let Some(expected) = &self.text {
            let found = redacted(&answer.text);
            if !matches(&found, expected) && !matches(&answer.text, &filled(expected, saved)) {
                wrong.push(format!("text {found:?}\n      is not {expected:?}"));
            }
        }
        for part in &self.contains {
            if !redacted(&answer.text).contains(&filled(part, saved)) {
                wrong.push(format!("nowhere {part:?}"));
            }
        }
        if let Some(expected) = &self.warnings {
            let found: Vec<String> = answer
                .headers
                .get_all("warning")
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            if found.len() != expected.len() || !found.iter().zip(expected).all(|(f, e)| matches(f, &filled(e, saved)))
            {
                wrong.push(format!("warnings are {found:#?} and not {expected:#?}"));
            }
        }
        if let Some(expected) = &self.lines {
            let found: Vec<Value> =
                answer.text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
            differences("", &Value::Array(found), &fill(&Value::Array(expected.clone())), &mut wrong);
        }
        wrong
    }
}

/// What differs between a document and what is expected of it: members that are not named may be there, items of lists not.
fn differences(path: &str, found: &Value, expected: &Value, wrong: &mut Vec<String>) {
    match (found, expected) {
        (_, Value::Null) => {}
        (Value::Object(found), Value::Object(expected)) => {
            for (name, expected) in expected {
                match found.get(name) {
                    Some(found) => differences(&format!("{path}/{name}"), found, expected, wrong),
                    None if expected == "<absent>" => {}
                    None => wrong.push(format!("no {path}/{name}")),
                }
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            if found.len() != expected.len() {
                wrong.push(format!("{path} has {} items and not {}", found.len(), expected.len()));
            }
            for (position, (found, expected)) in found.iter().zip(expected).enumerate() {
                differences(&format!("{path}/{position}"), found, expected, wrong);
            }
        }
        (Value::String(found), Value::String(expected)) if matches(found, expected) => {}
        (found, expected) if found == expected || expected == "<any>" => {}
        (found, expected) => wrong.push(format!("{path} is {found}\n      and not {expected}")),
    }
}

/// True when the text is as expected, where `<any>` stands for anything.
fn matches(found: &str, expected: &str) -> bool {
    let Some((first, rest)) = expected.split_once("<any>") else {
        return found == expected || redacted(found) == expected;
    };
    let Some(mut left) = found.strip_prefix(first) else { return false };
    let mut parts = rest.split("<any>").peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        let Some(position) = left.find(part) else { return false };
        left = &left[position + part.len()..];
    }
    true
}

/// The text with what differs from run to run replaced by its name.
fn redacted(text: &str) -> String {
    static UID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").expect("a pattern")
    });
    static TIME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").expect("a pattern"));
    static REVISION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""resourceVersion":"\d+""#).expect("a pattern"));
    let text = UID.replace_all(text, "<uid>");
    let text = TIME.replace_all(&text, "<time>");
    REVISION.replace_all(&text, r#""resourceVersion":"<rv>""#).into_owned()
}
