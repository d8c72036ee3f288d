//! Texts, booleans, words and the version.

use crate::config::decode::{Decoder, Value};
use crate::config::tree::NodeRef;
use crate::config::words;
use schemars::{Schema, SchemaGenerator, json_schema};

impl Value for String {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        Some(cx.scalar(node, "a text")?.text.into_owned())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        // Numbers and booleans are taken as they are spelled.
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl Value for bool {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "`true` or `false`")?;
        match (&*scalar.text, scalar.typed) {
            ("true" | "True" | "TRUE", true) => Some(true),
            ("false" | "False" | "FALSE", true) => Some(false),
            (text, typed) => {
                let help = match text.to_ascii_lowercase().as_str() {
                    "true" | "false" if !typed => Some("write it without quotes".to_owned()),
                    "yes" | "on" | "y" | "1" => Some("did you mean `true`?".to_owned()),
                    "no" | "off" | "n" | "0" => Some("did you mean `false`?".to_owned()),
                    other => words::nearest(other, ["true", "false"].into_iter())
                        .map(|word| format!("did you mean `{word}`?")),
                };
                cx.value(node, format!("{} is neither `true` nor `false`", scalar.shown()), help);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// One line without control characters, for people.
#[derive(Debug, Clone)]
pub(in crate::config) struct Line(pub(in crate::config) String);

impl Value for Line {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a text")?;
        let text = scalar.text.trim_end_matches('\n');
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            cx.value(node, format!("{} holds control characters", scalar.shown()), None);
            return None;
        }
        Some(Self(text.to_owned()))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        String::schema(generator)
    }
}

/// A word that commands can name: letters, digits, `.`, `_` and `-`.
#[derive(Debug, Clone)]
pub(in crate::config) struct Label(pub(in crate::config) String);

const LABEL: &str = "^[A-Za-z0-9][A-Za-z0-9._-]*$";

impl Value for Label {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a word of letters, digits, `.`, `_` and `-`")?;
        let text = &*scalar.text;
        let fits = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if !fits {
            let message = format!("{} is not a word of letters, digits, `.`, `_` and `-`", scalar.shown());
            let help =
                text.starts_with('@').then(|| "write it without the `@`: that is for commands".to_owned());
            cx.value(node, message, help);
            return None;
        }
        Some(Self(text.to_owned()))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"], "pattern": LABEL })
    }
}

/// A group's name or number.
#[derive(Debug, Clone)]
pub(in crate::config) struct GroupName(pub(in crate::config) String);

impl Value for GroupName {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a group's name or number")?;
        match super::account::is_name(&scalar.text) {
            true => Some(Self(scalar.text.into_owned())),
            false => {
                cx.value(node, format!("{} is not the name or number of a group", scalar.shown()), None);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"] })
    }
}

/// The number of this file format.
#[derive(Debug, Clone)]
pub(in crate::config) struct Version;

impl Value for Version {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "1")?;
        if scalar.text == "1" {
            return Some(Self);
        }
        let message = format!(
            "version {} of the file format is not known to this sppm, which reads version 1",
            scalar.shown()
        );
        cx.value(node, message, None);
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "enum": [1] })
    }
}
