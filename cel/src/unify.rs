//! Which types can stand for which, and what their variables must then be. The rules are those of cel-go's checker.

use crate::types::{Type, replace};

/// What the type variables of a check are known to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings {
    bound: Vec<Option<Type>>,
    /// What the current attempt has changed, and what was there before.
    changes: Vec<(usize, Option<Type>)>,
}

/// Types are followed at most this deep; deeper ones do not unify.
const MAX_DEPTH: usize = 200;

impl Bindings {
    fn get(&self, number: u32) -> Option<&Type> {
        self.bound.get(number as usize).and_then(Option::as_ref)
    }

    fn bind(&mut self, number: u32, ty: Type) {
        let index = number as usize;
        if self.bound.len() <= index {
            self.bound.resize(index + 1, None);
        }
        let before = self.bound[index].replace(ty);
        self.changes.push((index, before));
    }

    /// The type with its bound variables replaced.
    pub(crate) fn substitute(&self, ty: &Type) -> Type {
        replace(ty, &|number| self.get(number).map(|bound| self.substitute(bound)))
    }

    /// As [`Bindings::substitute`], with unbound variables replaced by `dyn`.
    pub(crate) fn settle(&self, ty: &Type) -> Type {
        replace(ty, &|number| Some(self.get(number).map_or(Type::Dyn, |bound| self.settle(bound))))
    }

    /// Whether each of `from` can stand where the one of `to` is wanted; binds variables only if all can.
    pub(crate) fn assign(&mut self, from: &[Type], to: &[Type]) -> bool {
        self.changes.clear();
        let fits = from.len() == to.len() && from.iter().zip(to).all(|(from, to)| self.unify(from, to, 0));
        if !fits {
            while let Some((index, before)) = self.changes.pop() {
                self.bound[index] = before;
            }
        }
        fits
    }

    fn unify(&mut self, from: &Type, to: &Type, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return false;
        }
        if let Type::Variable(number) = to {
            match self.fits_variable(from, *number, depth) {
                Fit::Yes => return true,
                Fit::Bound => return false,
                Fit::No => {}
            }
        }
        if let Type::Variable(number) = from {
            return self.fits_variable(to, *number, depth) == Fit::Yes;
        }
        if from.is_dyn_or_error() || to.is_dyn_or_error() {
            return true;
        }
        match (from, to) {
            (Type::Null, other) | (other, Type::Null) => accepts_null(other),
            (Type::Type(_), Type::Type(_)) => true,
            (Type::List(from), Type::List(to)) => self.unify(from, to, depth + 1),
            (Type::Optional(from), Type::Optional(to)) => self.unify(from, to, depth + 1),
            (Type::Map(from), Type::Map(to)) => {
                self.unify(&from.0, &to.0, depth + 1) && self.unify(&from.1, &to.1, depth + 1)
            }
            (Type::Nullable(from), Type::Nullable(to)) => from == to,
            (from, Type::Nullable(to)) => *from == **to,
            (from, to) => from == to,
        }
    }

    /// Whether `ty` can stand for the variable, given what that is bound to; binds it if so.
    fn fits_variable(&mut self, ty: &Type, number: u32, depth: usize) -> Fit {
        if *ty == Type::Variable(number) {
            return Fit::Yes;
        }
        if let Some(bound) = self.get(number).cloned() {
            if *ty == bound {
                return Fit::Yes;
            }
            if !self.unify(ty, &bound, depth + 1) {
                return Fit::Bound;
            }
            let general = most_general(ty, &bound);
            if !self.occurs(number, general, depth) {
                let general = general.clone();
                self.bind(number, general);
            }
            return Fit::Yes;
        }
        if self.occurs(number, ty, depth) {
            return Fit::No;
        }
        self.bind(number, ty.clone());
        Fit::Yes
    }

    fn occurs(&self, number: u32, within: &Type, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return true;
        }
        match within {
            Type::Variable(other) if *other == number => true,
            Type::Variable(other) => self.get(*other).is_some_and(|bound| self.occurs(number, bound, depth + 1)),
            Type::List(inner) | Type::Optional(inner) | Type::Type(Some(inner)) => {
                self.occurs(number, inner, depth + 1)
            }
            Type::Map(entry) => self.occurs(number, &entry.0, depth + 1) || self.occurs(number, &entry.1, depth + 1),
            _ => false,
        }
    }
}

/// Whether a type fits a variable.
#[derive(PartialEq)]
enum Fit {
    Yes,
    /// No, and the variable is bound to something else.
    Bound,
    No,
}

fn accepts_null(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Null
            | Type::Optional(_)
            | Type::Opaque(_)
            | Type::Object(_)
            | Type::Any
            | Type::Duration
            | Type::Timestamp
            | Type::Nullable(_)
    )
}

/// The more general of two types that unify.
pub(crate) fn most_general<'t>(first: &'t Type, second: &'t Type) -> &'t Type {
    if is_equal_or_less_specific(first, second) { first } else { second }
}

fn is_equal_or_less_specific(first: &Type, second: &Type) -> bool {
    if first.is_dyn() || matches!(first, Type::Variable(_)) {
        return true;
    }
    if second.is_dyn() || matches!(second, Type::Variable(_)) {
        return false;
    }
    match (first, second) {
        (Type::List(first), Type::List(second)) | (Type::Optional(first), Type::Optional(second)) => {
            is_equal_or_less_specific(first, second)
        }
        (Type::Map(first), Type::Map(second)) => {
            is_equal_or_less_specific(&first.0, &second.0) && is_equal_or_less_specific(&first.1, &second.1)
        }
        (Type::Type(_), Type::Type(_)) => true,
        (first, second) => first == second,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::A;

    #[test]
    fn a_variable_keeps_what_it_was_first_bound_to() {
        let mut bindings = Bindings::default();
        assert!(bindings.assign(&[Type::Int, Type::list(Type::Int)], &[A, Type::list(A)]));
        assert_eq!(bindings.settle(&A), Type::Int);
        assert!(!bindings.assign(&[Type::String], &[A]));
        assert_eq!(bindings.settle(&A), Type::Int);
    }

    #[test]
    fn dyn_generalises() {
        let mut bindings = Bindings::default();
        assert!(bindings.assign(&[Type::Int, Type::Dyn], &[A, A]));
        assert_eq!(bindings.settle(&A), Type::Dyn);
    }

    #[test]
    fn a_type_does_not_contain_itself() {
        let mut bindings = Bindings::default();
        assert!(!bindings.assign(&[Type::list(A)], &[A]));
    }

    #[test]
    fn null_fits_what_can_be_absent() {
        let null = [Type::Null];
        assert!(Bindings::default().assign(&null, &[Type::Timestamp]));
        assert!(Bindings::default().assign(&null, &[Type::nullable(Type::Int)]));
        assert!(!Bindings::default().assign(&null, &[Type::Int]));
    }
}
