//! A document as a tree of nodes that know their lines: what the text says, before anything is made of it.

use std::{collections::HashMap, str::Utf8Error};

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::{Error, Position};
use crate::limits::DOCUMENT_DEPTH_MAX;

/// Index of a node in its tree.
pub(super) type Id = usize;

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where its first character is.
    pub(super) at: Position,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar {
        text: String,
        /// True when the text alone says what type it has: neither quoted nor tagged.
        plain: bool,
        /// `!!int` and the like; empty when there is none.
        tag: String,
    },
    Sequence(Vec<Id>),
    /// Keys and values in their order.
    Mapping(Vec<(Id, Id)>),
    Alias {
        name: String,
        target: Id,
    },
}

/// One document. The root is the first node.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    pub(super) const ROOT: Id = 0;

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    pub(super) fn start(&self) -> Position {
        self.node(Self::ROOT).at
    }

    /// True when there is nothing between the document marks.
    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.node(Self::ROOT).kind, Kind::Scalar { text, plain: true, .. } if text.is_empty())
    }

    /// See [`super::Document::position_of`].
    pub(super) fn position_of(&self, path: &str) -> Position {
        let (mut id, mut at, mut rest) = (Self::ROOT, self.start(), path);
        while let Some((next, key, tail)) = self.step(id, rest) {
            (id, at, rest) = (next, key, tail);
        }
        at
    }

    /// Follows the first part of a path: the child, where its key is, and the rest of the path.
    fn step<'a>(&self, id: Id, path: &'a str) -> Option<(Id, Position, &'a str)> {
        match &self.node(id).kind {
            Kind::Alias { target, .. } => self.step(*target, path),
            Kind::Sequence(items) => {
                let (index, tail) = path.strip_prefix('[')?.split_once(']')?;
                let item = *items.get(index.parse::<usize>().ok()?)?;
                Some((item, self.node(item).at, tail))
            }
            Kind::Mapping(entries) => {
                let matching = entries.iter().filter_map(|(key, value)| {
                    let Node { at, kind: Kind::Scalar { text, .. } } = self.node(*key) else { return None };
                    Some((*value, *at, key_tail(path, text)?))
                });
                // Keys may hold dots: the longest that fits is meant.
                matching.min_by_key(|(_, _, tail)| tail.len())
            }
            Kind::Scalar { .. } => None,
        }
    }
}

/// What follows `key` at the start of a path: `key…`, `.key…` or `[key]…`.
fn key_tail<'a>(path: &'a str, key: &str) -> Option<&'a str> {
    if path.is_empty() {
        return None;
    }
    if let Some(inside) = path.strip_prefix('[') {
        return inside.strip_prefix(key)?.strip_prefix(']');
    }
    let tail = path.strip_prefix('.').unwrap_or(path).strip_prefix(key)?;
    (tail.is_empty() || tail.starts_with(['.', '['])).then_some(tail)
}

/// The documents of a stream, one after the other; ends after an error.
pub(super) fn compose(text: &[u8]) -> impl Iterator<Item = Result<Tree, Error>> {
    let mut composer = Some(Composer::new(text));
    std::iter::from_fn(move || {
        let result = match composer.as_mut()? {
            Ok(composing) => composing.document().transpose(),
            Err(error) => Some(Err(error.clone())),
        };
        if !matches!(result, Some(Ok(_))) {
            composer = None;
        }
        result
    })
}

struct Composer<'a> {
    source: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    nodes: Vec<Node>,
    /// Nodes by the parser's number of their anchor.
    anchors: HashMap<usize, Id>,
}

/// What go-yaml says of bytes that are no text.
fn not_utf8(text: &[u8], error: &Utf8Error) -> Error {
    let first = text.get(error.valid_up_to()).copied().unwrap_or_default();
    let words = match (error.error_len(), first) {
        (None, _) => "incomplete UTF-8 octet sequence",
        (Some(_), 0xc0..=0xf7) => "invalid trailing UTF-8 octet",
        (Some(_), _) => "invalid leading UTF-8 octet",
    };
    Error::Content(words.to_owned())
}

impl<'a> Composer<'a> {
    fn new(text: &'a [u8]) -> Result<Self, Error> {
        let source = std::str::from_utf8(text).map_err(|error| not_utf8(text, &error))?;
        let source = source.strip_prefix('\u{feff}').unwrap_or(source);
        // go-yaml reads YAML 1.1, and nothing that says it is of another version.
        if source.strip_prefix("%YAML ").is_some_and(|rest| !rest.trim_start().starts_with("1.1")) {
            return Err(Error::Content("found incompatible YAML document".to_owned()));
        }
        if source.contains(is_unreadable) {
            return Err(Error::Content("control characters are not allowed".to_owned()));
        }
        let options = granit_parser::options! {
            emit_unresolved_aliases: true,
            emit_comments: false,
            flow_nesting_limit: DOCUMENT_DEPTH_MAX,
            block_nesting_limit: DOCUMENT_DEPTH_MAX,
        };
        let parser = Parser::new_from_str_with_options(source, options);
        Ok(Self { source, parser, nodes: Vec::new(), anchors: HashMap::new() })
    }

    fn document(&mut self) -> Result<Option<Tree>, Error> {
        loop {
            let Some((event, _)) = self.event()? else { return Ok(None) };
            match event {
                Event::DocumentStart(..) => break,
                Event::StreamEnd => return Ok(None),
                _ => {}
            }
        }
        self.nodes.clear();
        self.anchors.clear();
        let Some((event, span)) = self.event()? else { return Ok(None) };
        self.node(event, span, 0)?;
        // The end of the document: what follows the root may be wrong too.
        self.event()?;
        Ok(Some(Tree { nodes: std::mem::take(&mut self.nodes) }))
    }

    fn event(&mut self) -> Result<Option<(Event<'a>, Span)>, Error> {
        let result = self.parser.next().transpose();
        result.map_err(|error| Error::from_scan(&error, 1 + self.source.matches('\n').count()))
    }

    /// Adds the node that starts with `event`, and everything in it.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Id, Error> {
        if depth > DOCUMENT_DEPTH_MAX {
            return Err(Error::Content(format!("exceeded max depth of {DOCUMENT_DEPTH_MAX}")));
        }
        let at = Position::of(&span.start);
        let id = self.nodes.len();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let (tag, tagged) = tag_name(tag.as_deref());
                let plain = style == ScalarStyle::Plain && !tagged;
                // The parser writes `~` for what is not there.
                let text =
                    if style == ScalarStyle::Plain && span.is_empty() { String::new() } else { text.into_owned() };
                self.add(at, Kind::Scalar { text, plain, tag }, anchor);
            }
            Event::SequenceStart(_, anchor, _) => {
                self.add(at, Kind::Sequence(Vec::new()), anchor);
                let items = self.sequence(depth)?;
                self.nodes[id].kind = Kind::Sequence(items);
            }
            Event::MappingStart(_, anchor, _) => {
                self.add(at, Kind::Mapping(Vec::new()), anchor);
                let entries = self.mapping(depth)?;
                self.nodes[id].kind = Kind::Mapping(entries);
            }
            Event::Alias(anchor) => {
                let name = span.slice(self.source).unwrap_or_default().trim_start_matches('*').to_owned();
                let Some(&target) = self.anchors.get(&anchor) else { return Err(unknown_anchor(&name)) };
                self.add(at, Kind::Alias { name, target }, 0);
            }
            Event::UnresolvedAlias(name) => return Err(unknown_anchor(&name)),
            _ => return Err(Error::Content("did not find expected node content".to_owned())),
        }
        Ok(id)
    }

    fn add(&mut self, at: Position, kind: Kind, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, self.nodes.len());
        }
        self.nodes.push(Node { at, kind });
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Id>, Error> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                Some((Event::SequenceEnd, _)) | None => return Ok(items),
                Some((event, span)) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(Id, Id)>, Error> {
        let mut entries = Vec::new();
        loop {
            let key = match self.event()? {
                Some((Event::MappingEnd, _)) | None => return Ok(entries),
                Some((event, span)) => self.node(event, span, depth + 1)?,
            };
            let Some((event, span)) = self.event()? else { return Ok(entries) };
            entries.push((key, self.node(event, span, depth + 1)?));
        }
    }
}

fn unknown_anchor(name: &str) -> Error {
    Error::Content(format!("unknown anchor '{name}' referenced"))
}

/// A tag in its short form, and whether there was one at all. The tag `!` only says that the scalar is text.
fn tag_name(tag: Option<&Tag>) -> (String, bool) {
    let Some(tag) = tag else { return (String::new(), false) };
    let full = format!("{}{}", tag.handle(), tag.suffix());
    if full == "!" {
        return (String::new(), true);
    }
    match full.strip_prefix("tag:yaml.org,2002:") {
        Some(short) => (format!("!!{short}"), true),
        None => (full, true),
    }
}

/// What YAML does not allow anywhere in a text.
fn is_unreadable(character: char) -> bool {
    !matches!(character,
        '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}'
        | '\u{10000}'..)
}
