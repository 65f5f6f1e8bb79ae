//! Which variables an expression looks at.

use crate::ast::{Expr, Kind};
use crate::checker::{Checked, Reference};

impl Checked {
    /// Whether the expression looks at a variable of its environment.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        self.uses_in(&self.root, variable)
    }

    fn uses_in(&self, expr: &Expr, variable: &str) -> bool {
        let any = |parts: &[&Expr]| parts.iter().any(|part| self.uses_in(part, variable));
        match &expr.kind {
            Kind::Ident(name) => {
                *self.reference(expr) == Reference::Variable && name.trim_start_matches('.') == variable
            }
            Kind::Literal(_) | Kind::Invalid => false,
            Kind::Select(select) => any(&[&select.operand]),
            Kind::Call(call) => call.target.iter().chain(&call.args).any(|part| any(&[part])),
            Kind::List(items) => items.iter().any(|item| any(&[&item.value])),
            Kind::Map(entries) => entries.iter().any(|entry| any(&[&entry.key, &entry.value])),
            Kind::Struct(_, fields) => fields.iter().any(|field| any(&[&field.value])),
            Kind::Comprehension(fold) => any(&[&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result]),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Environment, Shape, Type};

    #[test]
    fn variables_are_told_from_names_of_macros() {
        let environment = ["old", "new"]
            .into_iter()
            .fold(Environment::base(), |environment, name| environment.with_variable(name, Shape::simple(Type::Dyn)));
        for (expression, uses) in [
            ("new == 1", false),
            ("old == 1", true),
            (".old == 1", true),
            ("new.all(old, old > 1)", false),
            ("new.all(x, x > old.y[0])", true),
            ("{'a': [size(old)]} == new", true),
            ("'old' == new.old", false),
        ] {
            let checked = environment.check(expression).expect(expression);
            assert_eq!(checked.uses("old"), uses, "{expression}");
        }
    }
}
