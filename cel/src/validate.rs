//! Checks of a typed tree beyond types: constants that cannot be converted, and literals of mixed types.

use crate::ast::{Call, Expr, Kind, Literal};
use crate::checker::Checked;
use crate::format_check;
use crate::regular;
use crate::source::{Issue, Offset};
use crate::time::{Duration, Timestamp};
use crate::types::Type;

/// What is wrong with a typed tree.
pub(crate) fn issues(checked: &Checked) -> Vec<Issue> {
    let mut validator = Validator { checked, issues: Vec::new() };
    validator.visit(&checked.root, false);
    validator.issues
}

struct Validator<'c> {
    checked: &'c Checked,
    issues: Vec<Issue>,
}

impl Validator<'_> {
    fn report(&mut self, offset: Offset, message: String) {
        self.issues.push(Issue { offset, message });
    }

    /// Visits a node; `mixed` says whether literals in it may have elements of several types.
    fn visit(&mut self, expr: &Expr, mixed: bool) {
        match &expr.kind {
            Kind::Literal(_) | Kind::Ident(_) | Kind::Invalid => {}
            Kind::Select(select) => self.visit(&select.operand, mixed),
            Kind::Call(call) => {
                self.constant(call);
                if call.function == "format"
                    && let Some((offset, message)) = format_check::problem(self.checked, call, expr.offset)
                {
                    self.report(offset, message);
                }
                let mixed = mixed || call.function == "format";
                call.target.iter().chain(&call.args).for_each(|arg| self.visit(arg, mixed));
            }
            Kind::List(items) => {
                if !mixed {
                    self.homogeneous(items.iter().map(|item| (&item.value, item.optional)), true);
                }
                items.iter().for_each(|item| self.visit(&item.value, mixed));
            }
            Kind::Map(entries) => {
                if !mixed {
                    self.homogeneous(entries.iter().map(|entry| (&entry.key, false)), false);
                    self.homogeneous(entries.iter().map(|entry| (&entry.value, entry.optional)), false);
                }
                for entry in entries {
                    self.visit(&entry.key, mixed);
                    self.visit(&entry.value, mixed);
                }
            }
            Kind::Struct(_, fields) => fields.iter().for_each(|field| self.visit(&field.value, mixed)),
            Kind::Comprehension(fold) => {
                for part in [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result] {
                    self.visit(part, mixed);
                }
            }
        }
    }

    /// A constant first argument of a function that reads a notation.
    fn constant(&mut self, call: &Call) {
        let Some(arg) = call.args.first() else { return };
        let valid = match (call.function.as_str(), &arg.kind) {
            ("duration", Kind::Literal(Literal::String(text))) => Duration::parse(text).is_some(),
            ("timestamp", Kind::Literal(Literal::String(text))) => Timestamp::parse(text).is_some(),
            ("timestamp", Kind::Literal(Literal::Int(seconds))) => Timestamp::from_seconds(*seconds).is_ok(),
            ("matches", Kind::Literal(Literal::String(pattern))) => regular::compile(pattern).is_ok(),
            _ => true,
        };
        if !valid {
            self.report(arg.offset, format!("invalid {} argument", call.function));
        }
    }

    /// All elements must have the type of the first; after the first that has not, `once` looks no further.
    fn homogeneous<'e>(&mut self, elements: impl Iterator<Item = (&'e Expr, bool)>, once: bool) {
        let mut expected: Option<Type> = None;
        for (expr, optional) in elements {
            let ty = self.checked.type_of(expr);
            let ty = if optional { ty.unwrap_optional().0 } else { ty };
            match &expected {
                None => expected = Some(ty.clone()),
                Some(expected) if equivalent(expected, ty) => {}
                Some(expected) => {
                    let message = format!("expected type '{expected}' but found '{ty}'");
                    self.report(expr.offset, message);
                    if once {
                        return;
                    }
                }
            }
        }
    }
}

/// Equality, whatever wraps a scalar that may be null.
fn equivalent(first: &Type, second: &Type) -> bool {
    match (first, second) {
        (Type::Nullable(inner), other) | (other, Type::Nullable(inner)) => equivalent(inner, other),
        (first, second) => first == second,
    }
}
