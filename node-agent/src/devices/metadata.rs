//! Metadata of devices in files (KEP-5304), written where the helper library of drivers writes them.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use api::hub::{Attribute, Device, DeviceId};
use machinery::meta;
use serde_json::{Map, Value, json};

use super::{
    cdi::{self, Directory, Edits, Mount, Spec, write_atomically},
    emulation::Preparation,
};

/// The annotation that says for which entry of a pod a claim was made.
const POD_CLAIM_NAME: &str = "resource.kubernetes.io/pod-claim-name";
/// Where containers find the files.
const IN_CONTAINER: &str = "/var/run/kubernetes.io/dra-device-attributes";
/// The directory below that of a driver.
const DIRECTORY: &str = "dra-device-metadata";
/// The version of the document.
const API_VERSION: &str = "metadata.resource.k8s.io/v1alpha1";

/// Where a driver's metadata goes.
pub(super) struct Metadata<'a> {
    /// Name of the driver.
    pub(super) driver: &'a str,
    /// The driver's own directory on the node.
    pub(super) directory: PathBuf,
    /// The directory of CDI specifications.
    pub(super) cdi: &'a Directory,
}

impl Metadata<'_> {
    /// Writes a file for each request of a claim, and adds it to what containers get with the first device of the request.
    pub(super) fn write(
        &self,
        claim: &Value,
        results: &[(String, DeviceId)],
        published: &BTreeMap<DeviceId, Device>,
        preparation: &mut Preparation,
    ) -> io::Result<()> {
        let mut requests: BTreeMap<&str, Vec<&(String, DeviceId)>> = BTreeMap::new();
        for result in results.iter().filter(|(_, id)| id.driver == self.driver) {
            requests.entry(base(&result.0)).or_default().push(result);
        }
        for (request, results) in requests {
            let file = self.of_claim(claim).join(request).join("metadata.json");
            let directory = file.parent().unwrap_or(&file);
            fs::create_dir_all(directory)?;
            let document = self.document(claim, &results, published);
            write_atomically(&file, format!("{document}\n").as_bytes())?;
            let name = format!("{}_{request}", meta::uid(claim));
            let mount = Mount {
                host_path: file.to_string_lossy().into_owned(),
                container_path: self.in_container(claim, request),
                options: vec!["ro".to_owned(), "bind".to_owned()],
                ..Mount::default()
            };
            let edits = Edits { mounts: vec![mount], ..Edits::default() };
            let device = cdi::Device { name: name.clone(), container_edits: edits };
            let spec =
                Spec { cdi_version: "0.5.0".to_owned(), kind: self.kind(), devices: vec![device], ..Spec::default() };
            let text = format!("{:#}\n", serde_json::to_value(&spec)?);
            self.cdi.put(self.spec_file(meta::uid(claim), request), &text, &spec)?;
            let first = preparation.devices.iter_mut().find(|device| device.request_names == [request]);
            first.into_iter().for_each(|device| device.cdi_device_ids.push(format!("{}={name}", self.kind())));
        }
        Ok(())
    }

    /// Removes what was written for a claim.
    pub(super) fn remove(&self, namespace: &str, name: &str, uid: &str) -> io::Result<()> {
        let claim = self.directory.join(DIRECTORY).join(format!("{namespace}_{name}"));
        match fs::remove_dir_all(claim) {
            // The driver has written none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        let prefix = format!("{}_metadata_{uid}_", self.driver);
        for entry in fs::read_dir(self.cdi.path()).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn kind(&self) -> String {
        format!("{}/metadata", cdi::name(self.driver))
    }

    fn spec_file(&self, uid: &str, request: &str) -> PathBuf {
        self.cdi.path().join(format!("{}_metadata_{uid}_{request}.json", self.driver))
    }

    fn of_claim(&self, claim: &Value) -> PathBuf {
        self.directory.join(DIRECTORY).join(format!("{}_{}", meta::namespace(claim), meta::name(claim)))
    }

    fn in_container(&self, claim: &Value, request: &str) -> String {
        let (folder, name) = match meta::annotation(claim, POD_CLAIM_NAME) {
            Some(entry) => ("resourceclaimtemplates", entry),
            None => ("resourceclaims", meta::name(claim)),
        };
        format!("{IN_CONTAINER}/{folder}/{name}/{request}/{}-metadata.json", self.driver)
    }

    fn document(
        &self,
        claim: &Value,
        results: &[&(String, DeviceId)],
        published: &BTreeMap<DeviceId, Device>,
    ) -> Value {
        let device = |(_, id): &&(String, DeviceId)| {
            let mut device = json!({"driver": id.driver, "pool": id.pool, "name": id.device});
            let attributes = published.get(id).map(attributes).unwrap_or_default();
            if !attributes.is_empty() {
                device["attributes"] = Value::Object(attributes);
            }
            device
        };
        let name = results.first().map_or("", |(request, _)| request.as_str());
        let mut document = json!({
            "apiVersion": API_VERSION,
            "kind": "DeviceMetadata",
            "metadata": {
                "name": meta::name(claim),
                "namespace": meta::namespace(claim),
                "uid": meta::uid(claim),
                "generation": 1,
            },
        });
        if let Some(entry) = meta::annotation(claim, POD_CLAIM_NAME) {
            document["podClaimName"] = json!(entry);
        }
        document["requests"] = json!([{"name": name, "devices": results.iter().map(device).collect::<Vec<_>>()}]);
        document
    }
}

/// The request of `request/subrequest`.
fn base(request: &str) -> &str {
    request.split('/').next().unwrap_or_default()
}

fn attributes(device: &Device) -> Map<String, Value> {
    let value = |attribute: &Attribute| match attribute {
        Attribute::String(text) => Some(json!({"string": text})),
        Attribute::Version(version) => Some(json!({"version": version})),
        Attribute::Int(number) => Some(json!({"int": number})),
        Attribute::Bool(truth) => Some(json!({"bool": truth})),
        // The document has no other kinds.
        _ => None,
    };
    device.attributes.iter().filter_map(|(name, one)| Some((name.clone(), value(one)?))).collect()
}
