//! Labels of nodes that nobody should select by any more (`pkg/api/node`).

use machinery::{field::Path, label};
use serde_json::Value;

use super::pointer::{list, text, texts};

const DEPRECATED: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// What to use instead of a label.
pub(super) fn deprecated(label: &str) -> Option<&'static str> {
    DEPRECATED.iter().find(|(known, _)| *known == label).map(|(_, message)| *message)
}

/// What is odd about a term of a selector of nodes. Values are looked at where nobody has refused bad ones.
pub(super) fn term_warnings(warnings: &mut Vec<String>, path: &Path, term: &Value, values_too: bool) {
    for (index, expression) in list(term, "/matchExpressions").iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let key = text(expression, "/key");
        if let Some(message) = deprecated(key) {
            warnings.push(format!("{}: {key} is {message}", path.child("key")));
        }
        for (index, value) in texts(expression, "/values").enumerate().filter(|_| values_too) {
            let path = path.child("values").index(index);
            warnings.extend(label::value_errors(value).iter().map(|why| format!("{path}: {value} is invalid, {why}")));
        }
    }
}
