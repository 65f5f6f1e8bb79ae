//! `AccessWebhook`: another server that decides, asked with a SubjectAccessReview.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use machinery::selector::label::{self, Operator};
use serde_json::{Map, Value, json};

use super::{Action, Decision, On, Verdict};
use crate::{answers::Answers, authentication::User, formula::Formula, outbound::Remote};

/// A server that is asked whether somebody may do something, and what it has said lately.
#[derive(Debug)]
pub struct AccessWebhook {
    remote: Remote,
    version: String,
    pub(super) allowed_for: Duration,
    pub(super) denied_for: Duration,
    /// What counts when there is no answer.
    pub(super) on_failure: Verdict,
    /// What must hold for a question to be asked at all.
    pub(super) conditions: Vec<Formula>,
    answers: Answers<String, Decision>,
}

impl AccessWebhook {
    /// The server that a kubeconfig names, asked in this version of the API.
    ///
    /// # Errors
    /// The file cannot be read or names no server.
    pub fn read(kubeconfig: &Path, version: &str) -> Result<Self, String> {
        if !matches!(version, "v1" | "v1beta1") {
            return Err(format!(
                "unsupported SubjectAccessReview version {version:?}, supported versions are \"v1\", \"v1beta1\""
            ));
        }
        Ok(Self {
            remote: Remote::read(kubeconfig)?,
            version: version.to_owned(),
            allowed_for: Duration::from_secs(300),
            denied_for: Duration::from_secs(30),
            on_failure: Verdict::Unknown,
            conditions: Vec::new(),
            answers: Answers::default(),
        })
    }

    /// The same; answers count for so long.
    #[must_use]
    pub fn remembering(mut self, allowed: Duration, denied: Duration) -> Self {
        (self.allowed_for, self.denied_for) = (allowed, denied);
        self
    }

    /// What the server says, or has said a moment ago.
    pub(super) async fn decide(&self, user: &User, action: &Action<'_>) -> Decision {
        let spec = spec(user, action, self.version == "v1beta1");
        for condition in &self.conditions {
            match condition.holds(&[("request", &spec)]) {
                Ok(true) => {}
                Ok(false) => return Decision::unknown(""),
                Err(why) => return Decision::failed(self.on_failure, why),
            }
        }
        let (key, now) = (spec.to_string(), Instant::now());
        if let Some(known) = self.answers.get(&key, now) {
            return known;
        }
        let review = json!({
            "apiVersion": format!("authorization.k8s.io/{}", self.version),
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": spec,
        });
        let answer = match self.remote.post(&review).await {
            Ok(answer) => answer,
            Err(why) => {
                tracing::warn!("Failed to make webhook authorizer request: {why}");
                return Decision::failed(self.on_failure, why);
            }
        };
        let decision = decision(answer.get("status").unwrap_or(&Value::Null));
        let lifetime = if decision.is_allowed() { self.allowed_for } else { self.denied_for };
        self.answers.put(key, decision.clone(), now + lifetime, now);
        decision
    }

    /// The same, for those who cannot wait otherwise: the thread waits, and others do the work of the runtime meanwhile.
    pub(super) fn decide_blocking(&self, user: &User, action: &Action<'_>) -> Decision {
        let ask = || {
            std::thread::scope(|scope| {
                let asking = scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
                    Some(runtime.block_on(self.decide(user, action)))
                });
                asking.join().ok().flatten()
            })
        };
        let is_shared = tokio::runtime::Handle::try_current()
            .is_ok_and(|runtime| runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
        let answer = if is_shared { tokio::task::block_in_place(ask) } else { ask() };
        answer.unwrap_or_else(|| Decision::failed(self.on_failure, "the webhook could not be asked"))
    }
}

/// The question, as the spec of a SubjectAccessReview. The older version calls groups `group`.
fn spec(user: &User, action: &Action<'_>, is_beta: bool) -> Value {
    let mut spec = Map::new();
    let mut put = |member: &str, value: Value| {
        let is_empty = value.as_str().is_some_and(str::is_empty)
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty);
        if !is_empty {
            spec.insert(member.to_owned(), value);
        }
    };
    match action.on {
        On::Resource { group, resource, subresource, namespace, name } => {
            let all = [
                ("namespace", namespace),
                ("verb", action.verb),
                ("group", group),
                // Whoever answers wants to know which resource; the version is the storage's business.
                ("version", "*"),
                ("resource", resource),
                ("subresource", subresource),
                ("name", name),
            ];
            let given = all.into_iter().filter(|(_, text)| !text.is_empty());
            let mut attributes: Map<String, Value> =
                given.map(|(member, text)| (member.to_owned(), text.into())).collect();
            let fields = action.only.fields.iter().map(|term| {
                let operator = if term.equal { "In" } else { "NotIn" };
                json!({"key": term.field, "operator": operator, "values": [term.value]})
            });
            let labels = action.only.labels.iter().filter_map(requirement);
            for (member, requirements) in
                [("fieldSelector", fields.collect::<Vec<_>>()), ("labelSelector", labels.collect())]
            {
                if !requirements.is_empty() {
                    attributes.insert(member.to_owned(), json!({"requirements": requirements}));
                }
            }
            put("resourceAttributes", attributes.into());
        }
        On::Path(path) => put("nonResourceAttributes", json!({"path": path, "verb": action.verb})),
    }
    put("user", user.name.as_str().into());
    put(if is_beta { "group" } else { "groups" }, json!(user.groups));
    put("extra", json!(user.extra));
    put("uid", user.uid.as_str().into());
    Value::Object(spec)
}

/// A requirement on labels as reviews have it; `None` for those that they cannot say.
fn requirement(requirement: &label::Requirement) -> Option<Value> {
    let operator = match requirement.operator() {
        Operator::In | Operator::Equals | Operator::DoubleEquals => "In",
        Operator::NotIn | Operator::NotEquals => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
        Operator::GreaterThan | Operator::LessThan => return None,
    };
    let mut document = json!({"key": requirement.key(), "operator": operator});
    if !requirement.values().is_empty() {
        document["values"] = json!(requirement.values());
    }
    Some(document)
}

fn decision(status: &Value) -> Decision {
    let reason = status.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is = |member: &str| status.get(member) == Some(&Value::Bool(true));
    match (is("allowed"), is("denied")) {
        (true, false) => Decision::allowed(reason),
        (false, true) => Decision::denied(reason),
        (true, true) => {
            let error = "webhook subject access review returned both allow and deny response".to_owned();
            Decision { verdict: Verdict::Denied, reason, error }
        }
        (false, false) => Decision::unknown(reason),
    }
}

#[cfg(test)]
mod tests {
    use machinery::selector::field;

    use super::{super::Restriction, *};

    #[test]
    fn a_question_is_a_review() {
        let user = User::new("jane", &["devs"]);
        let asked = spec(&user, &Action::on("get", "apps", "deployments", "a", "d"), false);
        assert_eq!(
            asked,
            json!({
                "user": "jane", "groups": ["devs"],
                "resourceAttributes": {
                    "verb": "get", "group": "apps", "version": "*", "resource": "deployments", "namespace": "a", "name": "d",
                },
            })
        );
        assert_eq!(spec(&user, &Action::on("get", "", "pods", "", ""), true)["group"], json!(["devs"]));
        let fields = field::Selector::parse("spec.nodeName=n1,status.phase!=Failed").expect("a selector");
        let labels = label::Selector::parse("a in (b,c),!d,e=f").expect("a selector");
        let only = Restriction { fields: fields.terms(), labels: labels.requirements().unwrap_or_default() };
        let asked = spec(&user, &Action::on("list", "", "pods", "", "").restricted(only), false);
        assert_eq!(
            asked["resourceAttributes"]["fieldSelector"],
            json!({"requirements": [
                {"key": "spec.nodeName", "operator": "In", "values": ["n1"]},
                {"key": "status.phase", "operator": "NotIn", "values": ["Failed"]},
            ]})
        );
        assert_eq!(
            asked["resourceAttributes"]["labelSelector"],
            json!({"requirements": [
                {"key": "a", "operator": "In", "values": ["b", "c"]},
                {"key": "d", "operator": "DoesNotExist"},
                {"key": "e", "operator": "In", "values": ["f"]},
            ]})
        );
        for (status, expected) in [
            (json!({"allowed": true, "reason": "r"}), Decision::allowed("r")),
            (json!({"allowed": false, "reason": "r"}), Decision::unknown("r")),
            (json!({"denied": true, "reason": "r"}), Decision::denied("r")),
            (json!({}), Decision::unknown("")),
        ] {
            assert_eq!(decision(&status), expected);
        }
    }
}
