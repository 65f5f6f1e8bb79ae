//! `TokenFile`: bearer tokens that the operator wrote down, one a line: `token,user,uid,"group1,group2"`.

use std::{collections::HashMap, path::Path};

use super::User;

/// Bearer tokens and whose they are.
#[derive(Clone, Debug, Default)]
pub struct TokenFile {
    users: HashMap<String, User>,
}

impl TokenFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or a line is no token.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A line is no token; the text says which.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut users = HashMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let fields = fields(line).map_err(|why| format!("line {}: {why}", number + 1))?;
            let [token, name, uid, rest @ ..] = fields.as_slice() else {
                return Err(format!(
                    "line {}: at least 3 columns (token, user name, user uid) are wanted, there are {}",
                    number + 1,
                    fields.len()
                ));
            };
            if token.is_empty() {
                return Err(format!("line {}: the token is empty", number + 1));
            }
            let groups = rest.first().map(String::as_str).unwrap_or_default();
            let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
            let user = User {
                name: name.clone(),
                uid: uid.clone(),
                groups: groups.map(str::to_owned).collect(),
                extra: Default::default(),
            };
            users.insert(token.clone(), user);
        }
        Ok(Self { users })
    }

    /// True when there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whose token it is.
    pub(super) fn user(&self, token: &str) -> Option<&User> {
        self.users.get(token)
    }
}

/// The fields of one line of CSV (RFC 4180), trimmed; a quoted field may hold commas, and quotes written twice.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line.trim();
    loop {
        rest = rest.trim_start();
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.trim_start().strip_prefix(',') {
            Some(next) => rest = next,
            None if after.trim().is_empty() => return Ok(fields),
            None => return Err("a quoted field is followed by something else than a comma".to_owned()),
        }
    }
}

/// A field after its opening quote, and what follows the closing one.
fn quoted_field(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let Some(end) = rest.find('"') else { return Err("a quote is not closed".to_owned()) };
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Ok((field, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_tokens() {
        let text = "abc,jane,7,\"devs, ops\"\n\nxyz, bob , 8\n\"q\"\"q\",eve,9,solo,more\n";
        let tokens = TokenFile::parse(text).expect("well formed");
        let jane = tokens.user("abc").expect("a user");
        assert_eq!((jane.name.as_str(), jane.uid.as_str(), jane.groups.len()), ("jane", "7", 2));
        assert_eq!(tokens.user("xyz").map(|user| user.name.as_str()), Some("bob"));
        assert_eq!(tokens.user("q\"q").map(|user| user.groups.clone()), Some(vec!["solo".to_owned()]));
        assert!(tokens.user("").is_none());
        for (bad, why) in [
            ("a,b", "line 1: at least 3 columns (token, user name, user uid) are wanted, there are 2"),
            (",b,c", "line 1: the token is empty"),
            ("a,b,c,\"d", "line 1: a quote is not closed"),
            ("\"a\"b,c,d", "line 1: a quoted field is followed by something else than a comma"),
        ] {
            assert_eq!(TokenFile::parse(bad).err().as_deref(), Some(why), "{bad}");
        }
    }
}
