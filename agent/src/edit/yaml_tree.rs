//! A YAML document as nodes with the byte ranges of their source.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, StructureStyle};

use super::error::{At, EditError};
use super::span;

/// Deepest nesting that is read.
const DEPTH_LIMIT: usize = 100;

/// How many times more nodes aliases may stand for than the file holds itself. The reader of values has the same limit.
const ALIAS_FACTOR: u64 = 100;

/// Most nodes that the aliases of a file may stand for.
const ALIAS_LIMIT: u64 = 1_000_000;

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its source, without anchor and tag. A block collection has the place of its first entry only.
    pub(crate) span: Range<usize>,
    /// End of its content: no comment, no white space behind it.
    pub(crate) end: usize,
    /// Number of its anchor; 0 for none.
    pub(crate) anchor: usize,
    pub(crate) tagged: bool,
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Text, without quotes and escapes, and how it is written.
    Scalar(String, ScalarStyle),
    /// Number of the anchor that it stands for.
    Alias(usize),
    /// Items, and whether they are written in brackets.
    List(Vec<Node>, bool),
    /// Keys with values.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// Name of the kind, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Scalar(..) => "a single value",
            Kind::Alias(_) => "an alias",
            Kind::List(..) => "a list",
            Kind::Map(..) => "a table",
        }
    }

    fn children(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::Scalar(..) | Kind::Alias(_) => Vec::new(),
            Kind::List(items, _) => items.iter().collect(),
            Kind::Map(entries) => entries.iter().flat_map(|(k, v)| [k, v]).collect(),
        }
    }

    /// Calls `f` for the node and all below it, until `f` says not to go below one.
    pub(crate) fn each<'a>(&'a self, f: &mut impl FnMut(&'a Node) -> bool) {
        if f(self) {
            for child in self.children() {
                child.each(f);
            }
        }
    }

    /// Every node with an anchor, by its number.
    pub(crate) fn anchors(&self) -> BTreeMap<usize, &Node> {
        let mut anchors = BTreeMap::new();
        self.each(&mut |node| {
            if node.anchor != 0 {
                anchors.insert(node.anchor, node);
            }
            true
        });
        anchors
    }
}

/// Reads one document without a byte order mark. `None`: the file holds no value.
pub(crate) fn read(text: &str) -> Result<Option<Node>, EditError> {
    let parser = Parser::new_from_str(text);
    let mut reader = Reader { text, parser, nodes: 0, repeated: 0, weights: BTreeMap::new() };
    let mut root = None;
    loop {
        let (event, at) = reader.next()?;
        match event {
            Event::StreamEnd => {
                let limit = ALIAS_LIMIT.min(reader.nodes.saturating_mul(ALIAS_FACTOR));
                return if reader.repeated > limit { Err(EditError::TooManyAliases { limit }) } else { Ok(root) };
            }
            Event::StreamStart | Event::DocumentEnd => {}
            Event::DocumentStart(..) if root.is_none() => {
                let (event, at) = reader.next()?;
                root = Some(reader.node(event, &at, 0)?);
            }
            _ => return Err(reader.wrong("more than one document", Some(at.start))),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    /// Nodes so far.
    nodes: u64,
    /// Nodes that the aliases so far stand for, aliases in them counted out.
    repeated: u64,
    /// By anchor: how many nodes it stands for, likewise.
    weights: BTreeMap<usize, u64>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), EditError> {
        match self.parser.next_event() {
            None => Err(self.wrong("the document does not end", None)),
            Some(Ok((event, at))) => {
                let range = self.range(at).ok_or_else(|| self.wrong("a place is outside the text", None))?;
                Ok((event, range))
            }
            Some(Err(error)) => {
                let at = Some(At {
                    line: u32::try_from(error.marker().line()).unwrap_or(u32::MAX),
                    column: u32::try_from(error.marker().col() + 1).unwrap_or(u32::MAX),
                });
                Err(match error.kind() {
                    ErrorKind::RecursionLimitExceeded => EditError::TooDeep { limit: DEPTH_LIMIT, at },
                    kind => EditError::Syntax { format: "YAML", what: kind.to_string(), at },
                })
            }
        }
    }

    fn range(&self, at: Span) -> Option<Range<usize>> {
        let range = at.byte_range()?;
        self.text.get(range.clone()).map(|_| range)
    }

    fn wrong(&self, what: &str, at: Option<usize>) -> EditError {
        let at = at.map(|at| span::place(self.text.as_bytes(), at));
        EditError::Syntax { format: "YAML", what: what.to_owned(), at }
    }

    fn node(&mut self, event: Event<'a>, at: &Range<usize>, depth: usize) -> Result<Node, EditError> {
        if depth > DEPTH_LIMIT {
            let at = Some(span::place(self.text.as_bytes(), at.start));
            return Err(EditError::TooDeep { limit: DEPTH_LIMIT, at });
        }
        let before = self.nodes.saturating_add(self.repeated);
        self.nodes += 1;
        let mut node = Node { span: at.clone(), end: at.end, anchor: 0, tagged: false, kind: Kind::Alias(0) };
        match event {
            Event::Alias(anchor) => {
                // An alias inside its own anchor has no weight yet; the reader of values refuses it.
                let weight = self.weights.get(&anchor).copied().unwrap_or(1);
                self.repeated = self.repeated.saturating_add(weight);
                node.kind = Kind::Alias(anchor);
            }
            Event::Scalar(text, style, anchor, tag) => {
                (node.anchor, node.tagged) = (anchor, tag.is_some());
                // A block scalar reaches to its last line end, white space that it keeps included.
                node.end = at.start + self.text[at.clone()].trim_end().len();
                node.kind = Kind::Scalar(text.into_owned(), style);
            }
            Event::SequenceStart(style, anchor, tag) => {
                (node.anchor, node.tagged) = (anchor, tag.is_some());
                let flow = style == StructureStyle::Flow;
                let mut items = Vec::new();
                let close = loop {
                    match self.next()? {
                        (Event::SequenceEnd, at) => break at,
                        (event, at) => items.push(self.node(event, &at, depth + 1)?),
                    }
                };
                node.end = if flow { close.end } else { items.last().map_or(at.end, |i: &Node| i.end) };
                node.kind = Kind::List(items, flow);
            }
            Event::MappingStart(style, anchor, tag) => {
                (node.anchor, node.tagged) = (anchor, tag.is_some());
                let flow = style == StructureStyle::Flow;
                let (entries, close) = self.entries(depth)?;
                let last = entries.last().map_or(at.end, |(k, v)| v.end.max(k.end));
                node.end = if flow { close.end } else { last };
                node.kind = Kind::Map(entries);
            }
            _ => return Err(self.wrong("a value is missing", Some(at.start))),
        }
        if node.anchor != 0 {
            self.weights.insert(node.anchor, self.nodes.saturating_add(self.repeated).saturating_sub(before));
        }
        Ok(node)
    }

    #[expect(clippy::type_complexity, reason = "pairs of nodes and a range; a name would say no more")]
    fn entries(&mut self, depth: usize) -> Result<(Vec<(Node, Node)>, Range<usize>), EditError> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok((entries, at));
            }
            let key = self.node(event, &at, depth + 1)?;
            if let Kind::Scalar(text, _) = &key.kind
                && !seen.insert(text.clone())
            {
                return Err(self.wrong("a key stands twice in one table", Some(key.span.start)));
            }
            let (event, at) = self.next()?;
            let value = self.node(event, &at, depth + 1)?;
            entries.push((key, value));
        }
    }
}
