//! Impersonation: headers by which a user who may do so acts as somebody else.

use std::collections::BTreeMap;

use http::HeaderMap;
use machinery::{field::quote, status::Status};
use percent_encoding::percent_decode_str;

use super::user::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User, split_service_account};

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA_PREFIX: &str = "impersonate-extra-";

/// Whom a request wants to act as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Impersonation {
    pub(crate) user: String,
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    /// What the headers ask for, if they do.
    ///
    /// # Errors
    /// They name groups, a uid or extras, and no user.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Status> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let mut asked = Self { user: text(USER), uid: text(UID), ..Self::default() };
        asked.groups =
            headers.get_all(GROUP).iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
        for (name, value) in headers {
            let Some(key) = name.as_str().strip_prefix(EXTRA_PREFIX) else { continue };
            let key = percent_decode_str(key).decode_utf8().map_or_else(|_| key.to_owned(), |key| key.to_lowercase());
            if let Ok(value) = value.to_str() {
                asked.extra.entry(key).or_default().push(value.to_owned());
            }
        }
        if asked == Self::default() {
            return Ok(None);
        }
        if asked.user.is_empty() {
            return Err(Status::bad_request(format!("requested {} without impersonating a user name", asked.go())));
        }
        Ok(Some(asked))
    }

    /// As Go prints the value, which is what upstream shows to users.
    fn go(&self) -> String {
        let list = |items: &[String]| {
            let quoted: Vec<String> = items.iter().map(|item| quote(item)).collect();
            format!("[]string{{{}}}", quoted.join(", "))
        };
        let groups = if self.groups.is_empty() { "[]string(nil)".to_owned() } else { list(&self.groups) };
        let pairs: Vec<String> =
            self.extra.iter().map(|(key, values)| format!("{}:{}", quote(key), list(values))).collect();
        let extra = match pairs.as_slice() {
            [] => "map[string][]string(nil)".to_owned(),
            pairs => format!("map[string][]string{{{}}}", pairs.join(", ")),
        };
        let Self { user, uid, .. } = self;
        format!("&user.DefaultInfo{{Name:{}, UID:{}, Groups:{groups}, Extra:{extra}}}", quote(user), quote(uid))
    }

    /// Whether nothing is asked for but a name.
    pub(crate) fn is_name_only(&self) -> bool {
        self.uid.is_empty() && self.groups.is_empty() && self.extra.is_empty()
    }

    /// Whom the request acts as.
    pub(crate) fn user(self) -> User {
        let Self { user: name, uid, mut groups, extra } = self;
        if groups.is_empty()
            && let Some((namespace, account)) = split_service_account(&name)
        {
            groups = User::service_account(namespace, account).groups;
        }
        let user = User { name, uid, groups, extra };
        match user.name == ANONYMOUS || user.is_in(UNAUTHENTICATED) {
            true => user.in_group(UNAUTHENTICATED),
            false => user.in_group(AUTHENTICATED),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Result<Option<Impersonation>, Status> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Impersonation::of(&map)
    }

    fn user(headers: &[(&'static str, &'static str)]) -> User {
        of(headers).expect("well formed").expect("an impersonation").user()
    }

    #[test]
    fn headers_name_whom_to_act_as() {
        assert_eq!(of(&[("accept", "*/*")]), Ok(None));
        assert_eq!(user(&[("impersonate-user", "jane")]), User::new("jane", &["system:authenticated"]));
        let jane = user(&[
            ("impersonate-user", "jane"),
            ("impersonate-group", "devs"),
            ("impersonate-group", "ops"),
            ("impersonate-uid", "7"),
            ("impersonate-extra-acme.com%2fproject", "x"),
            ("impersonate-extra-acme.com%2fproject", "y"),
        ]);
        assert_eq!(jane.groups, ["devs", "ops", "system:authenticated"]);
        assert_eq!((jane.uid.as_str(), &jane.extra["acme.com/project"]), ("7", &vec!["x".to_owned(), "y".to_owned()]));
        let robot = user(&[("impersonate-user", "system:serviceaccount:a:robot")]);
        assert_eq!(robot, User::service_account("a", "robot"));
        assert_eq!(user(&[("impersonate-user", "system:anonymous")]), User::anonymous());
        for (headers, expected) in [
            (
                &[("impersonate-group", "devs"), ("impersonate-group", "ops")][..],
                r#"Name:"", UID:"", Groups:[]string{"devs", "ops"}, Extra:map[string][]string(nil)"#,
            ),
            (&[("impersonate-uid", "7")], r#"Name:"", UID:"7", Groups:[]string(nil), Extra:map[string][]string(nil)"#),
            (
                &[("impersonate-extra-foo", "a"), ("impersonate-extra-bar", "b")],
                r#"Name:"", UID:"", Groups:[]string(nil), Extra:map[string][]string{"bar":[]string{"b"}, "foo":[]string{"a"}}"#,
            ),
        ] {
            let status = of(headers).expect_err("nobody is named");
            let said = format!("requested &user.DefaultInfo{{{expected}}} without impersonating a user name");
            assert_eq!((status.code, status.message), (400, said));
        }
    }
}
