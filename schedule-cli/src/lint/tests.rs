//! Files as people write them, and what is said of them.

use api::release::Release;

use super::{Finding, Severity, check_sources, source};

const SLICE: &str = r#"
apiVersion: resource.k8s.io/v1
kind: ResourceSlice
metadata: {name: s}
spec:
  driver: gpu.example.com
  nodeName: node-1
  pool: {name: node-1, generation: 1, resourceSliceCount: 1}
  devices:
  - name: gpu-0
    attributes:
      model: {string: L4}
      cores: {int: 8}
    capacity:
      memory: {value: 24Gi}
  - name: gpu-1
    attributes:
      model: {string: L4}
      cores: {int: 8}
---
apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata: {name: gpu}
spec:
  selectors:
  - cel: {expression: 'device.driver == "gpu.example.com"'}
---
"#;

/// The findings about a text, without those about what is put before it.
fn lint_with(before: &str, text: &str) -> Vec<Finding> {
    let (mut sources, mut findings) = (Vec::new(), Vec::new());
    source::parse("known.yaml", before.as_bytes(), &mut sources, &mut findings);
    source::parse("f.yaml", text.as_bytes(), &mut sources, &mut findings);
    let findings = check_sources(&sources, Release::V1_36, findings);
    findings.into_iter().filter(|finding| finding.file == "f.yaml").collect()
}

fn told(findings: &[Finding]) -> Vec<(usize, &'static str, Severity)> {
    findings.iter().map(|finding| (finding.at.line, finding.check, finding.severity)).collect()
}

/// A claim whose selector is in line 8.
fn claim(class: &str, expression: &str) -> String {
    format!(
        "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {{name: c}}\nspec:\n  devices:\n    requests:\n    - name: r\n      exactly: {{deviceClassName: {class}, selectors: [{{cel: {{expression: \n'{expression}'}}}}]}}\n"
    )
}

#[test]
fn what_is_right_is_passed_over() {
    let good = claim("gpu", r#"device.attributes["gpu.example.com"].model == "L4""#);
    assert_eq!(lint_with(SLICE, &good), []);
    assert_eq!(lint_with("", SLICE), []);
}

#[test]
fn selectors_are_tried_on_the_devices_that_there_are() {
    use Severity::{Error, Warning};
    for (class, expression, expected) in [
        ("gpu", r#"device.attributes["gpu.example.com"].modell == "L4""#, vec![(8, "selector-error", Error)]),
        ("gpu", r#"device.attributes["gpu.example.com"].model > 5"#, vec![(8, "selector-error", Error)]),
        ("gpu", r#"device.attributes["gpu.example.com"].model == "A100""#, vec![(8, "selects-nothing", Warning)]),
        (
            "gpu",
            r#"device.capacity["gpu.example.com"].memory.compareTo(quantity("1Gi")) > 0"#,
            vec![(8, "selector-error", Warning)],
        ),
        ("gpu", r#"device.attributes["gpu.example.com"].?rank.orValue(1) == 1"#, vec![(8, "published", Warning)]),
        ("gpu", "device.driver", vec![(8, "cel", Error)]),
        ("gpu", "device.attributes[", vec![(8, "cel", Error)]),
        ("other", "true", vec![(8, "unknown-class", Error)]),
    ] {
        let findings = lint_with(SLICE, &claim(class, expression));
        assert_eq!(told(&findings), expected, "{expression}: {findings:?}");
    }
    let elsewhere = lint_with("", &claim("other", "true"));
    assert_eq!(told(&elsewhere), [(8, "unknown-class", Warning)], "classes may be elsewhere");
}

#[test]
fn hints_say_what_there_is() {
    let findings = lint_with(SLICE, &claim("gpu", r#"device.attributes["gpu.example.com"].model == "A100""#));
    assert_eq!(findings[0].details, [r#"the attribute gpu.example.com/model is published as string "L4""#]);
    let findings = lint_with(SLICE, &claim("gpu", "device.attributes["));
    assert_eq!(findings[0].details.last().map(String::as_str), Some("| ..................^"), "{findings:?}");
}

#[test]
fn rules_of_the_server_hold_with_lines() {
    let text = r#"apiVersion: resource.k8s.io/v1beta1
kind: ResourceClaimTemplate
metadata: {name: t}
spec:
  spec:
    devices:
      requests:
      - name: r
        deviceClassName: gpu
        count: -1
        colour: red
      constraints:
      - matchAttribute: gpu.example.com/numa
"#;
    let findings = lint_with(SLICE, text);
    let expected = [
        (1, "deprecated", Severity::Warning),
        (10, "rule", Severity::Error),
        (11, "unknown-field", Severity::Error),
        (13, "constraint", Severity::Error),
    ];
    assert_eq!(told(&findings), expected, "{findings:?}");
}

#[test]
fn requests_that_cannot_be_met_are_told() {
    let three = r#"apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: c}
spec:
  devices:
    requests:
    - name: r
      exactly: {deviceClassName: gpu, count: 3}
"#;
    let findings = lint_with(SLICE, three);
    assert_eq!(told(&findings), [(6, "unsatisfiable", Severity::Error)], "{findings:?}");
    assert!(lint_with("", three).iter().all(|finding| finding.check == "unknown-class"));
}

#[test]
fn files_and_names_are_checked() {
    let twice = "apiVersion: resource.k8s.io/v1\nkind: DeviceClass\nmetadata: {name: gpu}\nspec: {}\n";
    assert_eq!(told(&lint_with(SLICE, twice)), [(3, "duplicate", Severity::Warning)]);
    assert_eq!(told(&lint_with("", "a: [\n")), [(1, "syntax", Severity::Error)]);
    assert_eq!(told(&lint_with("", "a: 1\n")), [(1, "kind", Severity::Error)]);
    let unserved = "apiVersion: resource.k8s.io/v1beta9\nkind: DeviceClass\nmetadata: {name: x}\n";
    assert_eq!(told(&lint_with("", unserved)), [(1, "kind", Severity::Error)]);
    let wrong = "apiVersion: resource.k8s.io/v1\nkind: DeviceClass\nmetadata: {name: x}\nspec:\n  selectors: 5\n";
    assert_eq!(told(&lint_with("", wrong)), [(5, "type", Severity::Error)]);
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: 5\n";
    assert_eq!(lint_with("", config), [], "other kinds pass");
}

#[test]
fn pools_that_contradict_themselves_are_told() {
    let pool = r#"apiVersion: resource.k8s.io/v1
kind: ResourceSlice
metadata: {name: t}
spec:
  driver: nic.example.com
  nodeName: node-1
  pool: {name: p, generation: 1, resourceSliceCount: 1}
  devices:
  - name: a
    consumesCounters: [{counterSet: none, counters: {x: {value: "1"}}}]
"#;
    assert_eq!(told(&lint_with("", pool)), [(10, "counter", Severity::Error)]);
    let whole = pool.lines().take(9).collect::<Vec<_>>().join("\n");
    let twice = format!("{whole}\n---\n{}", whole.replace("name: t", "name: u")).replace("Count: 1", "Count: 2");
    assert_eq!(told(&lint_with("", &twice)), [(7, "pool", Severity::Error)]);
}

#[test]
fn pods_name_claims_that_are_there() {
    let template = "apiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: gpus}\nspec:\n  spec:\n    devices:\n      requests:\n      - name: r\n        exactly: {deviceClassName: gpu}\n---\n";
    let pod = |template: &str, used: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec:\n  template:\n    spec:\n      resourceClaims:\n      - name: gpu\n        resourceClaimTemplateName: {template}\n      containers:\n      - name: c\n        resources:\n          claims:\n          - {used}\n"
        )
    };
    let known = format!("{SLICE}{template}");
    assert_eq!(lint_with(&known, &pod("gpus", "{name: gpu, request: r}")), []);
    assert_eq!(lint_with(SLICE, &pod("gpus", "{name: gpu, request: r}")), [], "what is elsewhere is not missed");
    let findings = lint_with(&known, &pod("gpu", "{name: gpu}"));
    assert_eq!(told(&findings), [(9, "unknown-claim", Severity::Warning)]);
    assert_eq!(findings[0].details, ["there are: gpus"]);
    let findings = lint_with(&known, &pod("gpus", "{name: gpuu}"));
    assert_eq!(told(&findings), [(14, "rule", Severity::Error)]);
    assert_eq!(findings[0].message, "no claim \"gpuu\" in the pod's resourceClaims");
    let findings = lint_with(&known, &pod("gpus", "{name: gpu, request: s}"));
    assert_eq!(told(&findings), [(14, "unknown-request", Severity::Error)]);
    assert_eq!(findings[0].message, "no request \"s\" in ResourceClaimTemplate gpus");
}

#[test]
fn it_is_said_what_to_do() {
    let advice =
        |text: &str| -> Vec<String> { lint_with("", text).into_iter().flat_map(|finding| finding.details).collect() };
    let head = |version: &str, kind: &str| {
        format!("apiVersion: resource.k8s.io/{version}\nkind: {kind}\nmetadata: {{name: c}}\n")
    };
    let claim = |version: &str, request: &str| {
        format!("{}spec: {{devices: {{requests: [{{name: r, {request}}}]}}}}\n", head(version, "ResourceClaim"))
    };
    assert_eq!(
        advice(&claim("v1", "deviceClassName: gpu")),
        ["since v1beta2 it stands under `exactly` of the request"]
    );
    assert_eq!(
        advice(&claim("v1beta1", "exactly: {deviceClassName: gpu}")),
        ["in v1beta1 the request itself has what stands under `exactly` since v1beta2"]
    );
    assert_eq!(
        advice(&format!("{}spec: {{devices: {{}}}}\n", head("v1", "ResourceClaimTemplate"))),
        ["a template has the specification of its claims under `spec.spec`"]
    );
    assert_eq!(
        advice(&head("v1", "ResourceClam")),
        ["there are the kinds DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice"]
    );
    assert!(advice(&head("v9", "ResourceClaim"))[0].starts_with("ResourceClaim is there in v1, "));
    assert!(advice(&head("v9", "ResourceClam"))[0].starts_with("there are the versions v1, "));
    assert_eq!(
        advice("metadata:\n  name: {{ .Release.Name }}-gpu\n"),
        ["it looks like a template of a chart; check what `helm template` makes of it"]
    );
    // The line is that of the value that cannot be read.
    let text = format!(
        "{}spec:\n  devices:\n    requests:\n    - name: r\n      exactly:\n        count: two\n",
        head("v1", "ResourceClaim")
    );
    assert_eq!(told(&lint_with("", &text)), [(9, "type", Severity::Error)]);
}
