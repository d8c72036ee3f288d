//! A YAML text as a tree whose every node knows its place.
//!
//! In: text. Out: [`Tree`], or the reasons why not. Aliases share nodes instead of copying them, so an alias
//! bomb costs nothing here. Never add here: typing, or knowledge of keys.

use super::position::At;
use std::borrow::Cow;

/// Index of a node.
pub(super) type NodeId = u32;

/// A parsed file.
#[derive(Debug)]
pub(super) struct Tree<'t> {
    file: u32,
    pub(super) nodes: Vec<Node<'t>>,
    pub(super) items: Vec<NodeId>,
    pub(super) entries: Vec<Entry<'t>>,
    pub(super) root: Option<NodeId>,
}

/// A node and its bytes in the file.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) span: (u32, u32),
    pub(super) body: Body<'t>,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Body<'t> {
    /// A text; `plain` = written without quotes, so that `null` and numbers mean what they say.
    Scalar { text: Cow<'t, str>, plain: bool },
    /// So many of the tree's items.
    Seq { first: u32, len: u32 },
    /// So many of the tree's entries.
    Map { first: u32, len: u32 },
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry<'t> {
    pub(super) key: Cow<'t, str>,
    pub(super) key_span: (u32, u32),
    /// Written without quotes (`<<` merges only then).
    pub(super) plain: bool,
    pub(super) value: NodeId,
}

/// A node seen by a reader of the tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeRef<'a, 't> {
    pub(super) tree: &'a Tree<'t>,
    pub(super) id: NodeId,
    pub(super) at: At,
    pub(super) shape: Shape<'a>,
    first: u32,
}

/// What a node is, for a reader.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'a> {
    /// Nothing, `~` or `null`, without quotes.
    Null,
    /// A text.
    Scalar { text: &'a str, plain: bool },
    /// A list of so many.
    Seq(u32),
    /// A map of so many.
    Map(u32),
}

impl<'t> Tree<'t> {
    pub(super) fn new(file: u32) -> Self {
        Self { file, nodes: Vec::new(), items: Vec::new(), entries: Vec::new(), root: None }
    }

    pub(super) fn at(&self, span: (u32, u32)) -> At {
        At { file: self.file, start: span.0, end: span.1 }
    }

    /// The document, if the file has any.
    pub(super) fn document(&self) -> Option<NodeRef<'_, 't>> {
        self.root.map(|root| self.node(root))
    }

    pub(super) fn node(&self, id: NodeId) -> NodeRef<'_, 't> {
        let node = &self.nodes[id as usize];
        let (shape, first) = match &node.body {
            Body::Scalar { text, plain: true } if is_null(text) => (Shape::Null, 0),
            Body::Scalar { text, plain } => (Shape::Scalar { text, plain: *plain }, 0),
            Body::Seq { first, len } => (Shape::Seq(*len), *first),
            Body::Map { first, len } => (Shape::Map(*len), *first),
        };
        NodeRef { tree: self, id, at: self.at(node.span), shape, first }
    }
}

impl<'a, 't> NodeRef<'a, 't> {
    /// The elements of a list; none for anything else.
    pub(super) fn items(self) -> impl Iterator<Item = NodeRef<'a, 't>> {
        let len = match self.shape {
            Shape::Seq(len) => len,
            Shape::Null | Shape::Scalar { .. } | Shape::Map(_) => 0,
        };
        let (first, tree) = (self.first as usize, self.tree);
        tree.items[first..first + len as usize].iter().map(move |&id| tree.node(id))
    }

    /// The entries of a map, keys and places first; none for anything else.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, At, NodeRef<'a, 't>)> {
        let len = match self.shape {
            Shape::Map(len) => len,
            Shape::Null | Shape::Scalar { .. } | Shape::Seq(_) => 0,
        };
        let (first, tree) = (self.first as usize, self.tree);
        tree.entries[first..first + len as usize].iter().map(move |entry| {
            let key_at = tree.at(entry.key_span);
            let mut node = tree.node(entry.value);
            if node.at.is_empty() {
                // `key:` without a value: the key is what can be shown.
                node.at = key_at;
            }
            (&*entry.key, key_at, node)
        })
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
