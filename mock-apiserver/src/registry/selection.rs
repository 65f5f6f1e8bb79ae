//! `Selection`: which objects of a resource a request means, by namespace, name, labels and fields.

use std::{borrow::Cow, sync::Arc};

use api::definition::{FieldValue, SelectableField};
use machinery::{
    field::quote,
    selector::{field, label},
    status::Status,
};
use serde_json::Value;

use crate::{
    catalog::Endpoint,
    storage::{Snapshot, Stored},
};

/// Which objects a list, a watch or a delete collection means.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Only keys that begin so.
    prefix: String,
    /// Only this key, when the selector demands a name and the namespace is known.
    key: Option<String>,
    /// What the member says by which storage finds objects of this kind.
    having: Option<String>,
    labels: label::Selector,
    fields: Vec<(Field, field::Term)>,
}

#[derive(Clone, Debug)]
enum Field {
    Name,
    Namespace,
    Path(Vec<String>),
    Computed(fn(&Value) -> String),
}

impl Selection {
    /// Reads the selectors of a request to a collection. An empty `namespace` is all of them.
    pub(crate) fn parse(endpoint: &Endpoint, namespace: &str, labels: &str, fields: &str) -> Result<Self, Status> {
        let labels = label::Selector::parse(labels).map_err(|error| Status::bad_request(error.to_string()))?;
        let fields = field::Selector::parse(fields).map_err(|error| Status::bad_request(error.to_string()))?;
        let namespaced = endpoint.resource.is_namespaced();
        let mut selection = Self { labels, ..Self::namespace(endpoint, namespace) };
        if let Some(name) = fields.exact("metadata.name") {
            let namespace = if namespace.is_empty() { fields.exact("metadata.namespace") } else { Some(namespace) };
            match (namespaced, namespace) {
                (false, _) => selection.key = Some(name.to_owned()),
                (true, Some(namespace)) => selection.key = Some(format!("{namespace}/{name}")),
                (true, None) => {}
            }
        }
        let found_by = endpoint.resource.space().found_by().map(|path| path.join("."));
        let having = found_by.and_then(|field| fields.exact(&field).map(str::to_owned));
        selection.having = having.filter(|text| !text.is_empty());
        for term in fields.terms() {
            selection.fields.push((known_field(endpoint, &term.field)?, term.clone()));
        }
        Ok(selection)
    }

    /// Everything in a namespace, or everything there is when `namespace` is empty.
    pub(crate) fn namespace(endpoint: &Endpoint, namespace: &str) -> Self {
        let scoped = endpoint.resource.is_namespaced() && !namespace.is_empty();
        Self {
            prefix: if scoped { format!("{namespace}/") } else { String::new() },
            key: None,
            having: None,
            labels: label::Selector::everything(),
            fields: Vec::new(),
        }
    }

    /// The objects among which those are that are meant, in key order, from the first key after `after` on.
    pub(super) fn candidates<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        after: Option<&'a str>,
    ) -> Box<dyn Iterator<Item = &'a Arc<Stored>> + 'a> {
        match self.having.as_deref().and_then(|text| snapshot.having(text, after)) {
            Some(few) => Box::new(few),
            None => Box::new(snapshot.range(&self.prefix, after)),
        }
    }

    /// The only key that can match, when there is but one.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// True when labels or fields decide.
    pub(super) fn filters(&self) -> bool {
        !self.labels.is_everything() || !self.fields.is_empty()
    }

    /// Whether the object is meant. Objects that rest as JSON stay so: a client that selects looks at all of them.
    pub(crate) fn matches(&self, object: &Stored) -> bool {
        object.key().starts_with(&self.prefix)
            && (self.labels.is_everything() || self.matches_labels(object))
            && self.fields.iter().all(|(field, term)| (field.of(object) == term.value.as_str()) == term.equal)
    }

    fn matches_labels(&self, object: &Stored) -> bool {
        let labels = object.member(&["metadata", "labels"]);
        self.labels.matches(|key| labels.as_deref()?.get(key)?.as_str())
    }
}

impl Field {
    fn of<'a>(&self, object: &'a Stored) -> Cow<'a, str> {
        match self {
            Self::Name => Cow::Borrowed(object.key().rsplit('/').next().unwrap_or_default()),
            Self::Namespace => Cow::Borrowed(object.key().split_once('/').map_or("", |(namespace, _)| namespace)),
            Self::Path(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                object.member(&path).map_or(Cow::Borrowed(""), text)
            }
            Self::Computed(compute) => Cow::Owned(compute(object.value())),
        }
    }
}

fn text(value: Cow<'_, Value>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(Value::String(text)) => Cow::Borrowed(text),
        Cow::Owned(Value::String(text)) => Cow::Owned(text),
        other if other.is_null() => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}

/// The field of that name; which there are depends on the version that the client uses.
fn known_field(endpoint: &Endpoint, name: &str) -> Result<Field, Status> {
    let selectable = &endpoint.version().selectable_fields;
    match name {
        "metadata.name" => return Ok(Field::Name),
        "metadata.namespace" if endpoint.resource.is_namespaced() || selectable.is_empty() => {
            return Ok(Field::Namespace);
        }
        _ => {}
    }
    let Some(field) = selectable.iter().find(|field| field.name == name) else {
        // Where versions are converted, the converter speaks.
        let is_converted = endpoint.resource.is_custom() && endpoint.definition().versions.len() > 1;
        let message = if selectable.is_empty() && !is_converted {
            format!(r#"{} is not a known field selector: only "metadata.name", "metadata.namespace""#, quote(name))
        } else {
            unsupported(endpoint, name)
        };
        return Err(Status::bad_request(message));
    };
    Ok(compiled(field))
}

/// What is said about a field that cannot be selected by; some groups say it in their own way.
fn unsupported(endpoint: &Endpoint, name: &str) -> String {
    let kind = endpoint.kind();
    match kind.group.as_str() {
        "batch" => format!("field label {} not supported for {}", quote(name), kind.kind),
        "resource.k8s.io" => {
            format!("field label not supported for {}, Kind={}: {name}", kind.api_version(), kind.kind)
        }
        _ => format!("field label not supported: {name}"),
    }
}

fn compiled(field: &SelectableField) -> Field {
    let path = |text: &str| text.trim_start_matches('.').split('.').map(str::to_owned).collect();
    match &field.value {
        FieldValue::Path => Field::Path(path(&field.name)),
        FieldValue::JsonPath(text) => Field::Path(path(text)),
        FieldValue::Computed(compute) => Field::Computed(*compute),
    }
}
