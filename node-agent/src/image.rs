//! What is known of container images: their environment, and which of them are drivers.

pub(crate) mod driver;

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

/// An image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    /// The end of its repository.
    name: String,
    /// Its environment: `NAME=value`, in order.
    #[serde(default)]
    env: Vec<String>,
    /// What it runs by default.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// What listens in its containers.
    #[serde(default)]
    pub(crate) serves: Vec<Served>,
    /// Programs that it has besides those that are emulated, where all of them are known. What such an image does not
    /// have is not there; in any other one, what is not known may be a server.
    tools: Option<Vec<String>>,
    /// Scripts that it has, by path.
    #[serde(default)]
    pub(crate) scripts: BTreeMap<String, String>,
}

/// What listens at a port of an image's containers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Served {
    /// The port.
    pub(crate) port: u16,
    /// It does not speak HTTP.
    #[serde(default)]
    pub(crate) mute: bool,
    /// It speaks TLS.
    #[serde(default)]
    pub(crate) tls: bool,
    /// How it names itself.
    pub(crate) software: Option<String>,
    /// Of its pages.
    pub(crate) content_type: Option<String>,
    /// The directory whose files it shows.
    pub(crate) root: Option<String>,
    /// What it answers, by path; `*` for all others. `{pod}`, `{address}`, `{node}`, and `{text}`, which is what its argument
    /// `-text` says.
    #[serde(default)]
    pub(crate) pages: BTreeMap<String, String>,
}

static IMAGES: LazyLock<Vec<Image>> = LazyLock::new(|| {
    let document = machinery::yaml::parse(include_bytes!("../data/images.yaml"));
    let document = document.expect("a file of ours that a test reads");
    serde_json::from_value(document).expect("a file of ours that a test reads")
});

impl Image {
    /// Its environment.
    pub(crate) fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().filter_map(|entry| entry.split_once('='))
    }

    /// Whether it is known to have no such program.
    pub(crate) fn lacks(&self, program: &str) -> bool {
        self.tools.as_ref().is_some_and(|tools| !tools.iter().any(|tool| tool == program))
    }
}

/// What is known of an image.
pub(crate) fn find(image: &str) -> Option<&'static Image> {
    let repository = repository(image);
    let full = if repository.contains('/') { repository.to_owned() } else { format!("library/{repository}") };
    IMAGES.iter().find(|image| full == image.name || full.ends_with(&format!("/{}", image.name)))
}

/// Whether the tools of an image are those of BusyBox.
pub(crate) fn is_busybox(image: &str) -> bool {
    let (repository, tag) = (repository(image), tag(image).unwrap_or_default());
    matches!(repository.rsplit('/').next(), Some("busybox" | "alpine")) || tag.contains("alpine")
}

/// The repository of an image, without tag and digest.
pub(crate) fn repository(image: &str) -> &str {
    let without_digest = image.split('@').next().unwrap_or_default();
    &without_digest[..tag_at(without_digest).unwrap_or(without_digest.len())]
}

/// The tag of an image.
pub(crate) fn tag(image: &str) -> Option<&str> {
    let without_digest = image.split('@').next().unwrap_or_default();
    tag_at(without_digest).map(|colon| &without_digest[colon + 1..])
}

fn tag_at(image: &str) -> Option<usize> {
    image.rfind(':').filter(|colon| !image[*colon..].contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_whatever_their_registry() {
        for image in ["alpine/ollama:0.11.10", "docker.io/alpine/ollama@sha256:abc", "mirror:5000/x/alpine/ollama"] {
            let found = find(image).expect("an image");
            assert_eq!(found.env().last(), Some(("OLLAMA_HOST", "0.0.0.0")));
        }
        assert_eq!(find("busybox:1.37.0").map(|found| found.command.clone()), Some(vec!["sh".to_owned()]));
        assert_eq!(find("docker.io/library/busybox").map(|found| found.command.len()), Some(1));
        let scripts = &find("registry.k8s.io/dra-driver-nvidia/dra-driver-nvidia-gpu:v1").expect("an image").scripts;
        assert!(scripts.contains_key("/usr/bin/kubelet-plugin-prestart.sh"));
        assert!(find("example/unknown").is_none() && find("").is_none());
        assert_eq!((repository("a:1/b"), tag("a:1/b"), tag("b:2@sha256:x")), ("a:1/b", None, Some("2")));
    }
}
