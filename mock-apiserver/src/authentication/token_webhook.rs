//! `TokenWebhook`: another server that knows whose token it is, asked with a TokenReview.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Holder, User};
use crate::{answers::Answers, outbound::Remote};

/// A server that is asked about tokens, and what it has said lately.
#[derive(Debug)]
pub struct TokenWebhook {
    remote: Remote,
    version: String,
    lifetime: Duration,
    answers: Answers<[u8; 32], Option<Holder>>,
}

impl TokenWebhook {
    /// The server that a kubeconfig names, asked in this version of the API; answers count for `lifetime`.
    ///
    /// # Errors
    /// The file cannot be read or names no server.
    pub fn read(kubeconfig: &Path, version: &str, lifetime: Duration) -> Result<Self, String> {
        if !matches!(version, "v1" | "v1beta1") {
            return Err(format!(
                "unsupported authentication webhook version {version:?}, supported versions are \"v1\", \"v1beta1\""
            ));
        }
        let remote = Remote::read(kubeconfig)?;
        Ok(Self { remote, version: version.to_owned(), lifetime, answers: Answers::default() })
    }

    /// Whose token it is, and for which of the audiences it is good; `Ok(None)`: nobody's.
    pub(super) async fn holder(&self, token: &str, audiences: &[String]) -> Result<Option<Holder>, String> {
        let mut key = Sha256::new_with_prefix(token);
        for audience in audiences {
            key.update([0]);
            key.update(audience);
        }
        let key: [u8; 32] = key.finalize().into();
        let now = Instant::now();
        if let Some(known) = self.answers.get(&key, now) {
            return Ok(known);
        }
        let review = json!({
            "apiVersion": format!("authentication.k8s.io/{}", self.version),
            "kind": "TokenReview",
            "metadata": {},
            "spec": {"token": token, "audiences": audiences},
        });
        let answer = self.remote.post(&review).await?;
        let holder = holder(answer.get("status").unwrap_or(&Value::Null), audiences)?;
        self.answers.put(key, holder.clone(), now + self.lifetime, now);
        Ok(holder)
    }
}

fn holder(status: &Value, audiences: &[String]) -> Result<Option<Holder>, String> {
    let texts = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    if status.get("authenticated") != Some(&Value::Bool(true)) {
        return match status.get("error").and_then(Value::as_str) {
            Some(why) if !why.is_empty() => Err(why.to_owned()),
            _ => Ok(None),
        };
    }
    let user = status.get("user").unwrap_or(&Value::Null);
    let text = |member: &str| user.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let extra = user.get("extra").and_then(Value::as_object).into_iter().flatten();
    let extra = extra.map(|(key, values)| (key.clone(), texts(Some(values)))).collect();
    let user = User { name: text("username"), uid: text("uid"), groups: texts(user.get("groups")), extra };
    // A server that says nothing of audiences knows nothing of them: the token is for us then.
    let said = texts(status.get("audiences"));
    let audiences: Vec<String> =
        audiences.iter().filter(|wanted| said.is_empty() || said.contains(wanted)).cloned().collect();
    Ok((!audiences.is_empty()).then_some(Holder { user, audiences }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reviews_say_who() {
        let audiences = ["a".to_owned(), "b".to_owned()];
        let status = json!({
            "authenticated": true, "audiences": ["b"],
            "user": {"username": "jane", "uid": "7", "groups": ["devs"], "extra": {"k": ["v"]}},
        });
        let jane = holder(&status, &audiences).expect("no error").expect("a holder");
        assert_eq!((jane.user.name.as_str(), jane.user.groups.len(), jane.audiences.len()), ("jane", 1, 1));
        assert_eq!(holder(&json!({"authenticated": false}), &audiences), Ok(None));
        assert_eq!(holder(&json!({"error": "no"}), &audiences), Err("no".to_owned()));
        assert_eq!(holder(&json!({"authenticated": true, "audiences": ["c"]}), &audiences), Ok(None));
    }
}
