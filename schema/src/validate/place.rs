//! Where in a document a validation is; a path is only written when there is something to say.

use machinery::field::{Error, Path};
use serde_json::Value;

pub(super) enum Place<'p> {
    Root,
    Member(&'p Place<'p>, &'p str),
    Item(&'p Place<'p>, usize),
}

impl Place<'_> {
    /// The path as kube-openapi writes it: map keys with dots.
    fn text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(Self::Root, name) => (*name).to_owned(),
            Self::Member(parent, name) => format!("{}.{name}", parent.text()),
            Self::Item(parent, at) => format!("{}[{at}]", parent.text()),
        }
    }

    pub(super) fn path(&self) -> Path {
        match self {
            Self::Root => Path::root(),
            _ => Path::new(&self.text()),
        }
    }

    /// `<path> in body <what is wrong>`.
    pub(super) fn invalid(&self, value: &Value, wrong: &str) -> Error {
        Error::invalid(&self.path(), value, &format!("{} in body {wrong}", self.text()))
    }

    /// `<path> in body must be of type <wanted>: "<found>"`.
    pub(super) fn type_invalid(&self, wanted: &str, found: &str) -> Error {
        let detail = format!("{} in body must be of type {wanted}: {}", self.text(), machinery::field::quote(found));
        Error::type_invalid(&self.path(), &Value::from(found), &detail)
    }

    /// An error of the whole object that names this place in its text.
    pub(super) fn unplaced(&self, wrong: &str) -> Error {
        let detail = format!("{} {wrong}", machinery::field::quote(&self.text()));
        Error::invalid(&Path::root(), &Value::from(""), &detail)
    }
}
