//! OpenAPI documents: v3 for one group and version, v2 for everything.

use api::release::Release;
use schema::openapi::Version;
use serde_json::{Map, Value, json};

use super::{
    operation::{Content, Operation, group_tag, operations},
    page::Page,
    parameters::Parameter,
    schemas::{MetaNames, Schemas},
};
use crate::{catalog::Endpoint, meta};

/// The v3 document of the resources of one group and version, or of a page.
pub(super) fn v3(pages: &[Page], endpoints: &[Endpoint]) -> Value {
    let (paths, schemas) = contents(Version::V3, pages, endpoints);
    let components = json!({"schemas": schemas, "securitySchemes": security()});
    json!({"openapi": "3.0.0", "info": info(), "paths": paths, "components": components})
}

/// The v2 document of all pages and resources.
pub(super) fn v2(pages: &[Page], endpoints: &[Endpoint]) -> Value {
    let (paths, definitions) = contents(Version::V2, pages, endpoints);
    json!({
        "swagger": "2.0", "info": info(), "paths": paths, "definitions": definitions,
        "securityDefinitions": security(), "security": [{"BearerToken": []}],
    })
}

/// The release, without what changes from day to day.
fn info() -> Value {
    let version = meta::git_version(Release::default());
    let mut parts = version.trim_start_matches('v').splitn(3, '.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    json!({"title": "Kubernetes", "version": format!("{major}.{minor}")})
}

fn security() -> Value {
    let about = "Bearer Token authentication";
    json!({"BearerToken": {"type": "apiKey", "description": about, "name": "authorization", "in": "header"}})
}

fn contents(version: Version, pages: &[Page], endpoints: &[Endpoint]) -> (Map<String, Value>, Map<String, Value>) {
    let mut schemas = Schemas::new(version);
    let mut paths = Map::new();
    for page in pages {
        paths.insert(page.path(), page_item(version, page, &mut schemas));
    }
    if endpoints.is_empty() {
        return (paths, schemas.finish());
    }
    let names = schemas.add_meta(endpoints);
    for endpoint in endpoints {
        schemas.add(endpoint, &names);
    }
    for endpoint in endpoints {
        let writer = Writer { version, endpoint, schemas: &schemas, names: &names };
        for operations in operations(endpoint).chunk_by(|a, b| a.path == b.path) {
            paths.insert(operations[0].path.clone(), writer.path(operations));
        }
    }
    (paths, schemas.finish())
}

/// The path of a page and its only operation.
fn page_item(version: Version, page: &Page, schemas: &mut Schemas) -> Value {
    let schema = page.answer.schema().map(|document| version.reference(&schemas.add_document(document), Map::new()));
    let types = if schema.is_some() { OBJECT_TYPES.as_slice() } else { &["application/json"] };
    let schema = schema.unwrap_or_else(|| json!({"type": "string"}));
    let mut operation = json!({"description": page.description, "operationId": page.id, "tags": [page.tag]});
    let mut ok = json!({"description": "OK"});
    match version {
        Version::V3 => ok["content"] = content(types, &schema),
        Version::V2 => {
            ok["schema"] = schema;
            operation["produces"] = json!(types);
        }
    }
    operation["responses"] = json!({"200": ok, "401": {"description": "Unauthorized"}});
    json!({"get": operation})
}

/// Media types of objects.
const OBJECT_TYPES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// Media types of watches of built-in kinds.
const STREAM_TYPES: [&str; 2] = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

/// Media types of patches; strategic merge comes last, because custom resources have none.
const PATCH_TYPES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// Writes the operations of one endpoint.
struct Writer<'a> {
    version: Version,
    endpoint: &'a Endpoint,
    schemas: &'a Schemas,
    names: &'a MetaNames,
}

impl Writer<'_> {
    /// A path: its operations, and once the parameters that all of them share.
    fn path(&self, operations: &[Operation]) -> Value {
        let [first, others @ ..] = operations else { return Value::Null };
        let is_shared =
            |name: &str| others.iter().all(|other| other.parameters.iter().any(|parameter| parameter.name == name));
        let shared: Vec<&Parameter> = first.parameters.iter().filter(|parameter| is_shared(parameter.name)).collect();
        let mut parameters: Vec<(&str, Value)> =
            shared.iter().map(|parameter| (parameter.name, self.query(parameter))).collect();
        for (name, description) in [
            ("name", "Name of the object."),
            ("namespace", "Namespace of the objects."),
            ("path", "Path of the request."),
        ] {
            if first.path.contains(&format!("{{{name}}}")) {
                let about = json!({"name": name, "in": "path", "required": true, "description": description});
                parameters.push((name, self.typed(about, "string")));
            }
        }
        parameters.sort_by_key(|(name, _)| *name);
        let parameters: Vec<Value> = parameters.into_iter().map(|(_, parameter)| parameter).collect();
        let mut path = json!({"parameters": parameters});
        for operation in operations {
            path[operation.method] = self.operation(operation, &shared);
        }
        path
    }

    fn operation(&self, operation: &Operation, shared: &[&Parameter]) -> Value {
        let own = operation.parameters.iter().filter(|own| shared.iter().all(|shared| shared.name != own.name));
        let mut parameters: Vec<Value> = own.map(|parameter| self.query(parameter)).collect();
        let kind = &operation.kind;
        let mut out = json!({
            "description": operation.summary,
            "operationId": operation.id,
            "tags": [tag(self.endpoint)],
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": {"group": kind.group, "kind": kind.kind, "version": kind.version},
        });
        let body_types = self.types(operation.body, operation.strategic);
        let body = self.reference(operation.body, operation);
        match (self.version, body) {
            (_, None) => {}
            (Version::V3, Some(schema)) => {
                out["requestBody"] = json!({"content": content(&body_types, &schema)});
                if operation.body != Content::DeleteOptions {
                    out["requestBody"]["required"] = Value::Bool(true);
                }
            }
            (Version::V2, Some(schema)) => {
                let required = operation.body != Content::DeleteOptions;
                let mut body = json!({"name": "body", "in": "body", "schema": schema});
                if required {
                    body["required"] = Value::Bool(true);
                }
                parameters.push(body);
                out["consumes"] = json!(body_types);
            }
        }
        if !parameters.is_empty() {
            out["parameters"] = Value::Array(parameters);
        }
        let answer_types = self.answer_types(operation);
        let answer = self.reference(operation.answer, operation).unwrap_or_else(|| json!({"type": "string"}));
        if self.version == Version::V2 {
            out["produces"] = json!(answer_types);
        }
        out["responses"] = json!({"401": {"description": "Unauthorized"}});
        for code in operation.codes {
            let description = match code {
                201 => "Created",
                202 => "Accepted",
                _ => "OK",
            };
            let mut good = json!({"description": description});
            match self.version {
                Version::V3 => good["content"] = content(&answer_types, &answer),
                Version::V2 => good["schema"] = answer.clone(),
            }
            out["responses"][code.to_string()] = good;
        }
        out
    }

    /// What a body may be written in. Upstream does not say it of built-in kinds.
    fn types(&self, content: Content, strategic: bool) -> Vec<&'static str> {
        match content {
            Content::Patch => PATCH_TYPES[..if strategic { 4 } else { 3 }].to_vec(),
            _ if strategic => vec!["*/*"],
            _ => OBJECT_TYPES[..2].to_vec(),
        }
    }

    fn answer_types(&self, operation: &Operation) -> Vec<&'static str> {
        let mut types = OBJECT_TYPES[..if self.endpoint.resource.is_custom() { 2 } else { 3 }].to_vec();
        match operation.answer {
            Content::Stream => return vec!["*/*"],
            Content::Text => types.push("text/plain"),
            Content::List | Content::Event if operation.strategic => types.extend(STREAM_TYPES),
            _ => {}
        }
        types
    }

    /// A reference to the schema of a body or an answer; `None` for those without one.
    fn reference(&self, content: Content, operation: &Operation) -> Option<Value> {
        let name = match content {
            Content::None | Content::Stream | Content::Text => return None,
            Content::Object => self.schemas.name_of(&operation.kind)?.to_owned(),
            Content::List => self.schemas.list_name_of(self.endpoint)?,
            Content::Patch => self.names.patch.clone(),
            Content::DeleteOptions => self.names.delete_options.clone(),
            Content::Status => self.names.status.clone(),
            Content::Event => self.names.watch_event.clone(),
        };
        Some(self.version.reference(&name, Map::new()))
    }

    fn query(&self, parameter: &Parameter) -> Value {
        let about = json!({"name": parameter.name, "in": "query", "description": parameter.description});
        self.typed(about, parameter.type_)
    }

    /// v2 writes the type of a parameter beside its name, v3 in a schema.
    fn typed(&self, mut parameter: Value, type_: &str) -> Value {
        match self.version {
            Version::V3 => parameter["schema"] = json!({"type": type_, "uniqueItems": true}),
            Version::V2 => {
                parameter["type"] = json!(type_);
                parameter["uniqueItems"] = json!(true);
            }
        }
        parameter
    }
}

fn content(types: &[&str], schema: &Value) -> Value {
    let entries = types.iter().map(|media_type| ((*media_type).to_owned(), json!({"schema": schema})));
    Value::Object(entries.collect())
}

/// The tag of a group and version: `apps_v1`, `core_v1`.
fn tag(endpoint: &Endpoint) -> String {
    format!("{}_{}", group_tag(&endpoint.definition().group), endpoint.version().name)
}
