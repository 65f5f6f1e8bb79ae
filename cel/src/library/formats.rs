//! Kubernetes' library of named formats: `format.dns1123Label().validate(text)`.

use crate::declaration::{Body, Library};
use crate::fault::Fault;
use crate::format::{self, NamedFormat};
use crate::types::Type;
use crate::value::{FORMAT, Value};

pub(crate) fn declare(library: &mut Library) {
    let format = || Type::object(FORMAT);
    let errors = Type::optional(Type::list(Type::String));
    library.member("validate", "format-validate", [format(), Type::String], errors, validate);
    library.global("format.named", "format-named", [Type::String], Type::optional(format()), named);
    let mut add = |name, body: Body| library.global(name, name, [], format(), body);
    add("format.dns1123Label", |_| get(0));
    add("format.dns1123Subdomain", |_| get(1));
    add("format.dns1035Label", |_| get(2));
    add("format.qualifiedName", |_| get(3));
    add("format.dns1123LabelPrefix", |_| get(4));
    add("format.dns1123SubdomainPrefix", |_| get(5));
    add("format.dns1035LabelPrefix", |_| get(6));
    add("format.labelValue", |_| get(7));
    add("format.uri", |_| get(8));
    add("format.uuid", |_| get(9));
    add("format.byte", |_| get(10));
    add("format.date", |_| get(11));
    add("format.datetime", |_| get(12));
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn get<'a>(index: usize) -> Result<'a> {
    format::ALL.get(index).map(Value::Format).ok_or_else(Fault::no_overload)
}

fn named<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(name)] = args else { return Err(Fault::no_overload()) };
    Ok(NamedFormat::find(name).map_or(Value::Optional(None), |format| Value::some(Value::Format(format))))
}

fn validate<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::Format(format), Value::String(text)] = args else { return Err(Fault::no_overload()) };
    let errors = format.validate(text);
    if errors.is_empty() {
        return Ok(Value::Optional(None));
    }
    Ok(Value::some(Value::list(errors.into_iter().map(Value::string).collect())))
}
