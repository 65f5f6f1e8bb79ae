//! Text to syntax tree, by the grammar of CEL with optional syntax.

use crate::ast::{Call, Entry, Expr, Field, Item, Kind as Node, Literal, Select, operator};
use crate::builder::Builder;
use crate::escape::RESERVED;
use crate::infix::{Infix, Level, infix};
use crate::lexer::{Kind, Token};
use crate::literal::literal;
use crate::macros;
use crate::minor::Minor;
use crate::recovery::{Abandoned, Cursor, Kinds, OPERAND, PRIMARY};
use crate::source::{Issue, Issues, Offset};

/// Code points an expression may have; cel-go's default.
const MAX_CHARACTERS: usize = 100_000;
/// Nested or chained rules of one kind; cel-go's default.
const MAX_DEPTH: usize = 250;
/// The syntax tree of an expression and the number of its nodes.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) root: Expr,
    pub(crate) nodes: usize,
}

/// Parses a whole expression and expands its macros as a release has them, and `cel.bind` if `binding` says so.
pub(crate) fn parse(source: &str, binding: bool, minor: Minor) -> Result<Parsed, Issues> {
    let characters = source.chars().count();
    if characters > MAX_CHARACTERS {
        let message = format!("expression code point size exceeds limit: size: {characters}, limit {MAX_CHARACTERS}");
        return Err(Issues::new("", vec![Issue { offset: Offset::NOWHERE, message }]));
    }
    let mut parser = Parser { cursor: Cursor::new(source), tree: Builder::new(binding, minor), depth: 0 };
    let root = parser.start();
    let nodes = parser.tree.nodes();
    let issues = parser.cursor.into_issues();
    match root {
        Ok(root) if issues.is_empty() => Ok(Parsed { root, nodes }),
        _ => Err(Issues::new(source, issues)),
    }
}

struct Parser<'s> {
    cursor: Cursor<'s>,
    tree: Builder,
    /// How many expressions the present one is part of.
    depth: usize,
}

type Parse<T = Expr> = Result<T, Abandoned>;

/// [`Parser::before`] or [`Parser::inside`].
type Nested<'s> = fn(&mut Parser<'s>, &[Kind], fn(&mut Parser<'s>) -> Parse) -> Parse;

impl<'s> Parser<'s> {
    fn start(&mut self) -> Parse {
        let root = self.expr()?;
        self.cursor.expect(Kind::End)?;
        Ok(root)
    }

    fn node(&mut self, offset: Offset, kind: Node) -> Parse {
        let node = self.tree.node(offset, kind);
        self.within_limits(node)
    }

    fn within_limits(&mut self, node: Expr) -> Parse {
        match self.tree.excess(&node) {
            Some(excess) => Err(self.stop(excess.to_owned())),
            None => Ok(node),
        }
    }

    fn stop(&mut self, message: String) -> Abandoned {
        self.cursor.report(Offset::NOWHERE, message);
        Abandoned::FATAL
    }

    fn too_deep(&mut self) -> Abandoned {
        self.stop(format!("expression recursion limit exceeded: {MAX_DEPTH}"))
    }

    /// Goes on after an error inside a rule unless the error was fatal.
    fn resume(&mut self, rule: Parse, recover: fn(&mut Cursor<'s>, &Abandoned)) -> Parse {
        match rule {
            Err(error) if !error.fatal => {
                recover(&mut self.cursor, &error);
                let offset = self.cursor.look(0).offset();
                Ok(self.tree.node(offset, Node::Invalid))
            }
            done => done,
        }
    }

    /// Parses with `rule`, knowing that one of `kinds` comes after it.
    fn before<T>(&mut self, kinds: &[Kind], rule: fn(&mut Self) -> Parse<T>) -> Parse<T> {
        self.nested(kinds, false, rule)
    }

    /// As [`Parser::before`], inside a name, literal or bracket.
    fn inside<T>(&mut self, kinds: &[Kind], rule: fn(&mut Self) -> Parse<T>) -> Parse<T> {
        self.nested(kinds, true, rule)
    }

    fn nested<T>(&mut self, kinds: &[Kind], in_primary: bool, rule: fn(&mut Self) -> Parse<T>) -> Parse<T> {
        self.cursor.enter(Kinds::of(kinds), in_primary);
        let result = rule(self);
        self.cursor.leave();
        result
    }

    /// An expression with a possible `? :`.
    fn expr(&mut self) -> Parse {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        let result = self.conditional();
        self.depth -= 1;
        self.resume(result, Cursor::recover)
    }

    fn conditional(&mut self) -> Parse {
        let condition = self.operators()?;
        match self.cursor.take_if(Kind::Question) {
            None => Ok(condition),
            Some(question) => self.branches(question, condition),
        }
    }

    fn branches(&mut self, question: Token, condition: Expr) -> Parse {
        let yes = self.before(&[Kind::Colon], Self::operators)?;
        let colon = self.cursor.expect(Kind::Colon).map_err(|error| error.of_rule(Kind::Question));
        let no = match colon {
            Ok(_) => self.expr()?,
            Err(error) => self.resume(Err(error), Cursor::recover)?,
        };
        self.operation(question, operator::CONDITIONAL, vec![condition, yes, no])
    }

    /// Operands with infix operators between them.
    fn operators(&mut self) -> Parse {
        let first = self.operand()?;
        if infix(self.cursor.kind()).is_none() {
            return Ok(first);
        }
        let (mut operands, mut operators) = (vec![first], Vec::new());
        while let Some((level, function)) = infix(self.cursor.kind()) {
            operators.push(Infix { level, function, token: self.cursor.take() });
            operands.push(self.operand()?);
        }
        self.group(&operators, &mut operands.into_iter(), Level::Or)
    }

    /// Makes a tree of operands and the operators between them, none of which binds looser than `level`.
    fn group(&mut self, operators: &[Infix], operands: &mut std::vec::IntoIter<Expr>, level: Level) -> Parse {
        let Some(tighter) = level.tighter() else { return self.next_operand(operands) };
        let mut parts = operators.split(|operator| operator.level == level);
        let here: Vec<&Infix> = operators.iter().filter(|operator| operator.level == level).collect();
        let mut terms = Vec::with_capacity(here.len() + 1);
        for part in &mut parts {
            terms.push(self.group(part, operands, tighter)?);
        }
        let mut terms = terms.into_iter();
        if matches!(level, Level::Or | Level::And) {
            return self.balance(&here, &mut terms);
        }
        if here.len() >= MAX_DEPTH {
            return Err(self.too_deep());
        }
        let mut left = self.next_operand(&mut terms)?;
        for operator in here {
            let right = self.next_operand(&mut terms)?;
            left = self.operation(operator.token, operator.function, vec![left, right])?;
        }
        Ok(left)
    }

    fn next_operand(&mut self, operands: &mut std::vec::IntoIter<Expr>) -> Parse {
        let offset = self.cursor.look(0).offset();
        Ok(operands.next().unwrap_or_else(|| self.tree.node(offset, Node::Invalid)))
    }

    /// A chain of `&&` or `||`, made into a balanced tree.
    fn balance(&mut self, operators: &[&Infix], terms: &mut std::vec::IntoIter<Expr>) -> Parse {
        let middle = operators.len() / 2;
        let Some(operator) = operators.get(middle) else { return self.next_operand(terms) };
        let left = self.balance(&operators[..middle], terms)?;
        let right = self.balance(&operators[middle + 1..], terms)?;
        self.operation(operator.token, operator.function, vec![left, right])
    }

    fn operation(&mut self, token: Token, function: &str, args: Vec<Expr>) -> Parse {
        self.call(token.offset(), function, None, args)
    }

    /// A call, or what the macro of this name makes of it.
    fn call(&mut self, offset: Offset, function: &str, target: Option<Expr>, args: Vec<Expr>) -> Parse {
        let call = Call { target, function: function.to_owned(), args };
        match macros::expand(&mut self.tree, offset, call) {
            Ok(node) => self.within_limits(node),
            Err(issue) => {
                let offset = issue.offset;
                self.cursor.report(offset, issue.message);
                self.node(offset, Node::Invalid)
            }
        }
    }

    fn operand(&mut self) -> Parse {
        let operand = match self.cursor.sync(OPERAND) {
            Err(abandoned) => Err(abandoned),
            Ok(()) => match self.cursor.kind() {
                Kind::Not => self.not(),
                Kind::Minus if !self.is_negative_literal() => self.negate(),
                _ => self.member(),
            },
        };
        self.resume(operand, Cursor::recover)
    }

    fn is_negative_literal(&self) -> bool {
        matches!(self.cursor.look(1).kind, Kind::Int | Kind::Float)
    }

    fn not(&mut self) -> Parse {
        let first = self.cursor.look(0);
        let mut count = 0;
        while self.cursor.take_if(Kind::Not).is_some() {
            count += 1;
            self.cursor.sync_repetition(OPERAND);
        }
        let operand = self.member()?;
        if count % 2 == 0 { Ok(operand) } else { self.operation(first, operator::NOT, vec![operand]) }
    }

    fn negate(&mut self) -> Parse {
        let first = self.cursor.look(0);
        let mut count = 0;
        while self.cursor.kind() == Kind::Minus {
            if !PRIMARY.has(self.cursor.look(1).kind) {
                return Err(self.cursor.no_alternative(1, OPERAND));
            }
            self.cursor.take();
            count += 1;
        }
        let operand = self.member()?;
        if count % 2 == 0 { Ok(operand) } else { self.operation(first, operator::NEGATE, vec![operand]) }
    }

    /// An operand with its `.field`, `.method()` and `[index]` suffixes.
    fn member(&mut self) -> Parse {
        let primary = self.primary();
        let mut operand = self.resume(primary, Cursor::recover_primary)?;
        for _ in 0..MAX_DEPTH {
            operand = match self.cursor.kind() {
                Kind::Dot if !SUFFIX_NAMES.has(self.cursor.look(1).kind) => {
                    let error = self.cursor.no_alternative(1, SUFFIX_NAMES);
                    self.resume(Err(error), Cursor::recover)?;
                    return Ok(operand);
                }
                Kind::Dot => self.field_or_method(operand)?,
                Kind::LeftBracket => self.index(operand)?,
                _ => return Ok(operand),
            };
        }
        Err(self.too_deep())
    }

    fn field_or_method(&mut self, operand: Expr) -> Parse {
        let dot = self.cursor.take();
        let optional = self.cursor.take_if(Kind::Question).is_some();
        if optional && let Err(error) = self.cursor.sync(FIELD_NAMES) {
            let offset = self.cursor.look(0).offset();
            let name = self.resume(Err(error), Cursor::recover_primary)?;
            self.cursor.report(offset, "unsupported ident kind".to_owned());
            return Ok(name);
        }
        let token = self.cursor.take();
        let name = self.field_name(token);
        let is_call = !optional && token.kind == Kind::Identifier && self.cursor.kind() == Kind::LeftParen;
        if is_call {
            let open = self.cursor.take();
            let mut args = Vec::new();
            let closed = self.arguments(Self::before, &mut args);
            let call = self.call(open.offset(), &name, Some(operand), args)?;
            return closed.map(|()| call);
        }
        if optional {
            let field = self.node(token.offset(), Node::Literal(Literal::String(name)))?;
            return self.operation(dot, operator::OPT_SELECT, vec![operand, field]);
        }
        self.node(dot.offset(), Node::Select(Box::new(Select { operand, field: name, test: false })))
    }

    fn field_name(&self, token: Token) -> String {
        self.cursor.text(token).trim_matches('`').to_owned()
    }

    fn index(&mut self, operand: Expr) -> Parse {
        let open = self.cursor.take();
        self.cursor.sync_option(OPTIONAL_OPERAND)?;
        let optional = self.cursor.take_if(Kind::Question).is_some();
        let index = self.before(&[Kind::RightBracket], Self::expr)?;
        self.cursor.expect(Kind::RightBracket)?;
        let function = if optional { operator::OPT_INDEX } else { operator::INDEX };
        self.operation(open, function, vec![operand, index])
    }

    /// What stands between the parentheses of a call, the opening one already taken.
    fn arguments(&mut self, nested: Nested<'s>, args: &mut Vec<Expr>) -> Parse<()> {
        let ends = [Kind::Comma, Kind::RightParen];
        if self.cursor.kind() != Kind::RightParen {
            self.cursor.sync(OPERAND.with(Kinds::of(&[Kind::RightParen])))?;
        }
        if self.cursor.kind() != Kind::RightParen {
            args.push(nested(self, &ends, Self::expr)?);
            while self.cursor.take_if(Kind::Comma).is_some() {
                args.push(nested(self, &ends, Self::expr)?);
            }
        }
        self.cursor.expect(Kind::RightParen).map(|_| ())
    }

    fn primary(&mut self) -> Parse {
        if !PRIMARY.has(self.cursor.kind()) {
            return Err(self.cursor.no_alternative(0, PRIMARY));
        }
        match self.cursor.kind() {
            Kind::LeftParen => self.parenthesized(),
            Kind::LeftBracket => self.list(),
            Kind::LeftBrace => self.map(),
            Kind::Dot | Kind::Identifier => self.name(),
            _ => self.literal(),
        }
    }

    fn parenthesized(&mut self) -> Parse {
        self.cursor.take();
        let inner = self.inside(&[Kind::RightParen], Self::expr)?;
        self.cursor.expect(Kind::RightParen)?;
        Ok(inner)
    }

    /// A variable, a global function call or an object literal.
    fn name(&mut self) -> Parse {
        let start = self.cursor.look(0).offset();
        if self.cursor.kind() == Kind::Dot && self.cursor.look(1).kind != Kind::Identifier {
            return Err(self.cursor.no_alternative(1, PRIMARY));
        }
        let dot = if self.cursor.take_if(Kind::Dot).is_some() { "." } else { "" };
        if let Some(words) = self.object_name() {
            return self.object(dot, words);
        }
        let token = self.cursor.take();
        let word = self.cursor.text(token);
        let name = format!("{dot}{word}");
        let open = self.cursor.take_if(Kind::LeftParen);
        let mut args = Vec::new();
        if open.is_some()
            && let Err(error) = self.arguments(Self::inside, &mut args)
        {
            self.resume(Err(error), Cursor::recover_primary)?;
        }
        if RESERVED.contains(&word) {
            self.cursor.report(start, format!("reserved identifier: {word}"));
            return self.node(start, Node::Invalid);
        }
        match open {
            Some(open) => self.call(open.offset(), &name, None, args),
            None => self.node(token.offset(), Node::Ident(name)),
        }
    }

    /// How many tokens name the type of an object literal, if one begins here: `a.b.C{`.
    fn object_name(&self) -> Option<usize> {
        let mut length = 1;
        while self.cursor.look(length).kind == Kind::Dot && self.cursor.look(length + 1).kind == Kind::Identifier {
            length += 2;
        }
        (self.cursor.look(length).kind == Kind::LeftBrace).then_some(length)
    }

    fn object(&mut self, dot: &str, words: usize) -> Parse {
        let mut name = dot.to_owned();
        for _ in 0..words {
            let token = self.cursor.take();
            name.push_str(self.cursor.text(token));
        }
        let open = self.cursor.take();
        let fields = self.entries(SUFFIX_NAMES, Self::field)?;
        self.node(open.offset(), Node::Struct(name, fields))
    }

    fn field(&mut self) -> Parse<Field> {
        let optional = self.cursor.take_if(Kind::Question).is_some();
        self.cursor.sync(FIELD_NAMES)?;
        let token = self.cursor.take();
        let name = self.field_name(token);
        let offset = self.cursor.expect(Kind::Colon)?.offset();
        let value = self.expr()?;
        Ok(Field { offset, name, value, optional })
    }

    fn map(&mut self) -> Parse {
        let open = self.cursor.take();
        let entries = self.entries(OPTIONAL_OPERAND, Self::entry)?;
        self.node(open.offset(), Node::Map(entries))
    }

    fn entry(&mut self) -> Parse<Entry> {
        let optional = self.cursor.take_if(Kind::Question).is_some();
        let key = self.before(&[Kind::Colon], Self::expr)?;
        self.cursor.expect(Kind::Colon)?;
        let value = self.expr()?;
        Ok(Entry { key, value, optional })
    }

    /// Comma-separated entries, each beginning with one of `first`, up to and including the closing brace; a trailing
    /// comma is allowed.
    fn entries<T>(&mut self, first: Kinds, entry: fn(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        let ends = Kinds::of(&[Kind::RightBrace, Kind::Comma]);
        self.cursor.sync(first.with(ends))?;
        let mut entries = Vec::new();
        while !ends.has(self.cursor.kind()) {
            match self.inside(&[Kind::Comma, Kind::RightBrace], entry) {
                Ok(entry) => entries.push(entry),
                Err(error) if error.fatal => return Err(error),
                Err(error) => {
                    self.cursor.enter(ends, true);
                    self.cursor.recover(&error);
                    self.cursor.leave();
                    break;
                }
            }
            if !self.another(first) {
                break;
            }
        }
        self.cursor.sync_option(ends)?;
        self.cursor.take_if(Kind::Comma);
        self.cursor.expect(Kind::RightBrace)?;
        Ok(entries)
    }

    /// Whether a comma and one of `first` come next; takes the comma.
    fn another(&mut self, first: Kinds) -> bool {
        let more = self.cursor.kind() == Kind::Comma && first.has(self.cursor.look(1).kind);
        if more {
            self.cursor.take();
        }
        more
    }

    fn list(&mut self) -> Parse {
        let open = self.cursor.take();
        let ends = Kinds::of(&[Kind::RightBracket, Kind::Comma]);
        self.cursor.sync(OPTIONAL_OPERAND.with(ends))?;
        let mut items = Vec::new();
        while !ends.has(self.cursor.kind()) {
            let optional = self.cursor.take_if(Kind::Question).is_some();
            let value = self.inside(&[Kind::Comma, Kind::RightBracket], Self::expr)?;
            items.push(Item { value, optional });
            if !self.another(OPTIONAL_OPERAND) {
                break;
            }
        }
        self.cursor.sync_option(ends)?;
        self.cursor.take_if(Kind::Comma);
        self.cursor.expect(Kind::RightBracket)?;
        self.node(open.offset(), Node::List(items))
    }

    fn literal(&mut self) -> Parse {
        let offset = self.cursor.look(0).offset();
        let negative = self.cursor.kind() == Kind::Minus;
        if negative && !self.is_negative_literal() {
            return Err(self.cursor.no_alternative(1, PRIMARY));
        }
        if negative {
            self.cursor.take();
        }
        let token = self.cursor.take();
        match literal(token.kind, self.cursor.text(token), negative) {
            Ok(literal) => self.node(offset, Node::Literal(literal)),
            Err(message) => {
                self.cursor.report(offset, message.to_owned());
                self.node(offset, Node::Invalid)
            }
        }
    }
}

const FIELD_NAMES: Kinds = Kinds::of(&[Kind::Identifier, Kind::EscapedIdentifier]);
/// What can come after a dot, and begin a field of an object.
const SUFFIX_NAMES: Kinds = FIELD_NAMES.with(Kinds::of(&[Kind::Question]));

const OPTIONAL_OPERAND: Kinds = OPERAND.with(Kinds::of(&[Kind::Question]));
