//! What expressions make to change objects: configurations to apply, and JSON patches.

use std::sync::Arc;

use crate::declaration::Library;
use crate::fault::Fault;
use crate::shape::{Field, Shape};
use crate::types::Type;
use crate::value::Value;

/// The type of a configuration to apply.
const OBJECT: &str = "Object";
/// The type of an operation of a JSON patch.
const JSON_PATCH: &str = "JSONPatch";

/// True for `Object` and, for its parts, `Object.spec`, `Object.spec.template` and so on.
pub(crate) fn is_applied_object(name: &str) -> bool {
    name.strip_prefix(OBJECT).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

pub(crate) fn json_patch_shape() -> Shape {
    let field =
        |name: &str, ty: Type| (name.to_owned(), Field { name: name.to_owned(), shape: Arc::new(Shape::simple(ty)) });
    let text = || Type::String;
    Shape::object(
        JSON_PATCH,
        [field("op", text()), field("path", text()), field("from", text()), field("value", Type::Dyn)],
    )
}

pub(crate) fn declare(library: &mut Library) {
    library.global(
        "jsonpatch.escapeKey",
        "string_jsonpatch_escapeKey_string",
        [Type::String],
        Type::String,
        escape_key,
    );
}

fn escape_key<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [Value::String(text)] = args else { return Err(Fault::no_overload()) };
    Ok(Value::string(text.replace('~', "~0").replace('/', "~1")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Activation, Budget, Environment, Type, Value, json_of};

    struct Nothing;

    impl Activation for Nothing {
        fn variable(&self, _: &str) -> Option<Value<'_>> {
            None
        }
    }

    #[test]
    fn objects_and_patches_become_documents() {
        let environment = Environment::base().with_mutation();
        for (source, ty, document) in [
            (
                "Object{spec: Object.spec{replicas: 3, ?paused: optional.none()}}",
                Type::object("Object"),
                json!({"spec": {"replicas": 3}}),
            ),
            (
                "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b~c'), value: 'x'}]",
                Type::list(Type::object("JSONPatch")),
                json!([{"op": "add", "path": "/metadata/labels/a~1b~0c", "value": "x"}]),
            ),
        ] {
            let checked = environment.check(source).expect(source);
            assert_eq!(*checked.output_type(), ty);
            let program = checked.program().expect(source);
            let value = program.eval(&Nothing, &mut Budget::unlimited()).expect(source);
            assert_eq!(json_of(&value), Some(document.clone()));
            assert_eq!(json_of(&value.into_owned()), Some(document));
        }
        assert!(environment.check("JSONPatch{operation: 'add'}").is_err());
        assert!(Environment::base().check("Object{}").is_err());
    }
}
