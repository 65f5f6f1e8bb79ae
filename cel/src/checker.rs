//! The type checker: resolves names and overloads, and finds what cannot work. Rules and words are those of cel-go.

use std::sync::Arc;

use crate::ast::{Call, Comprehension, Expr, Id, Item, Kind, Literal, Select, operator};
use crate::declaration::Function;
use crate::environment::Environment;
use crate::parser::Parsed;
use crate::source::{Issue, Issues, Offset};
use crate::types::{FIRST_FREE, Type, is_generic, replace};
use crate::unify::{Bindings, most_general};
use crate::validate;

/// Parts that a type may be made of, counted with repetition.
const MAX_TYPE_PARTS: usize = 2_000;

/// An expression that parses and type-checks.
#[derive(Clone, Debug)]
pub struct Checked {
    pub(crate) environment: Environment,
    pub(crate) source: Arc<str>,
    pub(crate) root: Expr,
    /// Type of each node.
    pub(crate) types: Vec<Type>,
    /// What each node refers to.
    pub(crate) references: Vec<Reference>,
}

impl Checked {
    /// The type of the result.
    #[must_use]
    pub fn output_type(&self) -> &Type {
        self.type_of(&self.root)
    }

    /// The text of the expression.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn type_of(&self, expr: &Expr) -> &Type {
        self.types.get(expr.id).unwrap_or(&Type::Error)
    }

    pub(crate) fn reference(&self, expr: &Expr) -> &Reference {
        self.references.get(expr.id).unwrap_or(&Reference::None)
    }
}

/// What a name or call means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reference {
    None,
    /// A variable of a macro.
    Local,
    /// A variable of the environment.
    Variable,
    /// A type, used as a value.
    Type,
    /// A function, and the positions of its overloads that may be meant.
    Function {
        name: &'static str,
        overloads: Vec<usize>,
    },
}

/// Checks a tree against an environment.
pub(crate) fn check(environment: &Environment, source: &str, parsed: Parsed) -> Result<Checked, Issues> {
    let Parsed { mut root, nodes } = parsed;
    let mut checker = Checker {
        environment,
        types: vec![Type::Error; nodes],
        references: vec![Reference::None; nodes],
        bindings: Bindings::default(),
        next_variable: FIRST_FREE,
        scopes: Vec::new(),
        issues: Vec::new(),
    };
    checker.check(&mut root);
    let Checker { types, references, bindings, issues, .. } = checker;
    if !issues.is_empty() {
        return Err(Issues::new(source, issues));
    }
    let types = types.iter().map(|ty| bindings.settle(ty)).collect();
    let checked = Checked { environment: environment.clone(), source: Arc::from(source), root, types, references };
    match validate::issues(&checked) {
        issues if issues.is_empty() => Ok(checked),
        issues => Err(Issues::new(source, issues)),
    }
}

struct Checker<'e> {
    environment: &'e Environment,
    types: Vec<Type>,
    references: Vec<Reference>,
    bindings: Bindings,
    next_variable: u32,
    /// Variables of macros, the innermost last.
    scopes: Vec<(String, Type)>,
    issues: Vec<Issue>,
}

impl Checker<'_> {
    fn report(&mut self, offset: Offset, message: String) {
        self.issues.push(Issue { offset, message });
    }

    fn undeclared(&mut self, offset: Offset, name: &str) {
        self.report(offset, format!("undeclared reference to '{name}' (in container '')"));
    }

    fn mismatch(&mut self, offset: Offset, expected: &Type, found: &Type) {
        self.report(offset, format!("expected type '{expected}' but found '{found}'"));
    }

    fn set(&mut self, id: Id, ty: Type) {
        if let Some(slot) = self.types.get_mut(id) {
            *slot = ty;
        }
    }

    fn get(&self, expr: &Expr) -> Type {
        self.types.get(expr.id).cloned().unwrap_or(Type::Error)
    }

    fn refer(&mut self, id: Id, reference: Reference) {
        if let Some(slot) = self.references.get_mut(id) {
            *slot = reference;
        }
    }

    fn fresh(&mut self) -> Type {
        self.next_variable += 1;
        Type::Variable(self.next_variable - 1)
    }

    fn assignable(&mut self, from: &Type, to: &Type) -> bool {
        self.bindings.assign(std::slice::from_ref(from), std::slice::from_ref(to))
    }

    /// Checks a node and gives it a type.
    fn check(&mut self, expr: &mut Expr) {
        let (id, offset) = (expr.id, expr.offset);
        let ty = match &mut expr.kind {
            Kind::Literal(literal) => literal_type(literal),
            Kind::Ident(name) => {
                let name = name.clone();
                self.ident(id, offset, &name)
            }
            Kind::Select(_) => self.select(expr),
            Kind::Call(_) => self.call(expr),
            Kind::List(items) => self.list(items),
            Kind::Map(entries) => {
                let (mut key, mut value) = (None, None);
                for entry in entries {
                    key = Some(self.element(&mut entry.key, false, key));
                    value = Some(self.element(&mut entry.value, entry.optional, value));
                }
                let key = key.unwrap_or_else(|| self.fresh());
                let value = value.unwrap_or_else(|| self.fresh());
                Type::map(key, value)
            }
            Kind::Struct(..) => self.object(expr),
            Kind::Comprehension(fold) => self.comprehension(fold),
            Kind::Invalid => Type::Error,
        };
        let ty = match too_large(&ty) {
            false => ty,
            true => {
                self.report(offset, "type has too many parts".to_owned());
                Type::Error
            }
        };
        self.set(id, ty);
    }

    fn ident(&mut self, id: Id, offset: Offset, name: &str) -> Type {
        match self.resolve(name) {
            Some((reference, ty)) => {
                self.refer(id, reference);
                ty
            }
            None => {
                self.undeclared(offset, name);
                Type::Error
            }
        }
    }

    fn local(&self, name: &str) -> Option<&Type> {
        self.scopes.iter().rev().find(|(local, _)| local == name).map(|(_, ty)| ty)
    }

    fn resolve(&self, name: &str) -> Option<(Reference, Type)> {
        if let Some(ty) = self.local(name) {
            return Some((Reference::Local, ty.clone()));
        }
        self.global(name.trim_start_matches('.'))
    }

    fn global(&self, name: &str) -> Option<(Reference, Type)> {
        if let Some(shape) = self.environment.variable(name) {
            return Some((Reference::Variable, shape.ty()));
        }
        let ty = self.environment.type_named(name)?;
        Some((Reference::Type, Type::type_of(ty)))
    }

    /// A field, or a variable whose name has dots.
    fn select(&mut self, expr: &mut Expr) -> Type {
        let (id, offset) = (expr.id, expr.offset);
        if let Some(name) = qualified_name(expr)
            && let Some(first) = name.split('.').next()
            && (first.is_empty() || self.local(first).is_none())
            && let Some((reference, ty)) = self.global(name.trim_start_matches('.'))
        {
            self.refer(id, reference);
            expr.kind = Kind::Ident(name);
            return ty;
        }
        let Kind::Select(select) = &mut expr.kind else { return Type::Error };
        let Select { operand, field, test } = &mut **select;
        self.check(operand);
        let ty = self.field(offset, operand, field, false);
        if *test { Type::Bool } else { self.bindings.substitute(&ty) }
    }

    fn field(&mut self, offset: Offset, operand: &Expr, field: &str, optional: bool) -> Type {
        let operand_type = self.bindings.substitute(&self.get(operand));
        let (target, was_optional) = operand_type.unwrap_optional();
        let ty = match target {
            Type::Map(entry) => entry.1.clone(),
            Type::Object(name) => self.object_field(offset, name, field),
            Type::Variable(_) => {
                self.assignable(&Type::Dyn, target);
                Type::Dyn
            }
            _ if target.is_dyn_or_error() => Type::Dyn,
            _ => {
                self.report(offset, format!("type '{target}' does not support field selection"));
                Type::Dyn
            }
        };
        if optional || was_optional { Type::optional(ty) } else { ty }
    }

    fn object_field(&mut self, offset: Offset, object: &str, field: &str) -> Type {
        if self.environment.is_applied_object(object) {
            return Type::Dyn;
        }
        let Some(shape) = self.environment.object(object) else {
            self.report(offset, format!("unexpected failed resolution of '{object}'"));
            return Type::Error;
        };
        match shape.field(field) {
            Some(field) => field.shape.ty(),
            None => {
                self.report(offset, format!("undefined field '{field}'"));
                Type::Error
            }
        }
    }

    fn call(&mut self, expr: &mut Expr) -> Type {
        let (id, offset) = (expr.id, expr.offset);
        let Kind::Call(call) = &mut expr.kind else { return Type::Error };
        if call.function == operator::OPT_SELECT {
            return self.optional_select(id, offset, call);
        }
        for arg in &mut call.args {
            self.check(arg);
        }
        let library = Arc::clone(self.environment.library());
        // `a.b.c()` is the function `a.b.c` if there is one, else `c` of `a.b`.
        if let Some(prefix) = call.target.as_ref().and_then(qualified_name) {
            let name = format!("{prefix}.{}", call.function);
            if let Some((name, function)) = library.get(name.trim_start_matches('.')) {
                call.target = None;
                return self.overload(id, offset, name, function, call);
            }
        }
        if let Some(target) = &mut call.target {
            self.check(target);
        }
        match library.get(call.function.trim_start_matches('.')) {
            Some((name, function)) => self.overload(id, offset, name, function, call),
            None => {
                let name = call.function.clone();
                self.undeclared(offset, &name);
                Type::Error
            }
        }
    }

    /// `operand.?field`.
    fn optional_select(&mut self, id: Id, offset: Offset, call: &mut Call) -> Type {
        let [operand, field] = call.args.as_mut_slice() else { return Type::Error };
        let Kind::Literal(Literal::String(name)) = &field.kind else {
            self.report(field.offset, "unsupported optional field selection".to_owned());
            return Type::Error;
        };
        self.check(operand);
        let ty = self.field(offset, operand, name, true);
        let ty = self.bindings.substitute(&ty);
        self.refer(id, Reference::Function { name: operator::OPT_SELECT, overloads: vec![0] });
        self.set(field.id, Type::String);
        ty
    }

    /// Finds the overloads that take the arguments, and the type of the result.
    fn overload(&mut self, id: Id, offset: Offset, name: &'static str, function: &Function, call: &Call) -> Type {
        let args: Vec<Type> = call.target.iter().chain(&call.args).map(|arg| self.get(arg)).collect();
        if name == operator::AND || name == operator::OR {
            return self.logic(id, name, call, &args);
        }
        let mut result: Option<Type> = None;
        let mut overloads = Vec::new();
        for (index, overload) in function.overloads.iter().enumerate() {
            if overload.member != call.target.is_some() {
                continue;
            }
            let base = self.next_variable;
            let instance = |ty: &Type| replace(ty, &|number| Some(Type::Variable(base + number)));
            let params: Vec<Type> = overload.params.iter().map(instance).collect();
            if overload.params.iter().chain([&overload.result]).any(is_generic) {
                self.next_variable += FIRST_FREE;
            }
            if !self.bindings.assign(&args, &params) {
                continue;
            }
            overloads.push(index);
            let found = self.bindings.substitute(&instance(&overload.result));
            result = Some(match result {
                None => found,
                Some(known) if known.is_dyn() || known == found => known,
                Some(_) => Type::Dyn,
            });
        }
        let Some(result) = result else {
            self.no_overload(offset, name, &args, call.target.is_some());
            return Type::Error;
        };
        self.refer(id, Reference::Function { name, overloads });
        result
    }

    fn logic(&mut self, id: Id, name: &'static str, call: &Call, args: &[Type]) -> Type {
        let mut result = Type::Bool;
        for (arg, ty) in call.args.iter().zip(args) {
            if !self.assignable(ty, &Type::Bool) {
                self.mismatch(arg.offset, &Type::Bool, ty);
                result = Type::Error;
            }
        }
        self.refer(id, Reference::Function { name, overloads: vec![0] });
        result
    }

    fn no_overload(&mut self, offset: Offset, name: &str, args: &[Type], member: bool) {
        let types: Vec<String> = args.iter().map(|ty| self.bindings.settle(ty).to_string()).collect();
        let signature = match types.split_first() {
            Some((target, args)) if member => format!("{target}.({})", args.join(", ")),
            _ => format!("({})", types.join(", ")),
        };
        self.report(offset, format!("found no matching overload for '{name}' applied to '{signature}'"));
    }

    fn list(&mut self, items: &mut [Item]) -> Type {
        let mut element = None;
        for item in items {
            element = Some(self.element(&mut item.value, item.optional, element));
        }
        Type::list(element.unwrap_or_else(|| self.fresh()))
    }

    /// Checks an element of a literal; its type joined with that of the elements before.
    fn element(&mut self, expr: &mut Expr, optional: bool, previous: Option<Type>) -> Type {
        self.check(expr);
        let ty = self.initializer(expr, optional);
        let Some(previous) = previous else { return ty };
        if self.assignable(&previous, &ty) {
            return most_general(&previous, &ty).clone();
        }
        // Reported later, by the validator, which knows where mixed types are allowed.
        Type::Dyn
    }

    /// The type of a value in a literal: what `?` unwraps.
    fn initializer(&mut self, expr: &Expr, optional: bool) -> Type {
        let ty = self.get(expr);
        if !optional {
            return ty;
        }
        let (inner, was_optional) = ty.unwrap_optional();
        if !was_optional && !inner.is_dyn() {
            self.mismatch(expr.offset, &Type::optional(inner.clone()), inner);
        }
        inner.clone()
    }

    fn object(&mut self, expr: &mut Expr) -> Type {
        let offset = expr.offset;
        let Kind::Struct(name, fields) = &mut expr.kind else { return Type::Error };
        if self.environment.is_applied_object(name.trim_start_matches('.')) {
            let ty = Type::object(name.trim_start_matches('.'));
            for field in fields {
                self.check(&mut field.value);
                self.initializer(&field.value, field.optional);
            }
            return ty;
        }
        let found = self.environment.object(name.trim_start_matches('.')).cloned();
        let Some(shape) = found else {
            let name = name.clone();
            self.undeclared(offset, &name);
            return Type::Error;
        };
        for field in fields {
            self.check(&mut field.value);
            let declared = shape.object_name().map(|name| self.object_field(field.offset, name, &field.name));
            let declared = declared.unwrap_or(Type::Error);
            let ty = self.initializer(&field.value, field.optional);
            if !self.assignable(&declared, &ty) {
                let message =
                    format!("expected type of field '{}' is '{declared}' but provided type is '{ty}'", field.name);
                self.report(field.offset, message);
            }
        }
        shape.ty()
    }

    fn comprehension(&mut self, fold: &mut Comprehension) -> Type {
        self.check(&mut fold.range);
        self.check(&mut fold.init);
        let range = self.bindings.substitute(&self.get(&fold.range));
        let accumulator = self.get(&fold.init);
        let (first, second) = self.iterated(&fold.range, &range, fold.second.is_some());
        let outer = self.scopes.len();
        self.scopes.push((fold.accumulator.clone(), accumulator.clone()));
        self.scopes.push((fold.variable.clone(), first));
        if let Some(name) = &fold.second {
            self.scopes.push((name.clone(), second));
        }
        self.check(&mut fold.condition);
        self.assert(&fold.condition, &Type::Bool);
        self.check(&mut fold.step);
        self.assert(&fold.step, &accumulator);
        self.scopes.truncate(outer + 1);
        self.check(&mut fold.result);
        self.scopes.truncate(outer);
        self.bindings.substitute(&self.get(&fold.result))
    }

    /// The types of the one or two variables of a loop over `range`.
    fn iterated(&mut self, expr: &Expr, range: &Type, two: bool) -> (Type, Type) {
        match range {
            Type::List(element) if two => (Type::Int, (**element).clone()),
            Type::List(element) => ((**element).clone(), Type::Error),
            Type::Map(entry) => entry.as_ref().clone(),
            Type::Dyn | Type::Error | Type::Variable(_) => {
                self.assignable(&Type::Dyn, range);
                (Type::Dyn, Type::Dyn)
            }
            _ => {
                let message = format!(
                    "expression of type '{range}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.report(expr.offset, message);
                (Type::Error, Type::Error)
            }
        }
    }

    fn assert(&mut self, expr: &Expr, expected: &Type) {
        let found = self.get(expr);
        if !self.assignable(expected, &found) {
            self.mismatch(expr.offset, expected, &found);
        }
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

/// `a.b.c`, if the expression is only names and dots.
fn qualified_name(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Ident(name) => Some(name.clone()),
        Kind::Select(select) if !select.test => Some(format!("{}.{}", qualified_name(&select.operand)?, select.field)),
        _ => None,
    }
}

fn too_large(ty: &Type) -> bool {
    fn count(ty: &Type, left: usize) -> Option<usize> {
        let left = left.checked_sub(1)?;
        match ty {
            Type::List(inner) | Type::Optional(inner) | Type::Type(Some(inner)) => count(inner, left),
            Type::Map(entry) => count(&entry.1, count(&entry.0, left)?),
            _ => Some(left),
        }
    }
    count(ty, MAX_TYPE_PARTS).is_none()
}
