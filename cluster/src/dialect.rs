//! In which version a server has Kubernetes' device API. Here its objects are `v1` throughout; what an older server says
//! and hears is translated.

use std::{borrow::Cow, sync::Arc};

use api::convert::version;
use kube::Client;
use serde_json::Value;

use crate::{
    Kind,
    kind::{DEVICE_CLASS, RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE, RESOURCE_SLICE},
};

/// The version of the device API that a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect(&'static str);

impl Default for Dialect {
    /// That of servers since 1.34.
    fn default() -> Self {
        Self(RESOURCE_CLAIM.version)
    }
}

/// What is preferred, best first.
const VERSIONS: [&str; 3] = ["v1", "v1beta2", "v1beta1"];
/// What 1.31 has. Where there are `v1alpha2` and it, they are of the dra-evolution prototype.
const FIRST: &str = "v1alpha3";
const BEFORE_FIRST: &str = "v1alpha2";

impl Dialect {
    /// Asks a server. One that has no device API at all is taken for a new one.
    pub async fn find(client: &Client) -> Result<Self, kube::Error> {
        let path = format!("/apis/{}", RESOURCE_CLAIM.group);
        let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        let served: Value = match client.request(request).await {
            Ok(served) => served,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let listed = served["versions"].as_array().into_iter().flatten();
        let listed: Vec<&str> = listed.filter_map(|version| version["version"].as_str()).collect();
        Ok(Self::among(&listed))
    }

    fn among(listed: &[&str]) -> Self {
        let preferred = VERSIONS.into_iter().find(|version| listed.contains(version));
        let first = (listed.contains(&FIRST) && !listed.contains(&BEFORE_FIRST)).then_some(FIRST);
        preferred.or(first).map(Self).unwrap_or_default()
    }

    /// Whether objects of the kind have other versions on other servers.
    pub(crate) fn concerns(kind: Kind) -> bool {
        [DEVICE_CLASS, RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE, RESOURCE_SLICE].contains(&kind)
    }

    /// A kind as the server has it.
    pub fn there(self, kind: Kind) -> Kind {
        if Self::concerns(kind) { Kind { version: self.0, ..kind } } else { kind }
    }

    fn translates(self, kind: Kind) -> bool {
        self != Self::default() && Self::concerns(kind)
    }

    /// What the server says, in `v1`.
    pub(crate) fn heard(self, kind: Kind, document: Arc<Value>) -> Arc<Value> {
        if !self.translates(kind) {
            return document;
        }
        let mut document = Arc::unwrap_or_clone(document);
        version::to_v1(&mut document);
        Arc::new(document)
    }

    /// What is said to the server, in its version.
    pub(crate) fn said(self, kind: Kind, document: &Value) -> Cow<'_, Value> {
        if !self.translates(kind) {
            return Cow::Borrowed(document);
        }
        let mut document = document.clone();
        version::from_v1(&mut document, self.0);
        Cow::Owned(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{DEVICE_TAINT_RULE, POD};

    #[test]
    fn the_best_version_that_is_served_is_spoken() {
        for (listed, expected) in [
            (&["v1beta1", "v1", "v1beta2", "v1alpha3"][..], "v1"),
            (&["v1beta1", "v1beta2", "v1alpha2", "v1alpha3"], "v1beta2"),
            (&["v1beta1", "v1alpha3"], "v1beta1"),
            (&["v1alpha3"], "v1alpha3"),
            (&["v1alpha1", "v1alpha2", "v1alpha3"], "v1"),
            (&[], "v1"),
        ] {
            let dialect = Dialect::among(listed);
            assert_eq!(dialect.there(RESOURCE_CLAIM).version, expected, "{listed:?}");
            assert_eq!((dialect.there(POD), dialect.there(DEVICE_TAINT_RULE)), (POD, DEVICE_TAINT_RULE));
        }
    }
}
