//! Declared functions: their overloads, and how each is carried out.

use std::collections::BTreeMap;

use crate::fault::Fault;
use crate::types::Type;
use crate::value::Value;

/// Carries out a call. The arguments have the declared types unless those are `dyn` or variables.
pub(crate) type Body = for<'a> fn(&[Value<'a>]) -> Result<Value<'a>, Fault>;

/// One signature of a function.
#[derive(Clone, Debug)]
pub(crate) struct Overload {
    /// cel-go's name of the signature; costs go by it.
    pub(crate) id: &'static str,
    /// Called on a target, which is then the first parameter.
    pub(crate) member: bool,
    pub(crate) params: Vec<Type>,
    pub(crate) result: Type,
    pub(crate) body: Body,
}

/// A function by name, with its overloads in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Function {
    pub(crate) overloads: Vec<Overload>,
}

/// Functions by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Library {
    functions: BTreeMap<&'static str, Function>,
}

impl Library {
    pub(crate) fn get(&self, name: &str) -> Option<(&'static str, &Function)> {
        self.functions.get_key_value(name).map(|(name, function)| (*name, function))
    }

    pub(crate) fn global<const N: usize>(
        &mut self,
        name: &'static str,
        id: &'static str,
        params: [Type; N],
        result: Type,
        body: Body,
    ) {
        self.add(name, Overload { id, member: false, params: params.into(), result, body });
    }

    pub(crate) fn member<const N: usize>(
        &mut self,
        name: &'static str,
        id: &'static str,
        params: [Type; N],
        result: Type,
        body: Body,
    ) {
        self.add(name, Overload { id, member: true, params: params.into(), result, body });
    }

    fn add(&mut self, name: &'static str, overload: Overload) {
        self.functions.entry(name).or_default().overloads.push(overload);
    }
}

/// The body of functions that the planner carries out itself, such as operators; reached for arguments they do not fit.
pub(crate) fn built_in<'a>(_: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    Err(Fault::no_overload())
}

/// The error for arguments that no overload of a function takes.
pub(crate) fn no_overload(name: &str, args: &[Value<'_>]) -> Fault {
    let types: Vec<_> = args.iter().map(Value::type_name).collect();
    Fault::error(format!("no such overload: {name}({})", types.join(", ")))
}

/// Whether a value at run time has the declared type, looking at one element of lists and maps.
pub(crate) fn matches(ty: &Type, value: &Value<'_>) -> bool {
    match (ty, value) {
        (Type::Dyn | Type::Any | Type::Variable(_), _) => true,
        (Type::Nullable(_), Value::Null) => true,
        (Type::Nullable(inner), value) => matches(inner, value),
        (Type::List(element), Value::List(list)) => list.get(0).is_none_or(|first| matches(element, &first)),
        (Type::Map(entry), Value::Map(map)) if map.type_name().is_none() => {
            map.entries().next().is_none_or(|(key, value)| matches(&entry.0, &key) && matches(&entry.1, &value))
        }
        (Type::List(_) | Type::Map(_), _) => false,
        (ty, value) => ty.name() == value.type_name(),
    }
}
