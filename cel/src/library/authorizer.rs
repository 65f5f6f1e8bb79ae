//! Kubernetes' authorizer library: expressions that ask what somebody may do.

use std::sync::Arc;

use crate::authorizer::{Access, Question};
use crate::declaration::Library;
use crate::fault::Fault;
use crate::types::Type;
use crate::value::{AUTHORIZER, DECISION, GROUP_CHECK, PATH_CHECK, RESOURCE_CHECK, Value};

pub(crate) fn declare(library: &mut Library) {
    let (authorizer, path, group) =
        (|| Type::object(AUTHORIZER), || Type::object(PATH_CHECK), || Type::object(GROUP_CHECK));
    let (resource, decision) = (|| Type::object(RESOURCE_CHECK), || Type::object(DECISION));
    let text = || Type::String;
    library.member("path", "authorizer_path", [authorizer(), text()], path(), of_path);
    library.member("group", "authorizer_group", [authorizer(), text()], group(), of_group);
    let account = [authorizer(), text(), text()];
    library.member("serviceAccount", "authorizer_serviceaccount", account, authorizer(), service_account);
    library.member("resource", "groupcheck_resource", [group(), text()], resource(), of_resource);
    library.member("subresource", "resourcecheck_subresource", [resource(), text()], resource(), subresource);
    library.member("namespace", "resourcecheck_namespace", [resource(), text()], resource(), namespace);
    library.member("name", "resourcecheck_name", [resource(), text()], resource(), name);
    library.member("fieldSelector", "authorizer_fieldselector", [resource(), text()], resource(), field_selector);
    library.member("labelSelector", "authorizer_labelselector", [resource(), text()], resource(), label_selector);
    library.member("check", "pathcheck_check", [path(), text()], decision(), check);
    library.member("check", "resourcecheck_check", [resource(), text()], decision(), check);
    library.member("errored", "decision_errored", [decision()], Type::Bool, errored);
    library.member("error", "decision_error", [decision()], text(), error);
    library.member("allowed", "decision_allowed", [decision()], Type::Bool, allowed);
    library.member("reason", "decision_reason", [decision()], text(), reason);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

/// The same question with one more thing said.
fn with<'a>(args: &[Value<'a>], say: impl FnOnce(&mut Question, &str)) -> Result<'a> {
    let [Value::Access(access), Value::String(text)] = args else { return Err(Fault::no_overload()) };
    let Access::Question(authorizer, question) = &**access else { return Err(Fault::no_overload()) };
    let mut question = question.clone();
    say(&mut question, text);
    Ok(Value::Access(Arc::new(Access::Question(Arc::clone(authorizer), question))))
}

fn of_path<'a>(args: &[Value<'a>]) -> Result<'a> {
    with(args, |question, path| question.path = Some(path.to_owned()))
}

fn of_group<'a>(args: &[Value<'a>]) -> Result<'a> {
    with(args, |question, group| question.group = Some(group.to_owned()))
}

fn of_resource<'a>(args: &[Value<'a>]) -> Result<'a> {
    with(args, |question, resource| question.resource = Some(resource.to_owned()))
}

fn subresource<'a>(args: &[Value<'a>]) -> Result<'a> {
    with(args, |question, subresource| question.subresource = subresource.to_owned())
}

fn namespace<'a>(args: &[Value<'a>]) -> Result<'a> {
    with(args, |question, namespace| question.namespace = namespace.to_owned())
}

fn name<'a>(args: &[Value<'a>]) -> Result<'a> {
    with(args, |question, name| question.name = name.to_owned())
}

fn field_selector<'a>(args: &[Value<'a>]) -> Result<'a> {
    with(args, |question, selector| question.field_selector = selector.to_owned())
}

fn label_selector<'a>(args: &[Value<'a>]) -> Result<'a> {
    with(args, |question, selector| question.label_selector = selector.to_owned())
}

fn service_account<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [access, Value::String(namespace), Value::String(name)] = args else { return Err(Fault::no_overload()) };
    let account = format!("system:serviceaccount:{}:{}", &**namespace, &**name);
    with(&[access.clone(), Value::string(account)], |question, user| question.user = Some(user.to_owned()))
}

fn check<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::Access(access), Value::String(verb)] = args else { return Err(Fault::no_overload()) };
    let Access::Question(authorizer, question) = &**access else { return Err(Fault::no_overload()) };
    let question = Question { verb: verb.to_string(), ..question.clone() };
    Ok(Value::Access(Arc::new(Access::Decision(authorizer.decide(&question)))))
}

fn decision<'v>(args: &'v [Value<'_>]) -> std::result::Result<&'v crate::authorizer::Decision, Fault> {
    match args {
        [Value::Access(access)] => match &**access {
            Access::Decision(decision) => Ok(decision),
            Access::Question(..) => Err(Fault::no_overload()),
        },
        _ => Err(Fault::no_overload()),
    }
}

fn allowed<'a>(args: &[Value<'a>]) -> Result<'a> {
    decision(args).map(|decision| Value::Bool(decision.allowed))
}

fn reason<'a>(args: &[Value<'a>]) -> Result<'a> {
    decision(args).map(|decision| Value::string(decision.reason.as_str()))
}

fn errored<'a>(args: &[Value<'a>]) -> Result<'a> {
    decision(args).map(|decision| Value::Bool(!decision.error.is_empty()))
}

fn error<'a>(args: &[Value<'a>]) -> Result<'a> {
    decision(args).map(|decision| Value::string(decision.error.as_str()))
}
