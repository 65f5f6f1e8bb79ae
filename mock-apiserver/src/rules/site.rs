//! `Site`: a place of a CRD's schema that has rules, and the schema there as its author wrote it.

use std::collections::HashMap;

use cel::Shape;
use schema::{Additional, Node, RuleSite, Schema};
use serde_json::Value;

/// A place with rules.
pub(super) struct Site<'s> {
    pub(super) place: RuleSite<'s>,
    /// The part of `openAPIV3Schema` there.
    pub(super) open_api: &'s Value,
    is_resource: bool,
}

/// Every place with rules, inner ones before outer ones. `schema` must have been loaded from `open_api`.
pub(super) fn sites<'s>(schema: &'s Schema, open_api: &'s Value) -> Vec<Site<'s>> {
    let places = schema.rule_sites().into_iter().map(|place| (place.node.number(), place)).collect();
    let mut search = Search { root: schema.root(), places, found: Vec::new() };
    search.visit(schema.root(), open_api);
    search.found
}

struct Search<'s> {
    root: Node<'s>,
    places: HashMap<u32, RuleSite<'s>>,
    found: Vec<Site<'s>>,
}

impl<'s> Search<'s> {
    /// Goes as deep as `open_api`, which loading has bounded.
    fn visit(&mut self, node: Node<'s>, open_api: &'s Value) {
        if let (Additional::Schema(values), Some(below)) = (node.additional(), open_api.get("additionalProperties")) {
            self.visit(values, below);
        }
        for (name, property) in node.properties() {
            if let Some(below) = open_api.get("properties").and_then(|properties| properties.get(name)) {
                self.visit(property, below);
            }
        }
        if let (Some(items), Some(below)) = (node.items(), open_api.get("items")) {
            self.visit(items, below);
        }
        if let Some(place) = self.places.remove(&node.number()) {
            let is_resource = node == self.root || node.is_embedded_resource();
            self.found.push(Site { place, open_api, is_resource });
        }
    }
}

impl Site<'_> {
    /// What rules know of values here; `None` where CEL cannot express their type.
    pub(super) fn shape(&self) -> Option<Shape> {
        cel::shape_of_schema(self.open_api, "selfType", self.is_resource)
    }

    /// How often rules here may run for one object.
    pub(super) fn cardinality(&self) -> u64 {
        let possible = || cel::documents_in_request(self.open_api, self.is_resource).unwrap_or(u64::MAX);
        self.place.cardinality.unwrap_or_else(possible)
    }

    /// `type`, empty where the author gave none.
    pub(super) fn type_name(&self) -> &str {
        self.open_api.get("type").and_then(Value::as_str).unwrap_or_default()
    }
}
