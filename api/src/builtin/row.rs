//! Writing one row of the catalog: a kind, said in as few words as it takes.

use std::sync::Arc;

use machinery::names::GroupVersionKind;
use serde_json::Value;

use super::rules::Rules;
use crate::definition::{
    Column, FieldValue, ResourceDefinition, ScalePaths, SchemaDocument, SchemaSource, Scope, SelectableField,
    Subresource, Text, VersionDefinition,
};

/// A definition under construction. Starts as a namespaced kind whose store is its own, with all verbs and no rules.
pub(super) struct Row(ResourceDefinition);

/// Begins the row of a kind. The singular name is the kind in lower case.
pub(super) fn kind(group: &'static str, kind: &'static str, plural: &'static str) -> Row {
    Row(ResourceDefinition {
        group: group.into(),
        kind: kind.into(),
        list_kind: format!("{kind}List").into(),
        plural: plural.into(),
        singular: kind.to_ascii_lowercase().into(),
        short_names: Vec::new(),
        categories: Vec::new(),
        scope: Scope::Namespaced,
        versions: Vec::new(),
        store: if group.is_empty() { plural.into() } else { format!("{plural}.{group}").into() },
        strategy: Arc::new(Rules::PLAIN),
        subresources: Vec::new(),
        delete_returns_object: false,
        graceful_delete: false,
        verbs: Vec::new(),
    })
}

impl Row {
    /// Objects live in the cluster, not in a namespace.
    pub(super) fn cluster(mut self) -> Self {
        self.0.scope = Scope::Cluster;
        self
    }

    /// Short names for kubectl.
    pub(super) fn short(mut self, names: &'static [&'static str]) -> Self {
        self.0.short_names = texts(names);
        self
    }

    /// The one category of the kind: `all` or `api-extensions`.
    pub(super) fn category(mut self, category: &'static str) -> Self {
        self.0.categories = vec![Text::Borrowed(category)];
        self
    }

    /// Only these verbs are served.
    pub(super) fn verbs(mut self, verbs: &'static [&'static str]) -> Self {
        self.0.verbs = texts(verbs);
        self
    }

    /// A served version; the first one is the version in which objects are stored.
    pub(super) fn version(self, name: &'static str, schema: fn() -> SchemaDocument, columns: Vec<Column>) -> Self {
        self.converted_version(name, schema, columns, None, None)
    }

    /// A served version with conversions to and from the stored one.
    pub(super) fn converted_version(
        mut self,
        name: &'static str,
        schema: fn() -> SchemaDocument,
        columns: Vec<Column>,
        to_storage: Option<fn(&mut Value)>,
        from_storage: Option<fn(&mut Value)>,
    ) -> Self {
        let storage = self.0.versions.is_empty() && to_storage.is_none();
        self.0.versions.push(VersionDefinition {
            name: name.into(),
            served: true,
            storage,
            deprecation_warning: None,
            schema: SchemaSource::Built(schema),
            columns,
            selectable_fields: Vec::new(),
            subresources: None,
            to_storage,
            from_storage,
        });
        self
    }

    /// Every use of the version named last carries this warning.
    pub(super) fn deprecated(mut self, warning: &'static str) -> Self {
        if let Some(version) = self.0.versions.last_mut() {
            version.deprecation_warning = Some(warning.into());
        }
        self
    }

    /// Fields of the version named last, by path, that a field selector may name.
    pub(super) fn selectable(self, paths: &'static [&'static str]) -> Self {
        paths.iter().fold(self, |row, path| row.selectable_field(path, FieldValue::Path))
    }

    /// One field whose text is computed.
    pub(super) fn selectable_by(self, name: &'static str, value: fn(&Value) -> String) -> Self {
        self.selectable_field(name, FieldValue::Computed(value))
    }

    fn selectable_field(mut self, name: &'static str, value: FieldValue) -> Self {
        if let Some(version) = self.0.versions.last_mut() {
            version.selectable_fields.push(SelectableField { name: name.into(), value });
        }
        self
    }

    /// The objects are those of another definition's store.
    pub(super) fn stored_as(mut self, store: &'static str) -> Self {
        self.0.store = store.into();
        self
    }

    /// What the kind does on writes.
    pub(super) fn rules(mut self, rules: Rules) -> Self {
        self.0.strategy = Arc::new(rules);
        self
    }

    /// The `status` subresource.
    pub(super) fn status(self) -> Self {
        self.subresource("status", None, &["get", "patch", "update"])
    }

    /// The `scale` subresource, with the path of the selector.
    pub(super) fn scale(mut self, selector: &'static str) -> Self {
        self = self.subresource("scale", Some(("autoscaling", "v1", "Scale")), &["get", "patch", "update"]);
        if let Some(scale) = self.0.subresources.last_mut() {
            scale.scale = Some(ScalePaths {
                spec_replicas: ".spec.replicas".into(),
                status_replicas: ".status.replicas".into(),
                selector: Some(selector.into()),
            });
        }
        self
    }

    /// A subresource, with its own group, version and kind where it has one.
    pub(super) fn subresource(
        mut self,
        name: &'static str,
        kind: Option<(&'static str, &'static str, &'static str)>,
        verbs: &'static [&'static str],
    ) -> Self {
        let kind = kind.map(|(group, version, kind)| GroupVersionKind::new(group, version, kind));
        self.0.subresources.push(Subresource { name: name.into(), kind, verbs: texts(verbs), scale: None });
        self
    }

    /// A finished delete answers with the object.
    pub(super) fn delete_returns_object(mut self) -> Self {
        self.0.delete_returns_object = true;
        self
    }

    /// A delete waits for the kubelet.
    pub(super) fn graceful_delete(mut self) -> Self {
        self.0.graceful_delete = true;
        self
    }

    /// The finished row.
    pub(super) fn build(self) -> ResourceDefinition {
        self.0
    }
}

fn texts(texts: &'static [&'static str]) -> Vec<Text> {
    texts.iter().map(|text| Text::Borrowed(text)).collect()
}
