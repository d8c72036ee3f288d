//! Variables, whose values are kept as they are spelled.

use crate::config::decode::{Decoder, Value};
use crate::config::problem::{ProblemKind, quoted};
use crate::config::tree::{NodeRef, Shape};
use schemars::{Schema, SchemaGenerator, json_schema};
use std::collections::BTreeMap;

/// Variables; `None` removes one.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct Environment(pub(in crate::config) BTreeMap<String, Option<String>>);

/// What every instance gets from us, so that nobody else can set it.
const OURS: &[&str] = &[
    "SPPM_NAME",
    "SPPM_INSTANCE",
    "SPPM_INDEX",
    "SPPM_RUN",
    "SPPM_LOCK",
    "SPPM_NOTIFY",
    "SPPM_SOCKET",
    "SPPM_MAX_REQUESTS",
    "SPPM_ENV",
];

impl Value for Environment {
    fn decode(node: NodeRef<'_, '_>, cx: &mut Decoder<'_>) -> Option<Self> {
        if !matches!(node.shape, Shape::Map(_)) {
            match node.shape {
                Shape::Seq(_) => {
                    let message = "a list stands here; accepted is a map of names and values".to_owned();
                    cx.value(node, message, Some("write `NAME: value` instead of `- NAME=value`".to_owned()));
                }
                Shape::Null | Shape::Scalar { .. } | Shape::Map(_) => {
                    cx.wrong_shape(node, "a map of names and values")
                }
            }
            return None;
        }
        let mut variables = BTreeMap::new();
        let mut whole = cx.visit(node);
        for (name, name_at, value) in node.entries() {
            let value = cx.within(name, |cx| {
                if name.is_empty() || name.contains(['=', '\0']) {
                    let message = format!("{} cannot be the name of a variable", quoted(name));
                    cx.error(ProblemKind::Value, name_at, message, None);
                    return None;
                }
                if OURS.contains(&name) {
                    let message =
                        format!("`{name}` is set by sppm for every program: this value is not used");
                    cx.warning(ProblemKind::Conflict, name_at, message, None);
                }
                match value.shape {
                    Shape::Null => Some(None),
                    Shape::Scalar { .. } | Shape::Seq(_) | Shape::Map(_) => cx
                        .scalar(value, "a text, a number, `true`, `false`, or null to remove the variable")
                        .map(|scalar| Some(scalar.text.into_owned())),
                }
            });
            match value {
                Some(value) => {
                    variables.insert(name.to_owned(), value);
                }
                None => whole = false,
            }
        }
        whole.then_some(Self(variables))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] }
        })
    }

    fn over(self, base: &Self) -> Self {
        let mut merged = base.0.clone();
        merged.extend(self.0);
        Self(merged)
    }
}
