//! Admission policies: what they refuse, warn of and change.

use serde_json::{Value, json};

use crate::client::{CONFIG_MAPS, Client, config_map};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn rule(group: &str, resource: &str, operations: &[&str]) -> Value {
    json!({"resourceRules": [
        {"apiGroups": [group], "apiVersions": ["v1"], "operations": operations, "resources": [resource]},
    ]})
}

fn policy(name: &str, mut spec: Value) -> Value {
    if spec.get("matchConstraints").is_none() {
        spec["matchConstraints"] = rule("", "configmaps", &["CREATE", "UPDATE"]);
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name}, "spec": spec,
    })
}

fn binding(policy: &str, mut spec: Value) -> Value {
    spec["policyName"] = policy.into();
    if spec.get("validationActions").is_none() {
        spec["validationActions"] = json!(["Deny"]);
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": format!("{policy}-binding")}, "spec": spec,
    })
}

async fn install(client: &Client, name: &str, spec: Value, binding_spec: Value) {
    client.post(&format!("{GROUP}/validatingadmissionpolicies"), policy(name, spec)).await.ok();
    client.post(&format!("{GROUP}/validatingadmissionpolicybindings"), binding(name, binding_spec)).await.ok();
}

async fn install_mutating(client: &Client, name: &str, mut spec: Value) {
    if spec.get("matchConstraints").is_none() {
        spec["matchConstraints"] = rule("", "configmaps", &["CREATE", "UPDATE"]);
    }
    for (kind, plural, spec) in [
        ("MutatingAdmissionPolicy", "mutatingadmissionpolicies", spec),
        ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", json!({"policyName": name})),
    ] {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        client.post(&format!("{GROUP}/{plural}"), object).await.ok();
    }
}

#[tokio::test]
async fn a_policy_refuses_in_upstreams_words() {
    let client = Client::start().await;
    let spec = json!({"validations": [{"expression": "object.data.key != 'bad'"}]});
    install(&client, "no-bad", spec, json!({})).await;
    client.post(CONFIG_MAPS, config_map("good", "fine")).await.ok();
    let refused = client.post(CONFIG_MAPS, config_map("a", "bad")).await;
    let why = "ValidatingAdmissionPolicy 'no-bad' with binding 'no-bad-binding' denied request: \
               failed expression: object.data.key != 'bad'";
    refused.fails(422, &format!("configmaps \"a\" is forbidden: {why}"));
    assert_eq!(refused.body["reason"], "Invalid");
    assert_eq!(refused.body["details"], json!({"name": "a", "kind": "configmaps", "causes": [{"message": why}]}));
    assert_eq!(client.merge(&format!("{CONFIG_MAPS}/good"), json!({"data": {"key": "bad"}})).await.code, 422);
    assert_eq!(client.post(&format!("{CONFIG_MAPS}?dryRun=All"), config_map("b", "bad")).await.code, 422);
    client.delete(&format!("{GROUP}/validatingadmissionpolicybindings/no-bad-binding")).await.ok();
    client.post(CONFIG_MAPS, config_map("a", "bad")).await.ok();
}

#[tokio::test]
async fn messages_and_reasons_are_the_policys_own() {
    let client = Client::start().await;
    let spec = json!({
        "variables": [{"name": "n", "expression": "size(object.data.key)"}],
        "validations": [
            {"expression": "variables.n < 5", "messageExpression": "'too long: ' + string(variables.n)"},
            {"expression": "variables.n < 5", "message": " second ", "reason": "Forbidden"},
        ],
    });
    install(&client, "short", spec, json!({})).await;
    let refused = client.post(CONFIG_MAPS, config_map("a", "123456")).await;
    assert!(refused.message().ends_with("denied request: too long: 6"), "{}", refused.message());
    client.delete(&format!("{GROUP}/validatingadmissionpolicies/short")).await.ok();
    let spec = json!({"validations": [{"expression": "false", "message": " second ", "reason": "Forbidden"}]});
    client.post(&format!("{GROUP}/validatingadmissionpolicies"), policy("short", spec)).await.ok();
    let refused = client.post(CONFIG_MAPS, config_map("a", "123456")).await;
    assert_eq!((refused.code, refused.body["reason"].as_str()), (403, Some("Forbidden")));
    assert!(refused.message().ends_with("denied request: second"), "{}", refused.message());
}

#[tokio::test]
async fn actions_other_than_deny_let_pass() {
    let client = Client::start().await;
    let spec = json!({"validations": [{"expression": "false", "message": "mind the gap"}]});
    install(&client, "w", spec, json!({"validationActions": ["Warn", "Audit"]})).await;
    let answer = client.post(CONFIG_MAPS, config_map("a", "1")).await;
    let wanted = "299 - \"Validation failed for ValidatingAdmissionPolicy 'w' with binding 'w-binding': mind the gap\"";
    assert_eq!((answer.code, answer.warnings()), (201, vec![wanted]));
}

#[tokio::test]
async fn errors_count_as_the_failure_policy_says() {
    let client = Client::start().await;
    let spec = |failure_policy: &str| json!({"failurePolicy": failure_policy, "validations": [{"expression": "object.data.missing == 'x'"}]});
    install(&client, "p", spec("Fail"), json!({})).await;
    let refused = client.post(CONFIG_MAPS, config_map("a", "1")).await;
    let why = "denied request: expression 'object.data.missing == 'x'' resulted in error: no such key: missing";
    assert!(refused.message().ends_with(why), "{}", refused.message());
    let path = format!("{GROUP}/validatingadmissionpolicies/p");
    client.merge(&path, json!({"spec": {"failurePolicy": "Ignore"}})).await.ok();
    client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
}

#[tokio::test]
async fn selectors_and_conditions_narrow_what_a_policy_is_about() {
    let client = Client::start().await;
    let mut constraints = rule("", "configmaps", &["CREATE"]);
    constraints["objectSelector"] = json!({"matchLabels": {"strict": "yes"}});
    let spec = json!({
        "matchConstraints": constraints,
        "matchConditions": [{"name": "not-admin", "expression": "request.name != 'exempt'"}],
        "validations": [{"expression": "false"}],
    });
    let resources =
        json!({"matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}});
    install(&client, "p", spec, resources).await;
    let labelled = |name: &str| {
        let mut object = config_map(name, "1");
        object["metadata"]["labels"] = json!({"strict": "yes"});
        object
    };
    client.post(CONFIG_MAPS, config_map("plain", "1")).await.ok();
    client.post(CONFIG_MAPS, labelled("exempt")).await.ok();
    client.post("/api/v1/namespaces/kube-public/configmaps", labelled("elsewhere")).await.ok();
    assert_eq!(client.post(CONFIG_MAPS, labelled("strict")).await.code, 422);
}

#[tokio::test]
async fn parameters_come_from_objects() {
    let client = Client::start().await;
    let spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": rule("apps", "deployments", &["CREATE"]),
        "validations": [{"expression": "object.spec.replicas <= int(params.data.key)"}],
    });
    let reference = json!({"paramRef": {"name": "limit", "namespace": "default", "parameterNotFoundAction": "Deny"}});
    install(&client, "limit", spec, reference).await;
    let deployment = |replicas: i64| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "template": {
                "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
            }},
        })
    };
    let refused = client.post(DEPLOYMENTS, deployment(1)).await;
    let why = "denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    assert!(refused.message().ends_with(why), "{}", refused.message());
    client.post(CONFIG_MAPS, config_map("limit", "3")).await.ok();
    assert_eq!(client.post(DEPLOYMENTS, deployment(4)).await.code, 422);
    client.post(DEPLOYMENTS, deployment(3)).await.ok();
}

#[tokio::test]
async fn a_policy_with_a_bad_expression_is_not_taken() {
    let client = Client::start().await;
    let spec = json!({"validations": [{"expression": "object.data.key =="}, {"expression": "1"}]});
    let refused = client.post(&format!("{GROUP}/validatingadmissionpolicies"), policy("p", spec)).await;
    assert_eq!(refused.code, 422);
    let causes = refused.body["details"]["causes"].as_array().expect("causes");
    assert_eq!(causes[0]["field"], "spec.validations[0].expression");
    let message = causes[0]["message"].as_str().expect("a message");
    assert!(
        message.starts_with("Invalid value: \"object.data.key ==\": compilation failed: ERROR: <input>:1:"),
        "{message}"
    );
    assert_eq!(causes[1]["message"], "Invalid value: \"1\": must evaluate to bool but got int");
}

#[tokio::test]
async fn types_are_checked_and_the_result_noted() {
    let client = Client::start().await;
    let spec = json!({
        "matchConstraints": rule("apps", "deployments", &["CREATE"]),
        "validations": [{"expression": "object.spec.replicas > 1"}, {"expression": "object.replicas > 1"}],
    });
    client.post(&format!("{GROUP}/validatingadmissionpolicies"), policy("p", spec)).await.ok();
    let stored = client.get(&format!("{GROUP}/validatingadmissionpolicies/p")).await.ok();
    assert_eq!(stored["status"]["observedGeneration"], 1);
    let warnings = stored["status"]["typeChecking"]["expressionWarnings"].as_array().expect("warnings");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0]["fieldRef"], "spec.validations[1].expression");
    let text = warnings[0]["warning"].as_str().expect("text");
    let wanted =
        "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^";
    assert_eq!(text.trim_end(), wanted);
}

#[tokio::test]
async fn deletes_connections_and_bindings_are_admitted_too() {
    let client = Client::start().await;
    client.post(CONFIG_MAPS, config_map("kept", "1")).await.ok();
    let spec = json!({
        "matchConstraints": rule("", "configmaps", &["DELETE"]),
        "validations": [{"expression": "object == null && oldObject.data.key != '1'", "message": "kept"}],
    });
    install(&client, "keep", spec, json!({})).await;
    assert!(client.delete(&format!("{CONFIG_MAPS}/kept")).await.message().ends_with("denied request: kept"));
    client.post(crate::client::PODS, crate::client::pod("p")).await.ok();
    let spec = json!({
        "matchConstraints": rule("", "pods/binding", &["CREATE"]),
        "validations": [{"expression": "object.target.name != 'forbidden'", "message": "not there"}],
    });
    install(&client, "nodes", spec, json!({})).await;
    let bind = |node: &str| json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    let path = format!("{}/p/binding", crate::client::PODS);
    assert!(client.post(&path, bind("forbidden")).await.message().ends_with("denied request: not there"));
    client.post(&path, bind("allowed")).await.ok();
}

#[tokio::test]
async fn mutating_policies_apply_and_patch() {
    let client = Client::start().await;
    let apply = json!({
        "reinvocationPolicy": "IfNeeded",
        "matchConditions": [{"name": "once", "expression": "!has(object.metadata.labels) || !('seen' in object.metadata.labels)"}],
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {
            "expression": "Object{metadata: Object.metadata{labels: Object.metadata.labels{seen: 'yes'}}}",
        }}],
    });
    install_mutating(&client, "apply", apply).await;
    let patch = json!({
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {
            "expression": "[JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('a/b'), value: object.metadata.?labels.?seen.orValue('no')}]",
        }}],
    });
    install_mutating(&client, "patch", patch).await;
    let mut object = config_map("a", "1");
    object["data"]["a~1b"] = "x".into();
    object["data"] = json!({"key": "1"});
    let answer = client.post(CONFIG_MAPS, object).await;
    assert_eq!(answer.code, 422, "a key with a slash is none of a ConfigMap: {}", answer.body);
    client.delete(&format!("{GROUP}/mutatingadmissionpolicies/patch")).await.ok();
    client.delete(&format!("{GROUP}/mutatingadmissionpolicybindings/patch")).await.ok();
    let patch = json!({
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {
            "expression": "[JSONPatch{op: 'add', path: '/data/extra', value: object.metadata.?labels.?seen.orValue('no')}]",
        }}],
    });
    install_mutating(&client, "patch", patch).await;
    let created = client.post(CONFIG_MAPS, config_map("a", "1")).await.ok();
    assert_eq!(created["data"], json!({"key": "1", "extra": "yes"}));
    assert_eq!(created["metadata"]["labels"], json!({"seen": "yes"}));
}

#[tokio::test]
async fn mutating_policies_leave_what_is_owned_whole_alone() {
    let client = Client::start().await;
    let spec = json!({
        "matchConstraints": rule("", "pods", &["CREATE"]),
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
            "Object{spec: Object.spec{tolerations: [Object.spec.tolerations{operator: 'Exists'}]}}"}}],
    });
    install_mutating(&client, "p", spec).await;
    let refused = client.post(crate::client::PODS, crate::client::pod("p")).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.message(),
        "policy 'p' with binding 'p' denied request: error applying patch: invalid ApplyConfiguration: may not mutate \
         atomic arrays, maps or structs: .spec.tolerations"
    );
}

#[tokio::test]
async fn scales_are_admitted_as_scales() {
    let client = Client::start().await;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        }},
    });
    client.post(DEPLOYMENTS, deployment).await.ok();
    let spec = json!({
        "matchConstraints": rule("apps", "deployments/scale", &["UPDATE"]),
        "validations": [{
            "expression": "object.kind == 'Scale' && request.subResource == 'scale' && object.spec.replicas <= oldObject.spec.replicas + 2",
            "message": "too fast",
        }],
    });
    install(&client, "slow", spec, json!({})).await;
    let path = format!("{DEPLOYMENTS}/d/scale");
    let refused = client.merge(&path, json!({"spec": {"replicas": 9}})).await;
    assert!(refused.message().ends_with("denied request: too fast"), "{}", refused.message());
    let halve = json!({
        "matchConstraints": rule("apps", "deployments/scale", &["UPDATE"]),
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {
            "expression": "[JSONPatch{op: 'replace', path: '/spec/replicas', value: object.spec.replicas - 1}]",
        }}],
    });
    install_mutating(&client, "less", halve).await;
    assert_eq!(client.merge(&path, json!({"spec": {"replicas": 4}})).await.ok()["spec"]["replicas"], 3);
    assert_eq!(client.get(&format!("{DEPLOYMENTS}/d")).await.ok()["spec"]["replicas"], 3);
}
