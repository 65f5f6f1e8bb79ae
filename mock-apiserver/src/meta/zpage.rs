//! `/statusz` and `/flagz`: since when the process runs, and how it was told to (KEP-4827, KEP-4828). People get a text, programs
//! that ask for it a document.

use std::fmt::Write as _;

use axum::body::Body;
use http::{HeaderValue, Response, header, request::Parts};
use jiff::tz::TimeZone;
use machinery::{status::Status, time, yaml};
use serde_json::{Map, Value};

use super::version;
use crate::{
    json,
    request::Query,
    respond::{self, Content},
    server::ApiServer,
};

/// The component, by the name that it gives itself.
const COMPONENT: &str = "apiserver";

/// What stands above everything that is said.
const WARNING: &str = "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and \
                       is for debugging purposes only.";

/// Where there is more to learn.
const PATHS: [&str; 7] = ["/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version"];

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";

/// What a page can be had as.
const MEDIA_TYPES: [&str; 3] = [JSON, YAML, "text/plain"];

/// Versions of the documents; all but the first are old.
const VERSIONS: [&str; 2] = ["v1beta1", "v1alpha1"];

/// The group of the documents.
const GROUP: &str = "config.k8s.io";

/// How a page is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Document { media_type: &'static str, version: &'static str },
}

/// Answers `/statusz`.
pub(super) fn status(server: &ApiServer, parts: &Parts, query: &Query) -> Response<Body> {
    let (started, now) = (server.started, server.registry.clock.now());
    let release = server.registry.feature_gates.release();
    let up = now.as_second().saturating_sub(started.as_second()).max(0);
    let text = || {
        let shown = started.to_zoned(TimeZone::UTC).strftime("%a %b %e %H:%M:%S UTC %Y").to_string();
        let (hours, minutes, seconds) = (up / 3600, up / 60 % 60, up % 60);
        format!(
            "\nStarted: {shown}\nUp: {hours} hr {minutes:02} min {seconds:02} sec\nGo version: none\nBinary version: {}\n\
             Emulation version: {release}\nPaths: {}\n",
            version::binary(),
            PATHS.join(" ")
        )
    };
    page("Statusz", parts, query, text, || {
        vec![
            ("startTime", time::format_seconds(started).into()),
            ("uptimeSeconds", up.into()),
            ("goVersion", "none".into()),
            ("binaryVersion", version::binary().into()),
            ("emulationVersion", release.to_string().into()),
            ("paths", Value::from_iter(PATHS)),
        ]
    })
}

/// Answers `/flagz`.
pub(super) fn flags(server: &ApiServer, parts: &Parts, query: &Query) -> Response<Body> {
    let flags = &server.config.flags;
    let text = || {
        let mut text = String::new();
        for (name, value) in flags {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}:{value}");
        }
        text
    };
    page("Flagz", parts, query, text, || {
        let shown = flags.iter().map(|(name, value)| (name.clone(), Value::from(value.clone())));
        vec![("flags", shown.collect::<Map<_, _>>().into())]
    })
}

fn page(
    kind: &str,
    parts: &Parts,
    query: &Query,
    text: impl FnOnce() -> String,
    members: impl FnOnce() -> Vec<(&'static str, Value)>,
) -> Response<Body> {
    let name = kind.to_ascii_lowercase();
    let accept = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match form(accept, kind) {
        None => respond::render_status(&parts.headers, query, &Status::not_acceptable(&MEDIA_TYPES)),
        Some(Form::Text) => {
            let text = format!("\n{COMPONENT} {name}\n{WARNING}\n{}", text());
            respond::bytes_response(200, Content::text(text), false)
        }
        Some(Form::Document { media_type, version }) => {
            let mut all = vec![
                ("kind", kind.into()),
                ("apiVersion", format!("{GROUP}/{version}").into()),
                ("metadata", Map::from_iter([("name".to_owned(), COMPONENT.into())]).into()),
            ];
            all.extend(members());
            let bytes = if media_type == YAML { yaml_of(all) } else { json_of(&all) };
            let mut response = respond::bytes_response(200, Content { media_type, bytes }, false);
            if let Ok(media_type) = HeaderValue::from_str(&format!("{media_type};g={GROUP};v={version};as={kind}")) {
                response.headers_mut().insert(header::CONTENT_TYPE, media_type);
            }
            if version != VERSIONS[0] {
                let why = format!("This version of the {name} endpoint is deprecated. Please use a newer version.");
                respond::add_warnings(&mut response, &[why]);
            }
            response
        }
    }
}

/// A document for people as well: indented, its members in the order of the Go struct.
fn json_of(members: &[(&str, Value)]) -> Vec<u8> {
    let mut out = b"{".to_vec();
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write(&mut out, &(*name).into());
        out.push(b':');
        json::write(&mut out, value);
    }
    out.push(b'}');
    let mut out = respond::indent(&out);
    out.push(b'\n');
    out
}

fn yaml_of(members: Vec<(&str, Value)>) -> Vec<u8> {
    let document: Map<String, Value> = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    yaml::to_string(&document.into()).into_bytes()
}

/// The first form that a client takes; one that does not say takes text.
fn form(accept: &str, kind: &str) -> Option<Form> {
    if accept.trim().is_empty() {
        return Some(Form::Text);
    }
    respond::parse_accept(accept).iter().find_map(|clause| {
        if clause.type_ == "*" || (clause.type_ == "text" && matches!(clause.subtype.as_str(), "plain" | "*")) {
            return Some(Form::Text);
        }
        let version = VERSIONS.into_iter().find(|version| clause.parameter("v") == *version)?;
        let media_type = [("json", JSON), ("yaml", YAML)].into_iter().find(|(subtype, _)| clause.matches(subtype))?.1;
        let is_this = clause.parameter("g") == GROUP && clause.parameter("as") == kind;
        is_this.then_some(Form::Document { media_type, version })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_is_known_is_taken() {
        let document = "application/json;v=v1beta1;g=config.k8s.io;as=Statusz";
        let both = format!("text/plain;q=0.5, {document}");
        let is = |media_type, version| Some(Form::Document { media_type, version });
        for (accept, expected) in [
            ("", Some(Form::Text)),
            ("*/*", Some(Form::Text)),
            ("text/plain", Some(Form::Text)),
            ("application/json", None),
            ("text/html", None),
            (document, is(JSON, "v1beta1")),
            (both.as_str(), is(JSON, "v1beta1")),
            ("application/yaml;v=v1alpha1;g=config.k8s.io;as=Statusz", is(YAML, "v1alpha1")),
            ("application/json;v=v1;g=config.k8s.io;as=Statusz", None),
            ("application/json;v=v1beta1;g=config.k8s.io;as=Flagz", None),
        ] {
            assert_eq!(form(accept, "Statusz"), expected, "{accept}");
        }
    }
}
