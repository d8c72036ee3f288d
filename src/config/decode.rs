//! From nodes to typed values, collecting everything that is wrong on the way.
//!
//! In: a node of the tree. Out: a value, or `None` after a finding was recorded. Never add here: knowledge of
//! single keys; meaning that needs more than one key.

use super::interpolate::{interpolate, is_needed};
use super::position::{At, Files};
use super::problem::{Problem, ProblemKind, Related, Severity, quoted};
use super::tree::{NodeRef, Shape};
use schemars::{Schema, SchemaGenerator};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What may stand under a key.
pub(super) trait Value: Sized + Clone {
    /// Reads it; records a finding and gives `None` where that cannot be done.
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self>;

    /// Its JSON Schema.
    fn schema(generator: &mut SchemaGenerator) -> Schema;

    /// This, written over `base`: maps merge, all else replaces.
    fn over(self, _base: &Self) -> Self {
        self
    }

    /// This, with everything unsaid taken from the built-in defaults.
    fn complete(self, _built_in: &Self) -> Self {
        self
    }

    /// The value where a section says nothing at all; sections have one.
    fn built_in(_cx: &mut Decoder<'_>) -> Option<Self> {
        None
    }
}

/// What a map says about one of its keys.
#[derive(Debug, Clone, Default)]
pub(super) enum Setting<T> {
    /// Nothing.
    #[default]
    Absent,
    /// `null`: the built-in default, whatever `defaults` say.
    Null,
    /// Something that cannot stand there; the finding is recorded.
    Broken,
    /// This, there.
    Given(T, At),
}

impl<T: Value> Setting<T> {
    pub(super) fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Self {
        if matches!(node.shape, Shape::Null) {
            return Self::Null;
        }
        T::decode(node, cx).map_or(Self::Broken, |value| Self::Given(value, node.at))
    }

    pub(super) fn over(self, base: &Self) -> Self {
        match (self, base) {
            (Self::Absent, base) => base.clone(),
            (Self::Given(own, at), Self::Given(base, _)) => Self::Given(own.over(base), at),
            (own @ (Self::Null | Self::Broken | Self::Given(..)), _) => own,
        }
    }

    pub(super) fn complete(self, built_in: &Self) -> Self {
        match (self, built_in) {
            (Self::Absent | Self::Null, built_in) => built_in.clone(),
            (Self::Given(own, at), Self::Given(base, _)) => Self::Given(own.complete(base), at),
            (own @ (Self::Broken | Self::Given(..)), _) => own,
        }
    }

    /// The built-in default of a key: what is written beside it, else that of its section.
    pub(super) fn built_in(default: Option<serde_json::Value>, cx: &mut Decoder<'_>) -> Self {
        let place = At::whole(0);
        match default {
            None => T::built_in(cx).map_or(Self::Absent, |value| Self::Given(value, place)),
            // JSON is YAML: the default is read by the same code as what people write.
            Some(json) => {
                let text = json.to_string();
                let (tree, _) = super::parse::parse(0, &text);
                let value = tree.document().and_then(|node| T::decode(node, cx));
                value.map_or(Self::Broken, |value| Self::Given(value, place))
            }
        }
    }
}

impl<T> Setting<T> {
    pub(super) fn get(&self) -> Option<&T> {
        match self {
            Self::Given(value, _) => Some(value),
            Self::Absent | Self::Null | Self::Broken => None,
        }
    }

    pub(super) fn at(&self) -> Option<At> {
        match self {
            Self::Given(_, at) => Some(*at),
            Self::Absent | Self::Null | Self::Broken => None,
        }
    }

    pub(super) fn is_given(&self) -> bool {
        matches!(self, Self::Given(..))
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Broken)
    }
}

/// A scalar after interpolation.
pub(super) struct Scalar<'a> {
    /// What it means.
    pub(super) text: Cow<'a, str>,
    /// What is written: values from the environment are never shown.
    pub(super) written: &'a str,
    /// Without quotes, or with interpolation, so that it may be a number or a boolean.
    pub(super) typed: bool,
}

impl Scalar<'_> {
    pub(super) fn shown(&self) -> String {
        quoted(self.written)
    }
}

/// Something that is wrong, before its place is looked up.
#[derive(Debug)]
struct Finding {
    severity: Severity,
    kind: ProblemKind,
    at: At,
    path: String,
    message: String,
    help: Option<String>,
    related: Option<(At, String)>,
}

/// More findings are counted, not kept.
const MAX_FINDINGS: usize = 1_000;
/// The most values that are read of all files together, each use of an alias counted.
const MAX_VISITS: usize = 200_000;
/// The most bytes of text that they may hold, each use of an alias and of `${…}` counted: a megabyte that is named a
/// thousand times is one in the file and a thousand in memory.
const MAX_TEXT: usize = 8 << 20;

/// Reads nodes: knows the environment, the path of keys, and what was found so far.
pub(super) struct Decoder<'a> {
    environment: &'a BTreeMap<String, String>,
    path: String,
    findings: Vec<Finding>,
    more: usize,
    visits: usize,
    text: usize,
    hints: Vec<String>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(environment: &'a BTreeMap<String, String>) -> Self {
        Self {
            environment,
            path: String::new(),
            findings: Vec::new(),
            more: 0,
            visits: 0,
            text: 0,
            hints: Vec::new(),
        }
    }

    /// Goes one key deeper; what it gives is for [`Self::leave`].
    pub(super) fn enter(&mut self, key: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        length
    }

    /// Goes back to where [`Self::enter`] was called.
    pub(super) fn leave(&mut self, length: usize) {
        self.path.truncate(length);
    }

    /// Runs `inner` one key deeper.
    pub(super) fn within<T>(&mut self, key: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.enter(key);
        let result = inner(self);
        self.leave(length);
        result
    }

    /// Runs `inner` in an element of a list.
    pub(super) fn within_item<T>(&mut self, index: usize, inner: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        let result = inner(self);
        self.path.truncate(length);
        result
    }

    /// Counts a visit of a node. `false` = too many: an alias bomb, or a file that no machine could run.
    pub(super) fn visit(&mut self, node: NodeRef<'_, '_>) -> bool {
        self.visits += 1;
        if self.visits == MAX_VISITS {
            let message =
                format!("this is larger than a configuration can be: more than {MAX_VISITS} values");
            self.error(
                ProblemKind::TooLarge,
                node.at,
                message,
                Some("do aliases name each other?".to_owned()),
            );
        }
        self.visits < MAX_VISITS
    }

    /// Whether [`Self::visit`] said no: nothing more is worth reading.
    pub(super) fn exhausted(&self) -> bool {
        self.visits >= MAX_VISITS || self.text > MAX_TEXT
    }

    /// Counts text that is kept. `false` = too much of it.
    pub(super) fn keep(&mut self, at: At, bytes: usize) -> bool {
        let before = self.text;
        self.text = self.text.saturating_add(bytes);
        if before <= MAX_TEXT && self.text > MAX_TEXT {
            let message = format!(
                "this is larger than a configuration can be: more than {MAX_TEXT} bytes of text, each use counted"
            );
            let help = "is a long text used by many: by an alias, by `defaults`, or by `${…}`?";
            self.error(ProblemKind::TooLarge, at, message, Some(help.to_owned()));
        }
        self.text <= MAX_TEXT
    }

    /// A text, with `${…}` resolved. `accepts` says what may stand here: "a duration such as 30s".
    pub(super) fn scalar<'n>(&mut self, node: NodeRef<'n, '_>, accepts: &str) -> Option<Scalar<'n>> {
        if !self.visit(node) || self.exhausted() {
            return None;
        }
        let Shape::Scalar { text, plain } = node.shape else {
            self.wrong_shape(node, accepts);
            return None;
        };
        match interpolate(text, self.environment) {
            Ok(meant) if meant.contains('\0') => {
                self.value(
                    node,
                    format!("{} holds a NUL character, which no program can be given", quoted(text)),
                    None,
                );
                None
            }
            Ok(meant) if !self.keep(node.at, meant.len()) => None,
            Ok(meant) => Some(Scalar { typed: plain || is_needed(text), text: meant, written: text }),
            Err(error) => {
                self.error(ProblemKind::Interpolation, node.at, error.message, error.help);
                None
            }
        }
    }

    /// Reports that a list, map or nothing stands where something else is accepted.
    pub(super) fn wrong_shape(&mut self, node: NodeRef<'_, '_>, accepts: &str) {
        let what = match node.shape {
            Shape::Null => "nothing stands here",
            Shape::Scalar { text, .. } => &format!("{} stands here", quoted(text)),
            Shape::Seq(_) => "a list stands here",
            Shape::Map(_) => "a map stands here",
        };
        self.value(node, format!("{what}; accepted is {accepts}"), None);
    }

    /// Reports a value that cannot stand here.
    pub(super) fn value(&mut self, node: NodeRef<'_, '_>, message: String, help: Option<String>) {
        self.error(ProblemKind::Value, node.at, message, help);
    }

    /// Reports an error.
    pub(super) fn error(
        &mut self,
        kind: ProblemKind,
        at: At,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.record(Severity::Error, kind, at, message.into(), help, None);
    }

    /// Reports an error that has two places.
    pub(super) fn clash(
        &mut self,
        kind: ProblemKind,
        at: At,
        message: String,
        help: Option<&str>,
        other: (At, &str),
    ) {
        let related = (other.0, other.1.to_owned());
        self.record(Severity::Error, kind, at, message, help.map(str::to_owned), Some(related));
    }

    /// Reports what is doubtful.
    pub(super) fn warning(
        &mut self,
        kind: ProblemKind,
        at: At,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.record(Severity::Warning, kind, at, message.into(), help, None);
    }

    /// Reports what is doubtful and has two places.
    pub(super) fn doubt(
        &mut self,
        kind: ProblemKind,
        at: At,
        message: String,
        help: Option<&str>,
        other: (At, &str),
    ) {
        let related = (other.0, other.1.to_owned());
        self.record(Severity::Warning, kind, at, message, help.map(str::to_owned), Some(related));
    }

    fn record(
        &mut self,
        severity: Severity,
        kind: ProblemKind,
        at: At,
        message: String,
        help: Option<String>,
        related: Option<(At, String)>,
    ) {
        if self.findings.len() >= MAX_FINDINGS {
            self.more += 1;
            return;
        }
        let path = self.path.clone();
        self.findings.push(Finding { severity, kind, at, path, message, help, related });
    }

    /// Takes over what the parser found.
    pub(super) fn fault(&mut self, fault: super::parse::Fault) {
        let related = fault.first.map(|at| (at, "first defined here".to_owned()));
        let path = std::mem::replace(&mut self.path, fault.path);
        self.record(Severity::Error, fault.kind, fault.at, fault.message, fault.help, related);
        self.path = path;
    }

    /// Remembers what an unknown key was probably meant to be, so that this is not also called missing.
    pub(super) fn hint(&mut self, help: &str) {
        self.hints.push(help.to_owned());
    }

    /// How many hints there are: a mark for [`Self::hinted_since`].
    pub(super) fn mark(&self) -> usize {
        self.hints.len()
    }

    /// Whether an unknown key since `mark` was probably meant to be `key`.
    pub(super) fn hinted_since(&self, mark: usize, key: &str) -> bool {
        let word = format!("`{key}");
        self.hints[mark.min(self.hints.len())..].iter().any(|help| help.contains(&word))
    }

    /// Forgets the hints since `mark`.
    pub(super) fn forget_hints(&mut self, mark: usize) {
        self.hints.truncate(mark);
    }

    /// Whether an error was found so far.
    pub(super) fn failed(&self) -> bool {
        self.more > 0 || self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// All findings in the order of files and lines, each once, and how many more there were.
    pub(super) fn finish(mut self, files: &Files) -> (Vec<Problem>, usize) {
        let place = |finding: &Finding| (finding.at.file, finding.at.start.wrapping_add(1), finding.severity);
        self.findings.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.message.cmp(&b.message)));
        // What stands in `defaults` or behind an anchor is read once per program: it is one problem.
        self.findings.dedup_by(|a, b| a.at == b.at && a.message == b.message && a.at.start != u32::MAX);
        let problems = self.findings.into_iter().map(|finding| Problem {
            severity: finding.severity,
            kind: finding.kind,
            spot: files.spot(finding.at),
            key_path: finding.path,
            message: finding.message,
            help: finding.help,
            related: finding.related.map(|(at, label)| Related { spot: files.spot(at), label }),
        });
        (problems.collect(), self.more)
    }
}
