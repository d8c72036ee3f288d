//! Which of the supervisor's variables a program gets.

use crate::config::decode::{Decoder, Value};
use crate::config::tree::{NodeRef, Shape};
use crate::config::values::OneOrMany;
use crate::model::Inherit;
use schemars::{Schema, SchemaGenerator, json_schema};

/// Which of the supervisor's variables a program gets.
#[derive(Debug, Clone)]
pub(in crate::config) struct InheritSetting(pub(in crate::config) Inherit);

impl Value for InheritSetting {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        match node.shape {
            Shape::Seq(_) => {
                let mut names = OneOrMany::<String>::decode(node, cx)?.0;
                names.sort();
                names.dedup();
                Some(Self(Inherit::Also(names)))
            }
            Shape::Null | Shape::Scalar { .. } | Shape::Map(_) => {
                let scalar = cx.scalar(node, "`true`, `false` or a list of names")?;
                match (&*scalar.text, scalar.typed) {
                    ("true", true) => Some(Self(Inherit::All)),
                    ("false", true) => Some(Self(Inherit::Basics)),
                    _ => {
                        let message =
                            format!("{} is neither `true` nor `false` nor a list of names", scalar.shown());
                        cx.value(node, message, Some("write a single name as a list: `[NAME]`".to_owned()));
                        None
                    }
                }
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, { "type": "array", "items": { "type": "string" } }] })
    }
}
