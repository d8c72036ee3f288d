//! Paths, as written and with the file that has them; places for output; env_files.

use crate::config::decode::{Decoder, Value};
use crate::config::position::At;
use crate::config::problem::ProblemKind;
use crate::config::tree::NodeRef;
use schemars::{Schema, SchemaGenerator, json_schema};

/// A path as written; a relative one is relative to the file that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct PathText {
    pub(in crate::config) text: String,
    /// Where it is written; the file counts for relative paths.
    pub(in crate::config) at: At,
}

impl Value for PathText {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a path")?;
        if scalar.text.is_empty() {
            cx.value(node, "a path may not be empty".to_owned(), None);
            return None;
        }
        if scalar.text.starts_with("~/") || scalar.text == "~" {
            let help = Some("write `${HOME}` for your home folder".to_owned());
            cx.value(node, format!("{} begins with `~`, which only a shell knows", scalar.shown()), help);
            return None;
        }
        Some(Self { text: scalar.text.into_owned(), at: node.at })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// Where a stream of output goes.
#[derive(Debug, Clone)]
pub(in crate::config) enum LogTarget {
    /// This file.
    File(PathText),
    /// The supervisor's own output.
    Inherit,
    /// Nowhere.
    Discard,
}

const TARGETS: &str = "a path, `inherit` or `discard`";

impl Value for LogTarget {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, TARGETS)?;
        match &*scalar.text {
            "inherit" => Some(Self::Inherit),
            "discard" => Some(Self::Discard),
            word @ ("journal" | "syslog") => {
                let message = format!("`{word}` is not in this version of sppm; accepted is {TARGETS}");
                let help = Some(format!("write `./{word}` if a file of that name is meant"));
                cx.error(ProblemKind::NotInThisVersion, node.at, message, help);
                None
            }
            "none" | "off" | "null" | "/dev/null" => {
                let message = format!("{} is not accepted here; accepted is {TARGETS}", scalar.shown());
                cx.value(node, message, Some("here that is `discard`".to_owned()));
                None
            }
            _ => PathText::decode(node, cx).map(Self::File),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// Where standard error goes.
#[derive(Debug, Clone)]
pub(in crate::config) enum StderrTarget {
    /// Where standard output goes.
    Stdout,
    /// Elsewhere.
    Apart(LogTarget),
}

impl Value for StderrTarget {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "`stdout`, a path, `inherit` or `discard`")?;
        match &*scalar.text {
            "stdout" => Some(Self::Stdout),
            _ => LogTarget::decode(node, cx).map(Self::Apart),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        LogTarget::schema(generator)
    }
}

/// A file with variables; a leading `-` lets it be missing.
#[derive(Debug, Clone)]
pub(in crate::config) struct EnvFile {
    pub(in crate::config) path: PathText,
    /// Whether it may be missing.
    pub(in crate::config) optional: bool,
}

impl Value for EnvFile {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let mut path = PathText::decode(node, cx)?;
        let rest = path.text.strip_prefix('-').map(str::to_owned);
        let optional = rest.is_some();
        path.text = rest.unwrap_or(path.text);
        if path.text.is_empty() {
            cx.value(node, "a path must follow the `-`".to_owned(), None);
            return None;
        }
        Some(Self { path, optional })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        PathText::schema(generator)
    }
}
