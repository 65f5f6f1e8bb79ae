//! What expressions ask about access. Whoever evaluates an expression brings the one who decides.

use std::sync::Arc;

use crate::shape::Shape;
use crate::types::Type;
use crate::value::{AUTHORIZER, DECISION, GROUP_CHECK, PATH_CHECK, RESOURCE_CHECK, Value};

/// Decides who may do what.
pub trait Authorizer: Send + Sync {
    /// Answers one question.
    fn decide(&self, question: &Question) -> Decision;
}

/// What is asked. Without a `user` it is about whoever makes the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// A user by name, where the expression names one.
    pub user: Option<String>,
    /// The path, for what is no resource.
    pub path: Option<String>,
    /// The group of the resource.
    pub group: Option<String>,
    /// The resource.
    pub resource: Option<String>,
    /// The subresource, or empty.
    pub subresource: String,
    /// The namespace, or empty for all.
    pub namespace: String,
    /// The object's name, or empty for all.
    pub name: String,
    /// Which fields the objects must have, or empty.
    pub field_selector: String,
    /// Which labels the objects must have, or empty.
    pub label_selector: String,
    /// The verb.
    pub verb: String,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// They may.
    pub allowed: bool,
    /// Why, or empty.
    pub reason: String,
    /// What went wrong, or empty.
    pub error: String,
}

/// A value of the library: a question that is being put together, or its answer.
pub enum Access {
    /// A question and who answers it.
    Question(Arc<dyn Authorizer>, Question),
    /// An answer.
    Decision(Decision),
}

impl Access {
    /// The name of the type that CEL knows it by.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Access::Decision(_) => DECISION,
            Access::Question(_, question) if question.path.is_some() => PATH_CHECK,
            Access::Question(_, question) if question.resource.is_some() => RESOURCE_CHECK,
            Access::Question(_, question) if question.group.is_some() => GROUP_CHECK,
            Access::Question(..) => AUTHORIZER,
        }
    }
}

/// The shape of the variable `authorizer`.
#[must_use]
pub fn authorizer_shape() -> Shape {
    Shape::simple(Type::object(AUTHORIZER))
}

/// The shape of the variable `authorizer.requestResource`.
#[must_use]
pub fn resource_check_shape() -> Shape {
    Shape::simple(Type::object(RESOURCE_CHECK))
}

impl Value<'_> {
    /// A question as a value.
    #[must_use]
    pub fn question(authorizer: Arc<dyn Authorizer>, question: Question) -> Self {
        Value::Access(Arc::new(Access::Question(authorizer, question)))
    }
}
