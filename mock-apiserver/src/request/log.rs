//! Options of `pods/log`.

use machinery::{
    field::{Error, Path},
    names::GroupVersionKind,
    status::Status,
    time,
};
use serde_json::Value;

use super::Query;

/// Checks the options of a request for a pod's log; whoever has the log reads them from the query.
pub(crate) fn check_log_options(pod: &str, query: &Query) -> Result<(), Status> {
    let tail = query.integer("tailLines")?;
    let limit = query.integer("limitBytes")?;
    let since = query.integer("sinceSeconds")?;
    let since_time = query.text("sinceTime");
    let mut errors = Vec::new();
    let mut at_least = |name: &str, value: Option<i64>, least: i64, why: &str| {
        if let Some(value) = value.filter(|value| *value < least) {
            errors.push(Error::invalid(&Path::new(name), &value.into(), why));
        }
    };
    at_least("tailLines", tail, 0, "must be greater than or equal to 0");
    at_least("limitBytes", limit, 1, "must be greater than 0");
    at_least("sinceSeconds", since, 1, "must be greater than 0");
    if !since_time.is_empty() {
        if time::parse(&since_time).is_none() {
            return Err(Status::bad_request(format!(
                "parsing time {quoted} as \"2006-01-02T15:04:05Z07:00\": cannot parse {quoted}",
                quoted = machinery::field::quote(&since_time)
            )));
        }
        if since.is_some() {
            let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.push(Error::forbidden(&Path::new(""), why));
        }
    }
    let stream = query.text("stream");
    if !matches!(stream.as_str(), "" | "All" | "Stdout" | "Stderr") {
        let known = ["All", "Stderr", "Stdout"];
        errors.push(Error::not_supported(&Path::new("stream"), &Value::from(stream), &known));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupVersionKind::new("", "v1", "PodLogOptions"), pod, &errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for (query, code) in [
            ("", 0),
            ("tailLines=0&limitBytes=1&sinceSeconds=1&follow=true", 0),
            ("sinceTime=2026-01-02T03:04:05Z", 0),
            ("tailLines=-1", 422),
            ("tailLines=x", 400),
            ("limitBytes=0", 422),
            ("sinceSeconds=0", 422),
            ("sinceTime=yesterday", 400),
            ("sinceTime=2026-01-02T03:04:05Z&sinceSeconds=5", 422),
            ("stream=Both", 422),
        ] {
            let found = check_log_options("p", &Query::parse(query)).err().map_or(0, |status| status.code);
            assert_eq!(found, code, "{query}");
        }
    }
}
