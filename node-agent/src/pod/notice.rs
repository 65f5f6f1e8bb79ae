//! What users are told of a pod, in the words of the kubelet's release.

use super::{Container, Role};

/// Something to tell the user, as an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// CamelCase.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// It is a warning.
    pub warning: bool,
    /// `involvedObject.fieldPath`: the container that it is about; kubectl puts it before the message.
    pub field_path: Option<String>,
}

impl Notice {
    /// Something that goes as it should.
    pub(super) fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), warning: false, field_path: None }
    }

    /// Something that does not.
    pub(super) fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::normal(reason, message) }
    }

    /// It is about a container.
    pub(super) fn of(self, container: &Container) -> Self {
        let list = match container.role {
            Role::Main => "containers",
            Role::Init | Role::Sidecar => "initContainers",
            Role::Ephemeral => "ephemeralContainers",
        };
        Self { field_path: Some(format!("spec.{list}{{{}}}", container.name)), ..self }
    }

    /// The image of a container is there.
    pub(super) fn pulled(container: &Container, minor: u32) -> Self {
        let image = container.spec["image"].as_str().unwrap_or_default();
        // KEP-2535 is on by default since then.
        let access = if minor >= 35 { " and can be accessed by the pod" } else { "" };
        let text = format!("Container image \"{image}\" already present on machine{access}");
        Self::normal("Pulled", text).of(container)
    }

    /// A container was created.
    pub(super) fn created(container: &Container, minor: u32) -> Self {
        let text = match names_containers(minor) {
            true => format!("Created container: {}", container.name),
            false => "Container created".to_owned(),
        };
        Self::normal("Created", text).of(container)
    }

    /// A container was started.
    pub(super) fn started(container: &Container, minor: u32) -> Self {
        let text = match names_containers(minor) {
            true => format!("Started container {}", container.name),
            false => "Container started".to_owned(),
        };
        Self::normal("Started", text).of(container)
    }
}

/// Kubelets before 1.35 repeat the container's name in the message (kubernetes/kubernetes#134043).
fn names_containers(minor: u32) -> bool {
    minor < 35
}
