//! From YAML events to a [`Tree`], within limits.
//!
//! In: text. Out: a tree, and what is wrong with the text. The only module that knows the YAML crate. Never
//! add here: typing, or knowledge of keys.

mod keys;

use crate::config::position::At;
use crate::config::problem::{ProblemKind, quoted};
use crate::config::tree::{Body, Entry, Node, NodeId, Tree};
use serde_yaml::granit_parser::{
    ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag, options,
};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The largest file that is parsed, in bytes.
pub(super) const MAX_BYTES: usize = 8 << 20;
/// The most nodes of one file, entries that were merged by `<<` included.
const MAX_NODES: usize = 200_000;
/// The deepest nesting; `sppm.yaml` needs eight.
const MAX_DEPTH: usize = 32;
/// The most aliases of one file.
const MAX_ALIASES: usize = 100_000;

/// What is wrong with a text.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: ProblemKind,
    pub(super) at: At,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) first: Option<At>,
}

/// Parses a text. A fault that is not a duplicate key ends the parse: the tree is then what came before it.
pub(super) fn parse(file: u32, text: &str) -> (Tree<'_>, Vec<Fault>) {
    let mut builder = Builder::new(file, text);
    if text.len() > MAX_BYTES {
        builder.faults.push(builder.too_large((0, 0), format!("the file has more than {MAX_BYTES} bytes")));
        return (builder.tree, builder.faults);
    }
    if let Err(fault) = builder.run(text) {
        builder.tree.root = None;
        builder.faults.push(*fault);
    }
    (builder.tree, builder.faults)
}

type Step<T = ()> = Result<T, Box<Fault>>;

/// A list or map that is open.
enum Frame<'t> {
    Seq { node: NodeId, anchor: usize, pending: usize },
    Map { node: NodeId, anchor: usize, pending: usize, key: Option<Key<'t>> },
}

struct Key<'t> {
    text: Cow<'t, str>,
    span: (u32, u32),
    plain: bool,
}

struct Builder<'t> {
    text: &'t str,
    tree: Tree<'t>,
    faults: Vec<Fault>,
    frames: Vec<Frame<'t>>,
    /// Elements and entries of the open lists and maps, innermost last.
    items: Vec<NodeId>,
    entries: Vec<Entry<'t>>,
    anchors: BTreeMap<usize, NodeId>,
    aliases: usize,
    merged: usize,
    documents: usize,
}

impl<'t> Builder<'t> {
    fn new(file: u32, text: &'t str) -> Self {
        Self {
            text,
            tree: Tree::new(file),
            faults: Vec::new(),
            frames: Vec::new(),
            items: Vec::new(),
            entries: Vec::new(),
            anchors: BTreeMap::new(),
            aliases: 0,
            merged: 0,
            documents: 0,
        }
    }

    fn run(&mut self, text: &'t str) -> Step {
        let options = options! {
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
            emit_comments: false,
        };
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| Box::new(self.syntax(&error)))?;
            self.event(event, self.range(&span))?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'t>, span: (u32, u32)) -> Step {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                match self.documents {
                    1 => Ok(()),
                    _ => Err(self.fault(
                        ProblemKind::Syntax,
                        span,
                        "a second document begins here",
                        Some("one file holds one document: remove the `---`"),
                    )),
                }
            }
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag, span),
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag, span)?;
                let node = self.push(span, Body::Seq { first: 0, len: 0 })?;
                self.open(Frame::Seq { node, anchor, pending: self.items.len() }, span)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag, span)?;
                let node = self.push(span, Body::Map { first: 0, len: 0 })?;
                self.open(Frame::Map { node, anchor, pending: self.entries.len(), key: None }, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, span),
            // Stream and document marks, and comments: nothing to build.
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'t, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        span: (u32, u32),
    ) -> Step {
        // `!!str` and `!` say "a text", as quotes do.
        let is_text = match tag.as_deref() {
            None => false,
            Some(tag) if tag.is_yaml_core_schema_tag("str") || tag.original() == "!" => true,
            Some(_) => return self.refuse_tag(tag, span),
        };
        let plain = matches!(style, ScalarStyle::Plain) && !is_text;
        if let Some(Frame::Map { key: key @ None, .. }) = self.frames.last_mut() {
            *key = Some(Key { text: text.clone(), span, plain });
            if anchor != 0 {
                let node = self.push(span, Body::Scalar { text, plain })?;
                self.anchors.insert(anchor, node);
            }
            return Ok(());
        }
        let node = self.push(span, Body::Scalar { text, plain })?;
        self.finish(node, anchor);
        Ok(())
    }

    /// Makes a node. Its limit is the parse's limit.
    fn push(&mut self, span: (u32, u32), body: Body<'t>) -> Step<NodeId> {
        if self.tree.nodes.len() + self.merged >= MAX_NODES {
            return Err(Box::new(self.too_large(span, format!("more than {MAX_NODES} values"))));
        }
        self.tree.nodes.push(Node { span, body });
        Ok(self.tree.nodes.len() as NodeId - 1)
    }

    fn open(&mut self, frame: Frame<'t>, span: (u32, u32)) -> Step {
        if let Some(Frame::Map { key: None, .. }) = self.frames.last() {
            return Err(self.fault(
                ProblemKind::Syntax,
                span,
                "a key must be a text",
                Some("write it in quotes"),
            ));
        }
        if self.frames.len() >= MAX_DEPTH {
            return Err(Box::new(self.too_large(span, format!("nested deeper than {MAX_DEPTH} levels"))));
        }
        self.frames.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Step {
        match self.frames.pop() {
            Some(Frame::Seq { node, anchor, pending }) => {
                let first = self.tree.items.len() as u32;
                self.tree.items.extend(self.items.drain(pending..));
                let len = self.tree.items.len() as u32 - first;
                self.tree.nodes[node as usize].body = Body::Seq { first, len };
                self.finish(node, anchor);
            }
            Some(Frame::Map { node, anchor, pending, .. }) => {
                let entries = self.entries.split_off(pending);
                let entries = self.unique(entries);
                let entries = self.merge(entries)?;
                let first = self.tree.entries.len() as u32;
                let len = entries.len() as u32;
                self.tree.entries.extend(entries);
                self.tree.nodes[node as usize].body = Body::Map { first, len };
                self.finish(node, anchor);
            }
            None => {}
        }
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn finish(&mut self, node: NodeId, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node);
        }
        match self.frames.last_mut() {
            None => self.tree.root = Some(node),
            Some(Frame::Seq { .. }) => self.items.push(node),
            Some(Frame::Map { key, .. }) => {
                if let Some(Key { text, span, plain }) = key.take() {
                    self.entries.push(Entry { key: text, key_span: span, plain, value: node });
                }
            }
        }
    }

    fn alias(&mut self, id: usize, span: (u32, u32)) -> Step {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            return Err(Box::new(self.too_large(span, format!("more than {MAX_ALIASES} aliases"))));
        }
        let Some(&node) = self.anchors.get(&id) else {
            return Err(self.fault(
                ProblemKind::Syntax,
                span,
                "the alias stands inside of what it names",
                None,
            ));
        };
        if let Some(Frame::Map { key: None, .. }) = self.frames.last() {
            return Err(self.fault(ProblemKind::Syntax, span, "an alias may not be a key", None));
        }
        self.finish(node, 0);
        Ok(())
    }

    fn refuse_tag(&self, tag: Option<Cow<'_, Tag>>, span: (u32, u32)) -> Step {
        let Some(tag) = tag else { return Ok(()) };
        let message = format!("the tag {} is not taken", quoted(&tag.original()));
        Err(self.fault(
            ProblemKind::Syntax,
            span,
            &message,
            Some("remove the tag; quotes make a text of a value"),
        ))
    }

    fn range(&self, span: &Span) -> (u32, u32) {
        let range = span.byte_range().unwrap_or(0..0);
        // A block ends where the next one begins: show it without the white space between.
        let end = range.end.min(self.text.len()).max(range.start);
        let trimmed = self.text.get(range.start..end).map_or(end, |text| range.start + text.trim_end().len());
        (range.start as u32, trimmed as u32)
    }

    fn syntax(&self, error: &ScanError) -> Fault {
        let marker: &Marker = error.marker();
        let offset =
            marker.byte_offset().unwrap_or_else(|| offset_of(self.text, marker)).min(self.text.len());
        let line = self.text[..floor(self.text, offset)].rsplit('\n').next().unwrap_or("");
        let rest = self.text[floor(self.text, offset)..].lines().next().unwrap_or("");
        let tab = line.trim_start_matches(' ').starts_with('\t')
            || (line.trim().is_empty() && rest.starts_with('\t'));
        let (kind, message) = match error.kind() {
            ErrorKind::RecursionLimitExceeded => (
                ProblemKind::TooLarge,
                format!("this is larger than a configuration can be: nested deeper than {MAX_DEPTH} levels"),
            ),
            _ => (ProblemKind::Syntax, format!("this is not valid YAML: {}", error.info())),
        };
        let offset = offset as u32;
        Fault {
            kind,
            at: self.tree.at((offset, offset + 1)),
            path: self.path(),
            message,
            help: syntax_help(tab, line, rest),
            first: None,
        }
    }

    fn fault(&self, kind: ProblemKind, span: (u32, u32), message: &str, help: Option<&str>) -> Box<Fault> {
        Box::new(Fault {
            kind,
            at: self.tree.at(span),
            path: self.path(),
            message: message.to_owned(),
            help: help.map(str::to_owned),
            first: None,
        })
    }

    fn too_large(&self, span: (u32, u32), what: String) -> Fault {
        Fault {
            kind: ProblemKind::TooLarge,
            at: self.tree.at(span),
            path: String::new(),
            message: format!("this is larger than a configuration can be: {what}"),
            help: None,
            first: None,
        }
    }

    /// The path of keys that leads to what is being read.
    fn path(&self) -> String {
        let keys = self.frames.iter().filter_map(|frame| match frame {
            Frame::Map { key: Some(key), .. } => Some(&*key.text),
            Frame::Map { key: None, .. } | Frame::Seq { .. } => None,
        });
        keys.collect::<Vec<_>>().join(".")
    }
}

/// What is probably wrong with a line that is no YAML.
fn syntax_help(tab: bool, before: &str, after: &str) -> Option<String> {
    if tab {
        return Some("YAML is indented with spaces: replace the tab".to_owned());
    }
    let flow = before.contains("${") || after.contains("${");
    flow.then(|| "inside of `{…}` and `[…]`, a `${…}` needs quotes around it".to_owned())
}

/// The byte offset of a marker that has none of its own: the parser counts characters then.
fn offset_of(text: &str, marker: &Marker) -> usize {
    text.char_indices().nth(marker.index()).map_or(text.len(), |(offset, _)| offset)
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
