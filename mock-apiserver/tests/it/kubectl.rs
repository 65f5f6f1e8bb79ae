//! What the installed kubectls make of the server's answers.

use testkit::{Kubectl, TestServer};

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: nginx}]}
";

const WIDGETS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.ex.io}
spec:
  group: ex.io
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Color, type: string, jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        description: A widget is a thing.
        properties:
          spec:
            type: object
            required: [color]
            properties:
              color: {type: string, description: Its color., enum: [red, green]}
              port: {x-kubernetes-int-or-string: true, description: A port.}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
              tags: {type: array, items: {type: string}}
              limits: {type: object, additionalProperties: {type: integer}}
";

/// What `explain widget.spec` prints, without empty lines.
const WIDGET_SPEC: &str = "\
GROUP: ex.io
KIND: Widget
VERSION: v1
FIELD: spec <Object>
DESCRIPTION:
<empty>
FIELDS:
color <string> -required-
enum: red, green
Its color.
free <Object>
<no description>
limits <map[string]integer>
<no description>
port <Object>
A port.
tags <[]string>
<no description>";

/// The same from the v2 document.
const WIDGET_SPEC_V2: &str = "\
KIND: Widget
VERSION: ex.io/v1
RESOURCE: spec <Object>
DESCRIPTION:
<empty>
FIELDS:
color <string> -required-
Its color.
free <>
limits <map[string]integer>
port <>
A port.
tags <[]string>";

/// The end of what `explain widget --recursive` prints: the fields that are not of the metadata.
const WIDGET_TREE: &str = "\
spec <Object>
color <string> -required-
enum: red, green
free <Object>
limits <map[string]integer>
port <Object>
tags <[]string>";

fn server() -> TestServer {
    TestServer::start().expect("a server")
}

/// The rows of a printed table, words separated by single spaces.
fn rows(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn discovery_reads_the_same_in_every_version() {
    let server = server();
    for kubectl in Kubectl::every_version(&server) {
        let resources = rows(&kubectl.run("api-resources").ok());
        for row in [
            "pods po v1 true Pod",
            "deployments deploy apps/v1 true Deployment",
            "resourceclaims resource.k8s.io/v1 true ResourceClaim",
            "customresourcedefinitions crd,crds apiextensions.k8s.io/v1 false CustomResourceDefinition",
        ] {
            assert!(resources.iter().any(|found| found == row), "{}: no {row:?}", kubectl.binary().display());
        }
        let versions = kubectl.run("api-versions").ok();
        assert!(versions.lines().any(|line| line == "resource.k8s.io/v1alpha2"), "{versions}");
        assert!(kubectl.run("version -o json").ok().contains("\"serverVersion\""));
    }
}

#[test]
fn objects_print_in_every_format_and_version() {
    let server = server();
    for kubectl in Kubectl::every_version(&server) {
        assert_eq!(kubectl.apply(DEPLOYMENT).ok(), "deployment.apps/web created\n");
        assert_eq!(kubectl.apply(DEPLOYMENT).ok(), "deployment.apps/web unchanged\n");
        let wide = rows(&kubectl.run("get deploy -o wide").ok());
        assert_eq!(wide[0], "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR");
        assert!(wide[1].starts_with("web 0/2 0 0 ") && wide[1].ends_with(" main nginx app=web"), "{wide:?}");
        assert_eq!(kubectl.run("get deploy -o name").ok(), "deployment.apps/web\n");
        let custom = kubectl.run("get deploy web -o custom-columns=NAME:.metadata.name,N:.spec.replicas").ok();
        assert_eq!(rows(&custom), ["NAME N", "web 2"]);
        assert!(kubectl.run("get deploy web -o yaml").ok().starts_with("apiVersion: apps/v1\nkind: Deployment\n"));
        assert!(kubectl.run("get deploy web -o json").ok().contains("\"kind\": \"Deployment\""));
        assert!(kubectl.run("get --raw /apis/apps/v1").ok().contains("\"deployments/scale\""));
        kubectl.run("delete deploy web").ok();
    }
}

#[test]
fn generators_that_send_protobuf_are_understood() {
    let server = server();
    for kubectl in Kubectl::every_version(&server) {
        kubectl.run("create deployment d --image=nginx --replicas=0").ok();
        assert_eq!(kubectl.run("get deploy d -o jsonpath={.spec.replicas}").ok(), "0");
        kubectl.run("create configmap c --from-literal=a=b").ok();
        assert_eq!(kubectl.run("get configmap c -o jsonpath={.data.a}").ok(), "b");
        kubectl.run("create secret generic s --from-literal=a=b").ok();
        assert_eq!(kubectl.run("get secret s -o jsonpath={.data.a}").ok(), "Yg==");
        kubectl.run("create role r --verb=get,list --resource=pods").ok();
        assert_eq!(kubectl.run("get role r -o jsonpath={.rules[0].verbs}").ok(), r#"["get","list"]"#);
        kubectl.run("delete deploy/d cm/c secret/s role/r").ok();
    }
}

#[test]
fn explain_reads_well_for_every_sort_of_kind() {
    let server = server();
    for kubectl in Kubectl::every_version(&server) {
        kubectl.apply(WIDGETS).ok();
        kubectl.run("wait --for=condition=Established crd/widgets.ex.io --timeout=10s").ok();
        let field = kubectl.run("explain deployment.spec.replicas").ok();
        assert!(field.contains("FIELD: replicas <integer>") && field.contains("Number of desired pods"), "{field}");
        let tree = kubectl.run("explain pod --recursive").ok();
        assert!(tree.contains("terminationGracePeriodSeconds\t<integer>"), "{tree}");
        let old = kubectl.run("explain deployment.spec --output=plaintext-openapiv2").ok();
        assert!(old.contains("RESOURCE: spec <Object>"), "{old}");
        let prototype = kubectl.run("explain resourceclaim.spec.requests --api-version=resource.k8s.io/v1alpha2").ok();
        assert!(prototype.contains("VERSION:    v1alpha2"), "{prototype}");
        let custom = kubectl.run("explain widget.spec.color").ok();
        assert!(custom.contains("FIELD: color <string>") && custom.contains("Its color."), "{custom}");
        let program = kubectl.binary().display().to_string();
        for (command, wanted) in [
            ("explain widget.spec", WIDGET_SPEC),
            ("explain widget.spec --output=plaintext-openapiv2", WIDGET_SPEC_V2),
            ("explain widget --recursive", WIDGET_TREE),
        ] {
            let found = kubectl.run(command).ok();
            // kubectl 1.27 does not know enumerations.
            let has_enums = found.contains("enum: ");
            let wanted = rows(wanted).into_iter().filter(|row| has_enums || !row.starts_with("enum: "));
            let found: Vec<String> = rows(&found).into_iter().filter(|row| !row.is_empty()).collect();
            assert!(found.ends_with(&wanted.collect::<Vec<_>>()), "{program} {command}: {found:?}");
        }
        kubectl.run("delete crd widgets.ex.io").ok();
    }
}
