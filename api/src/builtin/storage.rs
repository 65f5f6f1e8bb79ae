//! `storage.k8s.io/v1`.

use k8s_openapi::api::storage::v1 as api;

use super::cells::{NONE, or};
use super::column::{age, boolean, integer, name, name_and_creation, text};
use super::formats::{optional_one_of, present_one_of, required_name};
use super::pointer::{self, default_to, is_true, list, texts};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::check::immutable;
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
                default: default_driver,
                validate_change: |driver, old| {
                    kept(driver, old, &["/spec/attachRequired", "/spec/volumeLifecycleModes"])
                },
                ..conditional
            }),
        kind(GROUP, "CSINode", "csinodes")
            .cluster()
            .version("v1", schema_of::<api::CSINode>, csi_node())
            .delete_returns_object()
            .rules(conditional),
        kind(GROUP, "CSIStorageCapacity", "csistoragecapacities")
            .version("v1", schema_of::<api::CSIStorageCapacity>, name_and_creation())
            .rules(conditional),
        kind(GROUP, "StorageClass", "storageclasses")
            .cluster()
            .short(&["sc"])
            .version("v1", schema_of::<api::StorageClass>, storage_class())
            .delete_returns_object()
            .rules(Rules {
                default: default_class,
                validate: validate_class,
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
                initial_status: |_| json!({"attached": false}),
                validate: validate_attachment,
                validate_change: |attachment, old| kept(attachment, old, &["/spec"]),
                ..Rules::WITH_STATUS
            }),
        kind(GROUP, "VolumeAttributesClass", "volumeattributesclasses")
            .cluster()
            .short(&["vac"])
            .version("v1", schema_of::<api::VolumeAttributesClass>, volume_attributes_class())
            .delete_returns_object()
            .rules(Rules {
                validate: |class| required(class, &["driverName"]),
                validate_change: |class, old| kept(class, old, &["/driverName", "/parameters"]),
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

/// Parts of an object that never change.
fn kept(object: &Value, old: &Value, pointers: &[&str]) -> Errors {
    let mut errors = Vec::new();
    for pointer in pointers {
        let path = pointer.split('/').skip(1).fold(Path::root(), |path, step| path.child(step));
        immutable(&mut errors, &path, object.pointer(pointer), old.pointer(pointer));
    }
    errors
}

/// Texts that must be there.
fn required(object: &Value, members: &[&str]) -> Errors {
    let missing = members.iter().filter(|member| pointer::text(object, &format!("/{member}")).is_empty());
    missing.map(|member| Error::required(&Path::new(member), "")).collect()
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
    errors
}

/// A class makes volumes the same way for as long as it lives.
fn class_change(class: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for member in ["parameters", "provisioner", "reclaimPolicy"] {
        if !same(class.get(member), old.get(member)) {
            errors.push(Error::forbidden(&Path::new(member), &format!("updates to {member} are forbidden.")));
        }
    }
    let mode = Path::new("volumeBindingMode");
    immutable(&mut errors, &mode, class.get("volumeBindingMode"), old.get("volumeBindingMode"));
    errors
}

fn validate_attachment(attachment: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    for member in ["attacher", "nodeName"] {
        if pointer::text(attachment, &format!("/spec/{member}")).is_empty() {
            errors.push(Error::required(&path.child(member), ""));
        }
    }
    let source = |member: &str| pointer::has(attachment, &format!("/spec/source/{member}"));
    match (source("inlineVolumeSpec"), source("persistentVolumeName")) {
        (false, false) => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(Error::required(&path.child("source"), detail));
        }
        (true, true) => {
            let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(Error::forbidden(&path.child("source"), detail));
        }
        _ => {}
    }
    errors
}
