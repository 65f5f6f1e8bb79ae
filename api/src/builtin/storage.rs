//! `storage.k8s.io`: v1, and the older version of attributes of volumes, which has the same fields.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::storage::{v1 as api, v1beta1};

use super::cells::{NONE, or};
use super::column::{age, boolean, integer, name, name_and_creation, text};
use super::formats::{
    at_least, csi_driver as csi_driver_name, invalid, label_selector, not_negative, optional_one_of, present_one_of,
    quantity_not_negative, required_name, selector_as_shown,
};
use super::node_labels;
use super::pointer::{self, default_to, is_true, list, texts};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::check::{immutable, immutable_printed};
use crate::definition::KeptMetadata;
use crate::definition::{Cell, Column};
use crate::format::Errors;
use crate::members::same;
use machinery::field::{Error, Path};
use machinery::label;
use machinery::meta;
use serde_json::{Value, json};

const GROUP: &str = "storage.k8s.io";

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    let conditional = Rules { unconditional_update: false, ..Rules::PLAIN };
    vec![
        kind(GROUP, "CSIDriver", "csidrivers")
            .cluster()
            .version("v1", schema_of::<api::CSIDriver>, csi_driver())
            .delete_returns_object()
            .rules(Rules {
                generation: true,
                // Upstream counts changes alone.
                prepare_for_create: |driver, _| drop(meta::remove(driver, "generation")),
                default: default_driver,
                validate: validate_driver,
                validate_change: driver_change,
                warnings: driver_warnings,
                ..conditional
            }),
        kind(GROUP, "CSINode", "csinodes")
            .cluster()
            .version("v1", schema_of::<api::CSINode>, csi_node())
            .delete_returns_object()
            .rules(Rules { validate: validate_node, validate_change: node_change, ..conditional }),
        kind(GROUP, "CSIStorageCapacity", "csistoragecapacities")
            .version("v1", schema_of::<api::CSIStorageCapacity>, name_and_creation())
            .rules(Rules { validate: validate_capacity, validate_change: capacity_change, ..conditional }),
        kind(GROUP, "StorageClass", "storageclasses")
            .cluster()
            .short(&["sc"])
            .version("v1", schema_of::<api::StorageClass>, storage_class())
            .delete_returns_object()
            .rules(Rules {
                default: default_class,
                validate: validate_class,
                warnings: |class, _| class_warnings(class),
                validate_change: class_change,
                ..Rules::PLAIN
            }),
        kind(GROUP, "VolumeAttachment", "volumeattachments")
            .cluster()
            .version("v1", schema_of::<api::VolumeAttachment>, volume_attachment())
            .status()
            .delete_returns_object()
            .rules(Rules {
                unconditional_update: false,
                status_keeps: KeptMetadata::All,
                initial_status: |_| json!({"attached": false}),
                validate: validate_attachment,
                validate_change: attachment_change,
                validate_subresource: |attachment, _, _| validate_attachment_status(attachment),
                ..Rules::WITH_STATUS
            }),
        kind(GROUP, "VolumeAttributesClass", "volumeattributesclasses")
            .cluster()
            .short(&["vac"])
            .version("v1", schema_of::<api::VolumeAttributesClass>, volume_attributes_class())
            .version("v1beta1", schema_of::<v1beta1::VolumeAttributesClass>, volume_attributes_class())
            .deprecated(
                "storage.k8s.io/v1beta1 VolumeAttributesClass is deprecated in v1.34+, unavailable in v1.37+; use \
                 storage.k8s.io/v1 VolumeAttributesClass",
            )
            .delete_returns_object()
            .rules(Rules {
                validate: validate_attributes_class,
                validate_update: Some(update_attributes_class),
                ..Rules::PLAIN
            }),
    ]
}

fn csi_driver() -> Vec<Column> {
    vec![
        name(),
        boolean("AttachRequired", "Whether volumes are attached before they are mounted.", |object, _| {
            object.pointer("/spec/attachRequired").and_then(Value::as_bool).unwrap_or(true).into()
        }),
        boolean("PodInfoOnMount", "Whether the driver is told about the pod.", |object, _| {
            is_true(object, "/spec/podInfoOnMount").into()
        }),
        boolean("StorageCapacity", "Whether the driver publishes its capacity.", |object, _| {
            is_true(object, "/spec/storageCapacity").into()
        }),
        text("TokenRequests", "Audiences of the tokens that the driver gets.", |object, _| {
            let requests = list(object, "/spec/tokenRequests").iter();
            let audiences = requests.map(|request| pointer::text(request, "/audience")).collect::<Vec<_>>();
            if audiences.is_empty() { "<unset>".into() } else { audiences.join(",").into() }
        }),
        boolean("RequiresRepublish", "Whether volumes are published again and again.", |object, _| {
            is_true(object, "/spec/requiresRepublish").into()
        }),
        text("Modes", "Life cycles of volumes that the driver supports.", |object, _| {
            or(&texts(object, "/spec/volumeLifecycleModes").collect::<Vec<_>>().join(","), NONE).into()
        }),
        age(),
    ]
}

fn csi_node() -> Vec<Column> {
    vec![
        name(),
        integer("Drivers", "How many drivers the node has.", |object, _| list(object, "/spec/drivers").len().into()),
        age(),
    ]
}

const STORAGE_DEFAULT: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const ATTRIBUTES_DEFAULT: &[&str] = &["volumeattributesclass.alpha.kubernetes.io/is-default-class"];

/// The name, marked when the class is the default one.
fn marked(class: &Value, annotations: &[&str]) -> String {
    let is_default = annotations.iter().any(|key| meta::annotation(class, key) == Some("true"));
    format!("{}{}", meta::name(class), if is_default { " (default)" } else { "" })
}

fn storage_class() -> Vec<Column> {
    vec![
        Column { cell: Cell::Computed(|object, _| marked(object, STORAGE_DEFAULT).into()), ..name() },
        text("Provisioner", "Who makes the volumes.", |object, _| pointer::text(object, "/provisioner").into()),
        text("ReclaimPolicy", "What becomes of a volume when its claim goes.", |object, _| {
            or(pointer::text(object, "/reclaimPolicy"), "Delete").into()
        }),
        text("VolumeBindingMode", "When a volume is chosen.", |object, _| {
            or(pointer::text(object, "/volumeBindingMode"), "Immediate").into()
        }),
        text("AllowVolumeExpansion", "Whether volumes may grow.", |object, _| {
            is_true(object, "/allowVolumeExpansion").into()
        }),
        age(),
    ]
}

fn volume_attachment() -> Vec<Column> {
    vec![
        name(),
        text("Attacher", "Who attaches the volume.", |object, _| pointer::text(object, "/spec/attacher").into()),
        text("PV", "Volume that is attached.", |object, _| {
            pointer::text(object, "/spec/source/persistentVolumeName").into()
        }),
        text("Node", "Node that it is attached to.", |object, _| pointer::text(object, "/spec/nodeName").into()),
        boolean("Attached", "Whether it is attached.", |object, _| is_true(object, "/status/attached").into()),
        age(),
    ]
}

fn volume_attributes_class() -> Vec<Column> {
    vec![
        Column { cell: Cell::Computed(|object, _| marked(object, ATTRIBUTES_DEFAULT).into()), ..name() },
        text("DriverName", "Driver that knows the attributes.", |object, _| {
            pointer::text(object, "/driverName").into()
        }),
        age(),
    ]
}

fn default_driver(driver: &mut Value) {
    default_to(driver, "/spec", "attachRequired", true);
    default_to(driver, "/spec", "podInfoOnMount", false);
    default_to(driver, "/spec", "storageCapacity", false);
    default_to(driver, "/spec", "fsGroupPolicy", "ReadWriteOnceWithFSType");
    default_to(driver, "/spec", "requiresRepublish", false);
    default_to(driver, "/spec", "seLinuxMount", false);
    if list(driver, "/spec/volumeLifecycleModes").is_empty() {
        pointer::object_mut(driver, "/spec")
            .map(|spec| spec.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"])));
    }
}

fn default_class(class: &mut Value) {
    default_to(class, "", "reclaimPolicy", "Delete");
    default_to(class, "", "volumeBindingMode", "Immediate");
}

/// A name in the form of a label key, which upstream looks at in lower case.
fn lower_key_errors(name: &str) -> Vec<String> {
    label::key_errors(&name.to_lowercase())
}

/// Least time that a token is good, in seconds, and least time between two updates of what a node can hold.
const TOKEN_SECONDS_MIN: i64 = 600;
const UPDATE_SECONDS_MIN: i64 = 10;

fn validate_driver(driver: &Value) -> Errors {
    let mut errors = Vec::new();
    csi_driver_name(&mut errors, &Path::new("name"), meta::name(driver));
    let path = Path::new("spec");
    let spec = driver.get("spec").unwrap_or(&Value::Null);
    for member in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        if !pointer::has(spec, &format!("/{member}")) {
            errors.push(Error::required(&path.child(member), ""));
        }
    }
    for mode in list(spec, "/volumeLifecycleModes") {
        let modes = ["Persistent", "Ephemeral"];
        present_one_of(&mut errors, &path.child("volumeLifecycleModes"), Some(mode), &modes);
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    present_one_of(&mut errors, &path.child("fsGroupPolicy"), spec.get("fsGroupPolicy"), &policies);
    token_requests(&mut errors, &path.child("tokenRequests"), spec);
    let seconds = spec.get("nodeAllocatableUpdatePeriodSeconds").unwrap_or(&Value::Null);
    if seconds.as_i64().is_some_and(|seconds| seconds < UPDATE_SECONDS_MIN) {
        let detail = format!("must be greater than or equal to {UPDATE_SECONDS_MIN} seconds");
        errors.push(Error::invalid(&path.child("nodeAllocatableUpdatePeriodSeconds"), seconds, &detail));
    }
    errors
}

fn token_requests(errors: &mut Errors, path: &Path, spec: &Value) {
    let mut audiences = BTreeSet::new();
    for (index, request) in list(spec, "/tokenRequests").iter().enumerate() {
        let path = path.index(index);
        let audience = pointer::text(request, "/audience");
        if !audiences.insert(audience) {
            errors.push(Error::duplicate(&path.child("audience"), &audience.into()));
            continue;
        }
        let Some(value) = request.get("expirationSeconds").filter(|value| !value.is_null()) else { continue };
        let path = path.child("expirationSeconds");
        let seconds = value.as_i64().unwrap_or_default();
        if seconds < TOKEN_SECONDS_MIN {
            errors.push(Error::invalid(&path, value, "may not specify a duration less than 10 minutes"));
        } else if seconds > 1 << 32 {
            errors.push(Error::invalid(&path, value, "may not specify a duration larger than 2^32 seconds"));
        }
    }
}

/// What of a driver never changes. The name of the first member is upstream's.
fn driver_change(driver: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for (member, shown) in [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")] {
        let [new, was] = [driver, old].map(|driver| driver.pointer("/spec").and_then(|spec| spec.get(member)));
        immutable(&mut errors, &Path::new("spec").child(shown), new, was);
    }
    errors
}

/// A driver that comes to get tokens should say where.
fn driver_warnings(driver: &Value, old: Option<&Value>) -> Vec<String> {
    let unset = !pointer::has(driver, "/spec/serviceAccountTokenInSecrets");
    let text = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent \
                possible logging of tokens in volume attributes";
    let requests = list(driver, "/spec/tokenRequests");
    let are_new = !requests.is_empty() && old.is_none_or(|old| list(old, "/spec/tokenRequests") != requests);
    (unset && are_new).then(|| text.to_owned()).into_iter().collect()
}

/// Longest name by which a driver knows a node, in bytes.
const NODE_ID_MAX: usize = 256;

fn validate_node(node: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec").child("drivers");
    let mut names = BTreeSet::new();
    for (index, driver) in list(node, "/spec/drivers").iter().enumerate() {
        let path = path.index(index);
        let (name, id) = (pointer::text(driver, "/name"), pointer::text(driver, "/nodeID"));
        csi_driver_name(&mut errors, &path.child("name"), name);
        if id.is_empty() {
            errors.push(Error::required(&path.child("nodeID"), ""));
        } else if id.len() > NODE_ID_MAX {
            let detail = format!("must be {NODE_ID_MAX} characters or less");
            errors.push(Error::invalid(&path.child("nodeID"), &id.into(), &detail));
        }
        let allocatable = driver.get("allocatable").unwrap_or(&Value::Null);
        not_negative(&mut errors, &path.child("allocatable"), allocatable, "count");
        if !names.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), &name.into()));
        }
        let mut keys = BTreeSet::new();
        for key in texts(driver, "/topologyKeys") {
            if !keys.insert(key) {
                errors.push(Error::duplicate(&path, &key.into()));
                continue;
            }
            if key.is_empty() {
                errors.push(Error::required(&path, ""));
            }
            invalid(&mut errors, &path, &key.into(), label::key_errors(key));
        }
    }
    errors
}

/// A driver of a node stays as it is, but for what it can hold.
fn node_change(node: &Value, old: &Value) -> Errors {
    let fixed = |driver: &Value| {
        let keys = driver.get("topologyKeys").cloned().unwrap_or_default();
        (pointer::text(driver, "/nodeID").to_owned(), keys)
    };
    let mut errors = Vec::new();
    for driver in list(node, "/spec/drivers") {
        let name = pointer::text(driver, "/name");
        let was = list(old, "/spec/drivers").iter().find(|was| pointer::text(was, "/name") == name);
        if was.is_none_or(|was| fixed(was) == fixed(driver)) {
            continue;
        }
        let keys = driver.get("topologyKeys").unwrap_or(&Value::Null);
        let count = driver.pointer("/allocatable/count");
        let count = count.map_or("null".to_owned(), |count| format!("{{\"Count\":{count}}}"));
        let shown = format!(
            "{{\"Name\":{},\"NodeID\":{},\"TopologyKeys\":{keys},\"Allocatable\":{count}}}",
            Value::from(name),
            Value::from(pointer::text(driver, "/nodeID")),
        );
        errors.push(Error::invalid_shown(&Path::new("spec").child("drivers"), &shown, "field is immutable"));
    }
    errors
}

fn validate_capacity(capacity: &Value) -> Errors {
    let mut errors = Vec::new();
    let class = pointer::text(capacity, "/storageClassName");
    invalid(
        &mut errors,
        &Path::new("storageClassName"),
        &class.into(),
        machinery::names::dns1123_subdomain_errors(class),
    );
    for member in ["capacity", "maximumVolumeSize"] {
        quantity_not_negative(&mut errors, &Path::new(member), capacity.get(member).unwrap_or(&Value::Null));
    }
    if let Some(topology) = capacity.get("nodeTopology").filter(|topology| !topology.is_null()) {
        label_selector(&mut errors, &Path::new("nodeTopology"), topology);
    }
    errors
}

/// Where the capacity is, and of which class, stays.
fn capacity_change(capacity: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let topology = |capacity: &Value| capacity.get("nodeTopology").cloned();
    immutable_printed(
        &mut errors,
        &Path::new("nodeTopology"),
        topology(capacity).as_ref(),
        topology(old).as_ref(),
        |selector| if selector.is_null() { "null".to_owned() } else { selector_as_shown(selector) },
    );
    let [new, was] = [capacity, old].map(|capacity| Value::from(pointer::text(capacity, "/storageClassName")));
    immutable(&mut errors, &Path::new("storageClassName"), Some(&new), Some(&was));
    errors
}

fn validate_class(class: &Value) -> Errors {
    let mut errors = Vec::new();
    let provisioner = pointer::text(class, "/provisioner");
    required_name(&mut errors, &Path::new("provisioner"), &provisioner.to_lowercase(), label::key_errors);
    if let Some((key, _)) = pointer::members(class, "/parameters").find(|(key, _)| key.is_empty()) {
        errors.push(Error::invalid(&Path::new("parameters"), &key.into(), "field can not be empty."));
    }
    // The empty policy is taken, as upstream takes it.
    let policy = pointer::text(class, "/reclaimPolicy");
    optional_one_of(&mut errors, &Path::new("reclaimPolicy"), policy, &["Delete", "Retain"]);
    let modes = ["Immediate", "WaitForFirstConsumer"];
    present_one_of(&mut errors, &Path::new("volumeBindingMode"), class.get("volumeBindingMode"), &modes);
    topologies(&mut errors, class);
    errors
}

/// A class makes volumes the same way for as long as it lives.
fn class_change(class: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let fixed = |class: &Value, member: &str| class.get(member).cloned();
    for member in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        let (new, was) = (fixed(class, member), fixed(old, member));
        let nothing = if member == "parameters" { Value::Null } else { "".into() };
        immutable(&mut errors, &Path::new(member), Some(&new.unwrap_or(nothing)), was.as_ref());
    }
    errors
}

/// Topologies by labels that nobody should use any more.
fn class_warnings(class: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (term, topology) in list(class, "/allowedTopologies").iter().enumerate() {
        for (index, expression) in list(topology, "/matchLabelExpressions").iter().enumerate() {
            if let Some(message) = node_labels::deprecated(pointer::text(expression, "/key")) {
                let path = Path::new("allowedTopologies").index(term).child("matchLabelExpressions").index(index);
                warnings.push(format!("{}: {message}", path.child("key")));
            }
        }
    }
    warnings
}

/// Where volumes of a class may be: no two terms say the same, and each says something.
fn topologies(errors: &mut Errors, class: &Value) {
    let path = Path::new("allowedTopologies");
    let mut terms: Vec<BTreeMap<&str, BTreeSet<&str>>> = Vec::new();
    for (index, term) in list(class, "/allowedTopologies").iter().enumerate() {
        let path = path.index(index).child("matchLabelExpressions");
        let mut seen = BTreeMap::new();
        for (index, expression) in list(term, "/matchLabelExpressions").iter().enumerate() {
            let path = path.index(index);
            let (key, mut values) = (pointer::text(expression, "/key"), BTreeSet::new());
            if list(expression, "/values").is_empty() {
                errors.push(Error::required(&path.child("values"), ""));
            }
            for (index, value) in texts(expression, "/values").enumerate() {
                if !values.insert(value) {
                    errors.push(Error::duplicate(&path.child("values").index(index), &value.into()));
                }
            }
            invalid(errors, &path.child("key"), &key.into(), label::key_errors(key));
            if seen.insert(key, values).is_some() {
                errors.push(Error::duplicate(&path.child("key"), &key.into()));
            }
        }
        if terms.contains(&seen) {
            errors.push(Error::duplicate(&path, &"".into()));
        }
        terms.push(seen);
    }
}

fn validate_attachment(attachment: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let (attacher, node) = (pointer::text(attachment, "/spec/attacher"), pointer::text(attachment, "/spec/nodeName"));
    csi_driver_name(&mut errors, &path.child("attacher"), attacher);
    let source = |member: &str| pointer::has(attachment, &format!("/spec/source/{member}"));
    let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (source("inlineVolumeSpec"), source("persistentVolumeName")) {
        (false, false) => errors.push(Error::required(&path.child("source"), detail)),
        (true, true) => errors.push(Error::forbidden(&path.child("source"), detail)),
        (false, true) => {
            let name = pointer::text(attachment, "/spec/source/persistentVolumeName");
            let path = path.child("source").child("persistentVolumeName");
            if name.is_empty() {
                errors.push(Error::required(&path, "must specify non empty persistentVolumeName"));
            }
            invalid(&mut errors, &path, &name.into(), machinery::names::dns1123_subdomain_errors(name));
        }
        (true, false) => {}
    }
    invalid(&mut errors, &path.child("nodeName"), &node.into(), machinery::names::dns1123_subdomain_errors(node));
    errors
}

/// What is attached where stays.
fn attachment_change(attachment: &Value, old: &Value) -> Errors {
    let [new, was] = [attachment, old].map(|attachment| attachment.get("spec"));
    if same(new, was) {
        return Vec::new();
    }
    let part = |pointer: &str| attachment.pointer(pointer).cloned();
    let text = |pointer: &str| part(pointer).unwrap_or_else(|| "".into());
    let shown = format!(
        "{{\"Attacher\":{},\"Source\":{{\"PersistentVolumeName\":{},\"InlineVolumeSpec\":{}}},\"NodeName\":{}}}",
        text("/spec/attacher"),
        part("/spec/source/persistentVolumeName").unwrap_or_default(),
        part("/spec/source/inlineVolumeSpec").unwrap_or_default(),
        text("/spec/nodeName"),
    );
    vec![Error::invalid_shown(&Path::new("spec"), &shown, "field is immutable")]
}

fn validate_attachment_status(attachment: &Value) -> Errors {
    let mut errors = Vec::new();
    for member in ["attachError", "detachError"] {
        let fault = attachment.pointer("/status").and_then(|status| status.get(member)).unwrap_or(&Value::Null);
        let path = Path::new("status").child(member);
        at_least(&mut errors, &path, fault, "errorCode", 0, "must be between 0 and 2147483647, inclusive");
    }
    errors
}

fn validate_attributes_class(class: &Value) -> Errors {
    let mut errors = Vec::new();
    let driver = pointer::text(class, "/driverName");
    required_name(&mut errors, &Path::new("driverName"), &driver.to_lowercase(), lower_key_errors);
    match pointer::members(class, "/parameters").next() {
        None => errors.push(Error::required(&Path::new("parameters"), "must contain at least one key/value pair")),
        Some(_) if pointer::members(class, "/parameters").any(|(key, _)| key.is_empty()) => {
            errors.push(Error::invalid(&Path::new("parameters"), &"".into(), "field can not be empty."));
        }
        Some(_) => {}
    }
    errors
}

/// A class of attributes means the same for as long as it lives.
fn update_attributes_class(class: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for member in ["driverName", "parameters"] {
        if !same(class.get(member), old.get(member)) {
            errors.push(Error::forbidden(&Path::new(member), &format!("updates to {member} are forbidden.")));
        }
    }
    errors.extend(validate_attributes_class(class));
    errors
}
