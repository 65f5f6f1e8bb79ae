//! Discovery of what other servers have, merged into what this one serves.

use serde_json::{Value, json};

use super::{RemoteVersion, Remotes};

impl Remotes {
    /// Whether another server has anything in a group.
    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.versions.iter().any(|one| one.group == group)
    }

    fn groups(&self) -> Vec<(&str, Vec<&RemoteVersion>)> {
        let mut groups: Vec<(&str, Vec<&RemoteVersion>)> = Vec::new();
        for version in &self.versions {
            match groups.last_mut().filter(|(group, _)| *group == version.group) {
                Some((_, versions)) => versions.push(version),
                None => groups.push((&version.group, vec![version])),
            }
        }
        // As versions are ordered everywhere: `v1` before its betas.
        for (_, versions) in &mut groups {
            versions.sort_by_key(|one| crate::discovery::version_order(&one.version));
        }
        groups
    }

    /// Adds groups to the `groups` of an `APIGroupList`.
    pub(crate) fn add_groups(&self, list: &mut Value) {
        let Some(known) = list["groups"].as_array_mut() else { return };
        for (group, versions) in self.groups() {
            let versions: Vec<Value> = versions.iter().map(|one| group_version(one)).collect();
            match known.iter_mut().find(|one| one["name"] == group) {
                Some(entry) => {
                    let served = entry["versions"].as_array_mut();
                    served.into_iter().for_each(|served| served.extend(versions.iter().cloned()));
                }
                None => known.push(body(group, &versions)),
            }
        }
    }

    /// The `APIGroup` of a group that only other servers have.
    pub(crate) fn group(&self, group: &str) -> Option<Value> {
        let (_, versions) = self.groups().into_iter().find(|(name, _)| *name == group)?;
        let versions: Vec<Value> = versions.iter().map(|one| group_version(one)).collect();
        let mut document = body(group, &versions);
        document["kind"] = json!("APIGroup");
        document["apiVersion"] = json!("v1");
        Some(document)
    }

    /// The items of an `APIGroupDiscoveryList`.
    pub(crate) fn items(&self) -> Vec<Value> {
        let item = |(group, versions): (&str, Vec<&RemoteVersion>)| {
            let versions: Vec<Value> = versions.into_iter().map(entry).collect();
            json!({"metadata": {"name": group}, "versions": versions})
        };
        self.groups().into_iter().map(item).collect()
    }
}

fn group_version(one: &RemoteVersion) -> Value {
    json!({"groupVersion": format!("{}/{}", one.group, one.version), "version": one.version})
}

fn body(group: &str, versions: &[Value]) -> Value {
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

/// A version as aggregated discovery has it. A subresource whose resource is not listed gets one without verbs, as in
/// kube-aggregator's conversion.
fn entry(version: &RemoteVersion) -> Value {
    let mut resources: Vec<Value> = Vec::new();
    for listed in &version.resources {
        let name = listed["name"].as_str().unwrap_or_default();
        let scope = if listed["namespaced"] == true { "Namespaced" } else { "Cluster" };
        let kind = |group: &Value, of_version: &Value| {
            json!({
                "group": group.as_str().unwrap_or(&version.group), "version": of_version.as_str().unwrap_or(&version.version),
                "kind": listed["kind"],
            })
        };
        let response = kind(&listed["group"], &listed["version"]);
        let (parent, subresource) = name.split_once('/').map_or((name, None), |(parent, sub)| (parent, Some(sub)));
        let at = resources.iter().position(|one| one["resource"] == parent).unwrap_or_else(|| {
            resources.push(json!({
                "resource": parent, "responseKind": {"group": "", "version": "", "kind": ""}, "scope": scope,
                "singularResource": "", "verbs": [],
            }));
            resources.len() - 1
        });
        let resource = &mut resources[at];
        match subresource {
            None => {
                resource["responseKind"] = response;
                resource["singularResource"] = listed["singularName"].clone();
                resource["verbs"] = listed["verbs"].clone();
                for member in ["shortNames", "categories"] {
                    if listed[member].is_array() {
                        resource[member] = listed[member].clone();
                    }
                }
            }
            Some(subresource) => {
                let entry = json!({"subresource": subresource, "responseKind": response, "verbs": listed["verbs"]});
                match resource["subresources"].as_array_mut() {
                    Some(known) => known.push(entry),
                    None => resource["subresources"] = json!([entry]),
                }
            }
        }
    }
    json!({"version": version.version, "freshness": "Current", "resources": resources})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_is_listed_beside_what_is_served() {
        let version = |group: &str, version: &str, resources: Vec<Value>| RemoteVersion {
            group: group.to_owned(),
            version: version.to_owned(),
            resources,
        };
        let start = json!({"name": "machines/start", "namespaced": true, "kind": "", "verbs": ["update"]});
        let remotes = Remotes {
            generation: 1,
            versions: vec![version("x.example", "v1alpha3", vec![]), version("x.example", "v1", vec![start])],
        };
        let mut list = json!({"groups": [{"name": "apps", "versions": []}]});
        remotes.add_groups(&mut list);
        assert_eq!(list["groups"][1]["preferredVersion"]["groupVersion"], "x.example/v1");
        assert_eq!(remotes.group("x.example").expect("a group")["kind"], "APIGroup");
        assert!(remotes.group("apps").is_none() && remotes.has_group("x.example"));
        let items = remotes.items();
        let resource = &items[0]["versions"][0]["resources"][0];
        assert_eq!((&resource["resource"], &resource["verbs"]), (&json!("machines"), &json!([])));
        assert_eq!(resource["subresources"][0]["subresource"], "start");
    }
}
