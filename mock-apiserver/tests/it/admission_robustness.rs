//! Policies, definitions, limits and quotas of any form: each is taken or refused, and the server goes on.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::client::{CONFIG_MAPS, Client, PODS, config_map, pod};

/// Longest time that a handful of requests may take.
const PATIENCE: Duration = Duration::from_secs(60);

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Runs requests against a server of their own, and asserts that they come to an end and that it still serves.
fn with_server<F: Future<Output = ()>>(work: impl FnOnce(Client) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = Client::start().await;
        tokio::time::timeout(PATIENCE, work(client)).await.expect("the requests end");
    });
}

fn tokens() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "object",
        "oldObject",
        "request",
        "params",
        "variables",
        "authorizer",
        "namespaceObject",
        ".",
        ".data",
        ".key",
        ".metadata",
        ".name",
        ".a",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "'x'",
        "1",
        "2.5",
        "true",
        "null",
        "==",
        "!=",
        "&&",
        "||",
        "!",
        "+",
        "-",
        "*",
        "/",
        "%",
        "<",
        "in",
        "?",
        ":",
        ",",
        "has(",
        "size(",
        ".map(k, ",
        ".all(k, ",
        ".exists(k, ",
        "Object{",
        "Object.metadata{",
        "JSONPatch{",
        "op:",
        "path:",
        "value:",
        ".orValue(",
        ".?",
        "optional.of(",
        "dyn(",
        "string(",
        "int(",
        ".check('get')",
        ".allowed()",
        ".group('')",
        ".resource('pods')",
        "quantity('1')",
        "cel.bind(x, ",
        "\n",
        "\"",
    ]);
    prop::collection::vec(token, 1..12).prop_map(|tokens| tokens.join(" "))
}

/// A document of words that APIs use.
fn document() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "type",
        "properties",
        "items",
        "object",
        "array",
        "string",
        "integer",
        "spec",
        "status",
        "x-kubernetes-validations",
        "rule",
        "self",
        "default",
        "required",
        "additionalProperties",
        "format",
        "pattern",
        "enum",
        "allOf",
        "not",
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
        "map",
        "set",
        "x-kubernetes-list-map-keys",
        "limits",
        "max",
        "min",
        "cpu",
        "memory",
        "Container",
        "Pod",
        "hard",
        "pods",
        "1",
        "1Gi",
        "-1",
        "1e999",
        "resources",
        "requests",
        "(",
        "*",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|members| {
                let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(members.collect::<Map<_, _>>())
            }),
        ]
    })
}

fn about_config_maps() -> Value {
    json!({"resourceRules": [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]},
    ]})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn policies_of_any_expression_are_survived(
        validation in tokens(), message in tokens(), variable in tokens(), mutation in tokens(), condition in tokens(),
    ) {
        with_server(|client| async move {
            let spec = json!({
                "matchConstraints": about_config_maps(),
                "variables": [{"name": "a", "expression": variable}],
                "matchConditions": [{"name": "c", "expression": condition}],
                "validations": [{"expression": validation, "messageExpression": message}],
            });
            let mut mutating = spec.clone();
            mutating["validations"] = Value::Null;
            mutating["reinvocationPolicy"] = "IfNeeded".into();
            mutating["mutations"] = json!([
                {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": mutation}},
            ]);
            for (kind, plural, spec) in [
                ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", spec),
                ("MutatingAdmissionPolicy", "mutatingadmissionpolicies", mutating),
            ] {
                let object = |kind: String, spec: Value| json!({
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "p"}, "spec": spec,
                });
                let answer = client.post(&format!("{GROUP}/{plural}"), object(kind.to_owned(), spec)).await;
                assert!(matches!(answer.code, 201 | 400 | 422), "{}", answer.body);
                let binding = json!({"policyName": "p", "validationActions": ["Deny"]});
                let bindings = plural.replace("policies", "policybindings");
                client.post(&format!("{GROUP}/{bindings}"), object(format!("{kind}Binding"), binding)).await;
            }
            let answer = client.post(CONFIG_MAPS, config_map("a", "1")).await;
            assert!(matches!(answer.code, 201 | 403 | 422), "{}", answer.body);
            assert_eq!(client.get("/api/v1/namespaces/default").await.code, 200);
        });
    }

    #[test]
    fn definitions_of_any_schema_are_survived(schema in document(), more in document()) {
        with_server(|client| async move {
            let version = json!({
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "additionalPrinterColumns": more, "selectableFields": more, "subresources": more,
            });
            for version in [version.clone(), json!({
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": version["schema"]["openAPIV3Schema"]}}},
            })] {
                let crd = json!({
                    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                    "metadata": {"name": "things.ex.io"},
                    "spec": {
                        "group": "ex.io", "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"},
                        "versions": [version],
                    },
                });
                let answer = client.post(CRDS, crd).await;
                assert!(matches!(answer.code, 201 | 400 | 409 | 422), "{}", answer.body);
                let thing = json!({"apiVersion": "ex.io/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": more});
                let answer = client.post("/apis/ex.io/v1/things", thing).await;
                assert!(answer.code < 500, "{}", answer.body);
            }
            assert_eq!(client.get("/openapi/v3").await.code, 200);
        });
    }

    #[test]
    fn limits_and_quotas_of_any_amount_are_survived(limits in document(), hard in document(), resources in document()) {
        with_server(|client| async move {
            let range = json!({
                "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "r"},
                "spec": {"limits": [{"type": "Container", "max": limits, "min": limits, "maxLimitRequestRatio": limits}]},
            });
            let quota = json!({
                "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard},
            });
            client.post("/api/v1/namespaces/default/limitranges", range).await;
            client.post("/api/v1/namespaces/default/resourcequotas", quota).await;
            let mut asking = pod("p");
            asking["spec"]["containers"][0]["resources"] = json!({"limits": resources, "requests": resources});
            let answer = client.post(PODS, asking).await;
            assert!(answer.code < 500, "{}", answer.body);
            assert_eq!(client.get("/api/v1/namespaces/default").await.code, 200);
        });
    }
}
