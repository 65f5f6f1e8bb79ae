//! `Context`: who asks, and how a write is meant.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use api::{
    definition::{Question, Surroundings},
    hub::Environment,
    release::Release,
};
use jiff::Timestamp;
use machinery::meta;
use serde_json::Value;

use super::{Registry, Selectors};
use crate::{
    audit::Notes,
    authentication::{AUTHENTICATED, MASTERS, User},
    authorization::{Action, On},
    request::{FieldValidation, WriteOptions},
};

/// Most texts that a request collects. Each has a character at least, and no more of those are ever sent.
const WARNINGS_MAX: usize = 4096;

/// Who asks, how the write is meant, and what the client is warned of.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// The user.
    pub(crate) user: Arc<User>,
    /// Who is recorded as manager of changed fields.
    pub(crate) manager: String,
    /// The options of the write.
    pub(crate) options: WriteOptions,
    /// The write is an apply, which has set the managed fields already.
    pub(crate) applied: bool,
    /// The managed fields are set already, in the version that the client speaks.
    pub(crate) owned: bool,
    /// The write is a PATCH.
    pub(crate) patches: bool,
    /// The write is one of those that delete a collection.
    pub(crate) in_collection: bool,
    /// Where is noted what is written down about the request.
    pub(crate) notes: Option<Arc<Notes>>,
    warnings: Mutex<Vec<String>>,
}

/// Who the server's own writes come from.
static SERVER: LazyLock<Arc<User>> =
    LazyLock::new(|| Arc::new(User::new("system:apiserver", &[MASTERS, AUTHENTICATED])));

impl Context {
    /// The context of a client's request.
    pub(crate) fn new(user: Arc<User>, manager: &str, options: WriteOptions) -> Self {
        Self { user, manager: manager.to_owned(), options, ..Self::default() }
    }

    /// The context of a write that the server makes by itself, in the name of the part that makes it.
    pub(crate) fn server(manager: &str) -> Self {
        let options = WriteOptions { field_validation: FieldValidation::Ignore, ..WriteOptions::default() };
        Self::new(SERVER.clone(), manager, options)
    }

    /// `UserInfo` of the user.
    pub(crate) fn user_info(&self) -> Value {
        self.user.info()
    }

    /// Tells the client something.
    pub(crate) fn warn(&self, text: impl Into<String>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < WARNINGS_MAX {
            warnings.push(text.into());
        }
    }

    /// Says something about the request to those who read what was written down, under a key.
    pub(crate) fn annotate(&self, key: &str, text: impl Into<String>) {
        if let Some(notes) = &self.notes {
            notes.annotate(key, text);
        }
    }

    /// Everything the client is to be told, in order.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What strategies see of the server.
pub(super) struct View<'a> {
    pub(super) registry: &'a Registry,
    pub(super) context: &'a Context,
}

impl View<'_> {
    fn selectors(&self) -> &Selectors {
        self.registry.selectors.get_or_init(|| Selectors::new(&self.registry.feature_gates))
    }
}

impl Surroundings for View<'_> {
    fn now(&self) -> Timestamp {
        self.registry.clock.now()
    }

    fn user(&self) -> &str {
        &self.context.user.name
    }

    fn namespace_label(&self, namespace: &str, label: &str) -> Option<String> {
        let found = self.registry.namespace(namespace)?;
        meta::label(found.value(), label).map(str::to_owned)
    }

    fn feature_enabled(&self, gate: &str) -> bool {
        self.registry.feature_gates.enabled(gate)
    }

    fn check_selector(&self, expression: &str, environment: Environment) -> Result<u64, String> {
        self.selectors().check(expression, environment)
    }

    fn check_derived_attribute(&self, expression: &str) -> Result<u64, String> {
        self.selectors().check_derived_attribute(expression)
    }

    fn release(&self) -> Release {
        self.registry.feature_gates.release()
    }

    fn verb(&self) -> &str {
        if self.context.patches { "patch" } else { "update" }
    }

    fn user_node(&self) -> Option<&str> {
        self.context.user.bound_node()
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), String> {
        let Question { verb, group, resource, subresource, namespace, name } = *question;
        let action = Action::to(verb, On::Resource { group, resource, subresource, namespace, name });
        let user = &self.context.user;
        let decision = self.registry.authorizer.decide(self.registry, user, &action);
        if decision.is_allowed() { Ok(()) } else { Err(action.forbidden(user, &decision).message) }
    }
}
